"""Names of senders and processes, as sentences about a container's killer have them."""

from oomkeeper.model.killer import KillSignal

_UNITS = {
    "systemd-oomd.service": "systemd-oomd",
    "earlyoom.service": "earlyoom",
    "nohang.service": "nohang",
    "nohang-desktop.service": "nohang",
    "oomd.service": "oomd",
    "bustd.service": "bustd",
}
_NAMES = ("systemd-oomd", "earlyoom", "nohang", "oomd", "bustd")


def user_space_oom_killer(
    *, unit: str | None = None, exe: str | None = None, comm: str | None = None
) -> str | None:
    """Return the name of a known OOM killer in user space; None for any other process. The kernel cuts a comm
    after 15 bytes."""
    if unit in _UNITS:
        return _UNITS[unit]
    name = (exe or "").rpartition("/")[2] or comm
    return name if name in _NAMES else None


def unit_of(cgroup: str | None) -> str | None:
    """Return the systemd unit that a cgroup of the host belongs to: `ssh.service` of
    `/system.slice/ssh.service`. A user's own units, below `user@UID.service`, count as that one."""
    for segment in (cgroup or "").split("/"):
        if segment.endswith((".service", ".scope")):
            return segment
    return None


def process_text(comm: str | None, pid: int | None) -> str:
    """Return `java (pid 17)`, as far as it is known; empty where nothing is."""
    if comm and pid is not None:
        return f"{comm} (pid {pid})"
    return comm or (f"pid {pid}" if pid is not None else "")


def sender_text(signal: KillSignal) -> str:
    """Return the sender of a signal as a part of a sentence."""
    name = process_text(signal.sender_comm, signal.sender_pid)
    if not signal.sender_gone:
        return f"process {name}"
    if signal.sender_comm is None:
        return f"a process that was gone before its name could be read ({name})"
    return f"process {name}, which was gone when it was looked at,"
