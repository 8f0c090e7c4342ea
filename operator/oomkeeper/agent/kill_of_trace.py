"""A kill that only the kernel's trace has, as a Kill. Pure."""

from oomkeeper.kernel.report.text import readable
from oomkeeper.kernel.tracefs.events import VictimMarked
from oomkeeper.model.kill import Kill, Victim

FROM_TRACE = (
    "The kernel log's records of this kill were overwritten before they could be read; "
    "what is known of it is from the kernel's trace."
)
_KIB = 1024


def kill_of_trace(victim: VictimMarked, *, path: str | None) -> Kill:
    """Return the kill; `path` is the victim's cgroup."""
    return Kill(
        usec=victim.time_ns // 1000,
        victims=(
            Victim(
                pid=victim.pid,
                comm=readable(victim.comm or b""),
                uid=victim.uid,
                total_vm_bytes=_bytes(victim.total_vm_kib),
                anon_rss_bytes=_bytes(victim.anon_rss_kib),
                file_rss_bytes=_bytes(victim.file_rss_kib),
                shmem_rss_bytes=_bytes(victim.shmem_rss_kib),
                pgtables_bytes=_bytes(victim.pgtables_kib),
                oom_score_adj=victim.oom_score_adj,
            ),
        ),
        kill_lines=1,
        task_memcg=path,
        complete=False,
    )


def _bytes(kib: int | None) -> int | None:
    return None if kib is None else kib * _KIB


def traced_kill_id(boot_id: str, time_ns: int) -> str:
    """Return the id of a kill that is recorded from the trace."""
    return f"{boot_id}-trace-{time_ns}"
