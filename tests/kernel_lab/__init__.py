"""The kernel lab: every cause of an OOM kill made for real, on Debian's kernels in a virtual machine, and the
project's verdict on the guest's own log held against what the lab did.

`make kernel-lab` does it anew (`python -m tests.kernel_lab --help` for less than all). The logs it yields are
kept in logs/, so tests/unit/kernel_lab checks every case on every kernel without QEMU. docs/kernel-lab.md has
what is covered.
"""
