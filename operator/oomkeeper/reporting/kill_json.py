"""Build the JSON object of one kill and its verdict, which `explain`, `node` and `kills` print and store.

Every other rendering (text, Markdown, HTML) is made from this object, so a kill stored a week ago reads
exactly as it did when it happened. Keys are camelCase as in the custom resources, sizes are bytes with the
unit in the key, and values that the log did not print are null."""

from collections.abc import Mapping
from typing import Any

from oomkeeper.diagnosis.allocator import judge_allocator
from oomkeeper.diagnosis.contributors import managed_bytes
from oomkeeper.diagnosis.zones import ZoneState
from oomkeeper.kernel.cgroup.kubepods import parse_kube_cgroup
from oomkeeper.kernel.lazy import lazy
from oomkeeper.model.cause import Outcome, Scope
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.escaping import printable
from oomkeeper.model.kill import Kill, TaskRow, Victim
from oomkeeper.model.memory import Counter, Zone
from oomkeeper.model.pod import KubeCgroup

KillJson = dict[str, Any]
"""One object of the contract's `kills` list."""

MAX_TASKS = 10
"""Rows of the task table that are kept, largest first: enough to find the largest users, bounded in the
store."""
MAX_ZONES = 16
MAX_TEXT = 4096
"""Characters of one free text: the longest path that Linux takes."""

_RFC3339 = lazy(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


def kill_to_json(kill: Kill, diagnosis: Diagnosis, *, kube: KubeCgroup | None = None) -> KillJson:
    """Return the contract's object for one kill; `kube` is the pod and container in the victim's cgroup path
    (else in the OOM cgroup's).

    All text is escaped (`escaping.printable`), so the object is valid UTF-8 and safe to print, whatever
    comm a process chose. Beyond the contract it has what an explanation needs: `uncertain`, `counters`,
    `tasks`, `zones`, `swap`, `ramBytes`, `kernelRelease`, `panic` and how complete the record is.
    """
    memory = kill.memory
    kube = kube or kube_cgroup(kill)
    return {
        "time": kill_time(kill),
        "scope": str(diagnosis.scope),
        "cause": str(diagnosis.cause),
        "outcome": str(diagnosis.outcome),
        "level": None if diagnosis.level is None else str(diagnosis.level),
        "invoker": _invoker(kill),
        "constraint": _text(kill.constraint),
        "victims": _victims(kill, diagnosis),
        "oomMemcg": _text(kill.oom_memcg),
        "taskMemcg": _text(kill.task_memcg),
        "podUid": _text(kube.pod_uid) if kube else None,
        "containerId": _text(kube.container_id) if kube else None,
        "limitBytes": diagnosis.limit_bytes,
        "usageBytes": diagnosis.usage_bytes,
        "bindingCounter": None if diagnosis.binding_counter is None else str(diagnosis.binding_counter),
        "contributors": [
            {
                "name": str(part.name),
                "bytes": part.bytes,
                "share": round(part.share, 4),
                "detail": _text(part.detail),
            }
            for part in diagnosis.contributors
        ],
        "confidence": str(diagnosis.confidence),
        "summary": printable(diagnosis.summary),
        "advice": [
            {"remedy": str(item.remedy), "message": printable(item.message)} for item in diagnosis.advice
        ],
        "uncertain": [printable(sentence) for sentence in diagnosis.uncertain],
        "qos": kube.qos if kube else None,
        "kernelRelease": _text(kill.kernel_release),
        "timeText": _text(kill.wall) if kill.wall and not _RFC3339.fullmatch(kill.wall) else None,
        "nodemask": _text(kill.nodemask),
        "memsAllowed": _text(kill.mems_allowed),
        "cpuset": _text(kill.cpuset),
        "oomGroup": _text(kill.oom_group),
        "panic": _text(kill.panic),
        "killLines": kill.kill_lines,
        "headerSeen": kill.header_seen,
        "complete": kill.complete,
        "lostBefore": kill.lost_before,
        "counters": _counters(
            {
                "Memory": memory.memory,
                "MemorySwap": memory.memory_swap,
                "Kmem": memory.kmem,
                "Swap": memory.swap,
            }
        ),
        "swap": None
        if memory.swap_total_bytes is None and memory.swap_free_bytes is None
        else {"freeBytes": memory.swap_free_bytes, "totalBytes": memory.swap_total_bytes},
        "ramBytes": managed_bytes(memory),
        "zones": _zones(kill),
        "tasks": _tasks(kill),
        "taskCount": len(kill.tasks),
        "whatIf": _what_if(kill),
    }


def _what_if(kill: Kill) -> list[dict[str, Any]]:
    """Return the outcome under other settings; empty (and nothing imported) without a task table."""
    if not kill.tasks:
        return []
    from oomkeeper.diagnosis.whatif import scenarios

    return [
        {
            "setting": printable(setting),
            "outcome": None if outlook.outcome is None else str(outlook.outcome),
            "victim": _text(outlook.victim_name),
            "why": printable(outlook.why),
        }
        for setting, outlook in scenarios(kill)
    ]


def kube_cgroup(kill: Kill) -> KubeCgroup | None:
    """Return pod and container from the victim's cgroup path, or else from the path of the cgroup that
    reached its limit."""
    paths = [path for path in (kill.task_memcg, kill.oom_memcg) if path]
    found = [kube for kube in map(parse_kube_cgroup, paths) if kube is not None]
    return next((kube for kube in found if kube.pod_uid), found[0] if found else None)


def kill_time(kill: Kill) -> str | None:
    """Return RFC 3339 where the log had wall-clock time, else seconds since boot (`+2919920.414131`), else
    None."""
    if kill.wall and _RFC3339.fullmatch(kill.wall):
        return kill.wall
    if kill.usec is not None:
        return f"+{kill.usec // 1_000_000}.{kill.usec % 1_000_000:06d}"
    return None


def _text(text: str | None) -> str | None:
    return None if text is None else printable(text[:MAX_TEXT])


def _invoker(kill: Kill) -> dict[str, Any] | None:
    invoker = kill.invoker
    if invoker is None:
        return None
    return {
        "comm": printable(invoker.comm),
        "pid": invoker.pid,
        "order": invoker.order,
        "gfp": _text(invoker.gfp),
        "oomScoreAdj": invoker.oom_score_adj,
    }


def _victims(kill: Kill, diagnosis: Diagnosis) -> list[dict[str, Any]]:
    victims = kill.victims
    # A log that ends between the oom-kill line and the kill line still names the chosen process, and nothing
    # between the two in __oom_kill_process() would spare it.
    if (
        not victims
        and kill.chosen_pid is not None
        and diagnosis.outcome in (Outcome.KILLED, Outcome.KILLED_GROUP)
    ):
        row = next((task for task in kill.tasks if task.pid == kill.chosen_pid), None)
        victims = (
            Victim(
                pid=kill.chosen_pid,
                comm=kill.chosen_comm or "",
                uid=kill.chosen_uid,
                oom_score_adj=row.oom_score_adj if row else None,
            ),
        )
    return [
        {
            "pid": victim.pid,
            "comm": printable(victim.comm),
            "uid": victim.uid,
            "totalVmBytes": victim.total_vm_bytes,
            "anonRssBytes": victim.anon_rss_bytes,
            "fileRssBytes": victim.file_rss_bytes,
            "shmemRssBytes": victim.shmem_rss_bytes,
            "oomScoreAdj": victim.oom_score_adj,
            "pgtablesBytes": victim.pgtables_bytes,
        }
        for victim in victims
    ]


def _counters(counters: Mapping[str, Counter | None]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "usageBytes": counter.usage_bytes,
            "limitBytes": counter.limit_bytes,
            "failcnt": counter.failcnt,
        }
        for name, counter in counters.items()
        if counter is not None
    ]


