"""Build the record of one kill and its verdict: what `explain`, `node` and `kills` print and store.

Every rendering (text, Markdown, HTML) is made from this record, so a kill stored a week ago reads exactly as
it did when it happened. Values that the log did not print are None."""

from oomkeeper.diagnosis.allocator import zones_of
from oomkeeper.diagnosis.contributors import managed_bytes
from oomkeeper.diagnosis.zones import ZoneState
from oomkeeper.kernel.cgroup.containers import parse_container
from oomkeeper.kernel.cgroup.kubepods import parse_kube_cgroup
from oomkeeper.kernel.lazy import lazy
from oomkeeper.model.cause import Outcome, Scope
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.escaping import printable
from oomkeeper.model.kill import Kill, TaskRow, Victim
from oomkeeper.model.memory import MemoryFacts, Zone
from oomkeeper.model.pod import KubeCgroup
from oomkeeper.resources.killrecord import (
    Advice,
    Invoker,
    KilledProcess,
    KillRecord,
    MemoryCounter,
    MemoryPart,
    MemoryZone,
    PodName,
    ProcessRow,
    RecordedKill,
    Scenario,
    SwapSpace,
)
from oomkeeper.resources.record import bounded, max_items

MAX_TASKS = max_items(KillRecord, "tasks")
_MAX_ZONES = max_items(KillRecord, "zones")
_RFC3339 = lazy(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


def kill_record(kill: Kill, diagnosis: Diagnosis, *, kube: KubeCgroup | None = None) -> KillRecord:
    """Return the record of one kill; `kube` is the pod and container in the victim's cgroup path (else in the
    OOM cgroup's).

    All text is escaped (`escaping.printable`), so the record is valid UTF-8 and safe to print, whatever comm
    a process chose, and within the bounds of its definition.
    """
    memory = kill.memory
    kube = kube or kube_cgroup(kill)
    return bounded(
        KillRecord(
            time=kill_time(kill),
            scope=str(diagnosis.scope),
            cause=str(diagnosis.cause),
            outcome=str(diagnosis.outcome),
            level=None if diagnosis.level is None else str(diagnosis.level),
            invoker=_invoker(kill),
            constraint=_text(kill.constraint),
            victims=_victims(kill, diagnosis),
            oom_memcg=_text(kill.oom_memcg),
            task_memcg=_text(kill.task_memcg),
            pod_uid=_text(kube.pod_uid) if kube else None,
            container_id=_text(_container_id(kill, kube)),
            limit_bytes=diagnosis.limit_bytes,
            usage_bytes=diagnosis.usage_bytes,
            binding_counter=None if diagnosis.binding_counter is None else str(diagnosis.binding_counter),
            contributors=tuple(
                MemoryPart(
                    name=str(part.name),
                    bytes=part.bytes,
                    share=round(part.share, 4),
                    detail=_text(part.detail),
                )
                for part in diagnosis.contributors
            ),
            confidence=str(diagnosis.confidence),
            summary=printable(diagnosis.summary),
            advice=tuple(
                Advice(remedy=str(item.remedy), message=printable(item.message)) for item in diagnosis.advice
            ),
            uncertain=tuple(map(printable, diagnosis.uncertain)),
            qos=kube.qos if kube else None,
            kernel_release=_text(kill.kernel_release),
            time_text=_text(kill.wall) if kill.wall and not _RFC3339.fullmatch(kill.wall) else None,
            nodemask=_text(kill.nodemask),
            mems_allowed=_text(kill.mems_allowed),
            cpuset=_text(kill.cpuset),
            oom_group=_text(kill.oom_group),
            panic=_text(kill.panic),
            kill_lines=kill.kill_lines,
            header_seen=kill.header_seen,
            complete=kill.complete,
            lost_before=kill.lost_before,
            counters=_counters(memory),
            swap=_swap(memory),
            ram_bytes=managed_bytes(memory),
            zones=_zones(kill),
            tasks=_tasks(kill),
            task_count=len(kill.tasks),
            what_if=_what_if(kill),
        )
    )


def recorded_kill(
    record: KillRecord,
    *,
    kill_id: str,
    pod: PodName | None = None,
    container: str | None = None,
    boot_id: str | None = None,
    before_install: bool = False,
) -> RecordedKill:
    """Return the record as the agent stores it: with its identity, and with the pod and container by name."""
    return RecordedKill(
        **{name: getattr(record, name) for name in KillRecord.__struct_fields__},
        id=kill_id,
        pod=pod,
        container=container,
        boot_id=boot_id,
        before_install=before_install,
    )


def kube_cgroup(kill: Kill) -> KubeCgroup | None:
    """Return pod and container from the victim's cgroup path, or else from the path of the cgroup that
    reached its limit.
    """
    paths = [path for path in (kill.task_memcg, kill.oom_memcg) if path]
    found = [kube for kube in map(parse_kube_cgroup, paths) if kube is not None]
    return next((kube for kube in found if kube.pod_uid), found[0] if found else None)


def _container_id(kill: Kill, kube: KubeCgroup | None) -> str | None:
    """Return the container's id, also of Docker, Podman and ECS."""
    if kube is not None:
        return kube.container_id
    paths = [path for path in (kill.task_memcg, kill.oom_memcg) if path]
    return next((found.id for path in paths if (found := parse_container(path)) is not None), None)


def kill_time(kill: Kill) -> str | None:
    """Return RFC 3339 where the log had wall-clock time, else seconds since boot (`+2919920.414131`), else
    None."""
    if kill.wall and _RFC3339.fullmatch(kill.wall):
        return kill.wall
    if kill.usec is not None:
        return f"+{kill.usec // 1_000_000}.{kill.usec % 1_000_000:06d}"
    return None


def _text(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _invoker(kill: Kill) -> Invoker | None:
    invoker = kill.invoker
    if invoker is None:
        return None
    return Invoker(
        comm=printable(invoker.comm),
        pid=invoker.pid,
        order=invoker.order,
        gfp=_text(invoker.gfp),
        oom_score_adj=invoker.oom_score_adj,
    )


def _victims(kill: Kill, diagnosis: Diagnosis) -> tuple[KilledProcess, ...]:
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
    return tuple(
        KilledProcess(
            pid=victim.pid,
            comm=printable(victim.comm),
            uid=victim.uid,
            total_vm_bytes=victim.total_vm_bytes,
            anon_rss_bytes=victim.anon_rss_bytes,
            file_rss_bytes=victim.file_rss_bytes,
            shmem_rss_bytes=victim.shmem_rss_bytes,
            oom_score_adj=victim.oom_score_adj,
            pgtables_bytes=victim.pgtables_bytes,
        )
        for victim in victims
    )


def _counters(memory: MemoryFacts) -> tuple[MemoryCounter, ...]:
    counters = {
        "Memory": memory.memory,
        "MemorySwap": memory.memory_swap,
        "Kmem": memory.kmem,
        "Swap": memory.swap,
    }
    return tuple(
        MemoryCounter(
            name=name,
            usage_bytes=counter.usage_bytes,
            limit_bytes=counter.limit_bytes,
            failcnt=counter.failcnt,
        )
        for name, counter in counters.items()
        if counter is not None
    )


def _swap(memory: MemoryFacts) -> SwapSpace | None:
    if memory.swap_total_bytes is None and memory.swap_free_bytes is None:
        return None
    return SwapSpace(free_bytes=memory.swap_free_bytes, total_bytes=memory.swap_total_bytes)


def _zones(kill: Kill) -> tuple[MemoryZone, ...]:
    """Return the zones as printed, with what this request could use: `usable_free_bytes` (0 where it cannot
    allocate) against `mark_bytes`, the min watermark plus the reserve kept from requests that could use a
    higher zone."""
    states = _zone_states(kill)
    return tuple(_zone(zone, states) for zone in kill.memory.zones[:_MAX_ZONES])


_ZoneStates = dict[tuple[int, str], ZoneState]


def _zone(zone: Zone, states: _ZoneStates) -> MemoryZone:
    state = states.get((zone.node, zone.name))
    if state is not None:
        usable: int | None = max(0, state.usable_free_bytes)
    else:
        usable = 0 if states else None
    fields = zone.fields_bytes
    return MemoryZone(
        node=zone.node,
        zone=printable(zone.name),
        free_bytes=fields.get("free"),
        min_bytes=fields.get("min"),
        managed_bytes=fields.get("managed", fields.get("present")),
        usable_free_bytes=usable,
        mark_bytes=state.mark_bytes if state is not None else None,
    )


def _zone_states(kill: Kill) -> _ZoneStates:
    if kill.scope is not Scope.GLOBAL:
        return {}
    judged = zones_of(kill)
    return {(state.zone.node, state.zone.name): state for state in judged.eligible} if judged else {}


def _tasks(kill: Kill) -> tuple[ProcessRow, ...]:
    page = kill.memory.page_size_bytes
    killed = {victim.pid for victim in kill.victims} | {kill.chosen_pid}

    def used_pages(task: TaskRow) -> int:
        return task.rss_pages + (task.swapents_pages or 0)

    return tuple(
        ProcessRow(
            pid=task.pid,
            comm=printable(task.comm),
            uid=task.uid,
            rss_bytes=task.rss_pages * page,
            swap_bytes=None if task.swapents_pages is None else task.swapents_pages * page,
            oom_score_adj=task.oom_score_adj,
            killed=task.pid in killed,
        )
        for task in sorted(kill.tasks, key=used_pages, reverse=True)[:MAX_TASKS]
    )


def _what_if(kill: Kill) -> tuple[Scenario, ...]:
    """Return the outcome under other settings; empty (and nothing imported) without a task table."""
    if not kill.tasks:
        return ()
    from oomkeeper.diagnosis.whatif import scenarios

    return tuple(
        Scenario(
            setting=printable(setting),
            outcome=None if outlook.outcome is None else str(outlook.outcome),
            victim=_text(outlook.victim_name),
            why=printable(outlook.why),
        )
        for setting, outlook in scenarios(kill)
    )
