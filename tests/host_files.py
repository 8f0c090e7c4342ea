"""What every host of files has, which stands for a real one in tests."""

from pathlib import Path


def make_proc(folder: Path) -> Path:
    """Make /proc below `folder`, of a host with 8 GiB and Linux 6.12; return it. Tests add what they need."""
    proc = folder / "proc"
    for name in ("sys/vm", "sys/kernel/random", "self/ns"):
        (proc / name).mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 8388608 kB\nSwapTotal: 0 kB\n")
    (proc / "sys/kernel/osrelease").write_text("6.12.0\n")
    return proc