def _zones(kill: Kill) -> list[dict[str, Any]]:
    """Return the zones as printed, with what this request could use: `usableFreeBytes` (0 where it cannot
    allocate) against `markBytes`, the min watermark plus the reserve kept from requests that could use a
    higher zone."""
    states = _zone_states(kill)
    rows = [
        {
            "node": zone.node,
            "zone": printable(zone.name),
            "freeBytes": zone.fields_bytes.get("free"),
            "minBytes": zone.fields_bytes.get("min"),
            "managedBytes": zone.fields_bytes.get("managed", zone.fields_bytes.get("present")),
            "usableFreeBytes": _usable_bytes(states, zone),
            "markBytes": state.mark_bytes if (state := states.get((zone.node, zone.name))) else None,
        }
        for zone in kill.memory.zones
    ]
    return rows[:MAX_ZONES]


def _zone_states(kill: Kill) -> dict[tuple[int, str], ZoneState]:
    if kill.scope is not Scope.GLOBAL:
        return {}
    judged = judge_allocator(kill, None).zones
    return {(state.zone.node, state.zone.name): state for state in judged.eligible} if judged else {}


def _usable_bytes(states: Mapping[tuple[int, str], ZoneState], zone: Zone) -> int | None:
    state = states.get((zone.node, zone.name))
    if state is not None:
        return max(0, state.usable_free_bytes)
    return 0 if states else None


def _tasks(kill: Kill) -> list[dict[str, Any]]:
    page = kill.memory.page_size_bytes
    dead = {victim.pid for victim in kill.victims} | {kill.chosen_pid}

    def held(task: TaskRow) -> int:
        return task.rss_pages + (task.swapents_pages or 0)

    return [
        {
            "pid": task.pid,
            "comm": printable(task.comm),
            "uid": task.uid,
            "rssBytes": task.rss_pages * page,
            "swapBytes": None if task.swapents_pages is None else task.swapents_pages * page,
            "oomScoreAdj": task.oom_score_adj,
            "killed": task.pid in dead,
        }
        for task in sorted(kill.tasks, key=held, reverse=True)[:MAX_TASKS]
    ]
