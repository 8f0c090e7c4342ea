"""Advice about virtual machines: their memory is the guest's RAM, not a heap."""

from oomkeeper.kernel.lazy import lazy

from ...model.cause import Remedy, Scope
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.units import bytes_text
from ..case import Case

_MONITORS = lazy(
    r"qemu|kvm\b|CPU \d+/KVM|firecracker|cloud-hyperviso|crosvm|VBoxHeadless|VirtualBoxVM|vmware-vmx|bhyve"
)
"""Names of virtual machine monitors (comm, 15 bytes), and of QEMU's threads for CPUs."""


def is_guest(comm: str) -> bool:
    """Return whether a process of this name runs a virtual machine."""
    return _MONITORS.match(comm) is not None


def fit_guest(case: Case, comm: str, used_bytes: int) -> Advice:
    """Advise on the RAM of a guest that has most of the memory."""
    limit = case.binding.limit_bytes if case.scope is Scope.MEMCG else None
    room = f"below the limit of {bytes_text(limit)}" if limit is not None else "to what the host can spare"
    return Advice(
        remedy=Remedy.FIND_LEAK,
        message=(
            f"{printable(comm)} runs a virtual machine and uses {bytes_text(used_bytes)}, mostly the guest's "
            f"RAM. Reduce the RAM that the guest is given {room}, with room for the monitor itself, or move "
            "the guest."
        ),
    )
