"""Kills as the tests of the diagnosis need them: made of facts, not of text."""

from collections.abc import Mapping

from oomkeeper.model.cause import Scope
from oomkeeper.model.kill import Invoker, Kill, TaskRow, Victim
from oomkeeper.model.memory import BuddyBlock, Counter, MemoryFacts, Zone
from oomkeeper.model.node import NodeFacts
from oomkeeper.model.pod import ContainerFacts, Owner, PodFacts

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
UID = "0a1b2c3d-1111-2222-3333-444455556666"
CID = "ab" * 32
POD_PATH = f"/kubepods/burstable/pod{UID}"
CONTAINER_PATH = f"{POD_PATH}/{CID}"

VICTIM = Victim(
    pid=42,
    comm="memhog",
    uid=0,
    total_vm_bytes=200 * MIB,
    anon_rss_bytes=80 * MIB,
    file_rss_bytes=MIB,
    shmem_rss_bytes=0,
    oom_score_adj=0,
)


def counter(usage_mib: float, limit_mib: float | None) -> Counter:
    """A counter in MiB."""
    return Counter(
        usage_bytes=int(usage_mib * MIB),
        limit_bytes=int(limit_mib * MIB) if limit_mib is not None else None,
        failcnt=1,
    )


def invoker(gfp: str = "0xcc0(GFP_KERNEL)", order: int = 0, comm: str = "memhog") -> Invoker:
    """The header."""
    return Invoker(comm=comm, pid=41, order=order, gfp=gfp, oom_score_adj=0)


def memcg_kill(
    oom_memcg: str | None,
    task_memcg: str | None,
    *,
    memory: MemoryFacts | None = None,
    victims: tuple[Victim, ...] = (VICTIM,),
    tasks: tuple[TaskRow, ...] = (),
    oom_group: str | None = None,
) -> Kill:
    """A kill at a cgroup's limit of 80 MiB."""
    return Kill(
        scope=Scope.MEMCG,
        header_seen=True,
        invoker=invoker(),
        constraint="CONSTRAINT_MEMCG",
        nodemask="(null)",
        oom_memcg=oom_memcg,
        task_memcg=task_memcg,
        victims=victims,
        kill_lines=len(victims),
        oom_group=oom_group,
        memory=memory or MemoryFacts(memory=counter(80, 80)),
        tasks=tasks,
    )


def global_kill(
    *zones: Zone,
    gfp: str | None = "0x140dca(GFP_HIGHUSER_MOVABLE)",
    order: int = 0,
    constraint: str | None = "CONSTRAINT_NONE",
    nodemask: str | None = "(null)",
    mems_allowed: str | None = "0",
    mem_info_pages: Mapping[str, int] | None = None,
) -> Kill:
    """A kill by the page allocator. Unless given, Mem-Info counts as free what the zones do."""
    pages = {"free": sum(one.fields_bytes["free"] for one in zones) // 4096}
    return Kill(
        scope=Scope.GLOBAL,
        header_seen=True,
        invoker=invoker(gfp, order) if gfp else None,
        constraint=constraint,
        nodemask=nodemask,
        mems_allowed=mems_allowed,
        victims=(VICTIM,),
        kill_lines=1,
        memory=MemoryFacts(
            zones=zones,
            mem_info_pages=pages if mem_info_pages is None else mem_info_pages,
            ram_pages=1 << 20,
            reserved_pages=0,
        ),
    )


def zone(
    name: str,
    free_kib: int,
    min_kib: int,
    *,
    node: int = 0,
    reserve_pages: tuple[int, ...] = (),
    buddy: tuple[BuddyBlock, ...] = (),
    **fields_kib: int,
) -> Zone:
    """A zone in KiB; low and high follow min unless given."""
    fields = {
        "free": free_kib,
        "min": min_kib,
        "low": min_kib * 5 // 4,
        "high": min_kib * 3 // 2,
        "managed": 1 << 20,
    }
    fields.update(fields_kib)
    return Zone(
        node=node,
        name=name,
        fields_bytes={key: value * KIB for key, value in fields.items()},
        lowmem_reserve_pages=reserve_pages,
        buddy=buddy,
    )


def task(pid: int, rss_mib: int, *, comm: str = "memhog", adj: int = 0, swap_mib: int = 0) -> TaskRow:
    """A row of the task table."""
    pages = MIB // 4096
    return TaskRow(
        pid=pid,
        uid=0,
        tgid=pid,
        total_vm_pages=rss_mib * pages,
        rss_pages=rss_mib * pages,
        pgtables_bytes=4096,
        swapents_pages=swap_mib * pages,
        oom_score_adj=adj,
        comm=comm,
    )


def pod(*containers: ContainerFacts, limit_bytes: int | None = None) -> PodFacts:
    """shop/web-1."""
    return PodFacts(
        namespace="shop",
        name="web-1",
        uid=UID,
        node="n1",
        cgroup_uid=UID,
        owner=Owner(group="apps", kind="ReplicaSet", name="web-5d4f", uid="rs"),
        qos="Burstable",
        containers=containers,
        limit_bytes=limit_bytes,
    )


def container(
    name: str = "app", limit_mib: int | None = 80, request_mib: int | None = 40, cid: str = CID
) -> ContainerFacts:
    """A container of the pod."""
    return ContainerFacts(
        name=name,
        container_ids=(cid,),
        limit_bytes=limit_mib * MIB if limit_mib else None,
        request_bytes=request_mib * MIB if request_mib else None,
    )


def node(online_nodes: tuple[int, ...] = (0,), cpus: int = 2) -> NodeFacts:
    """A small host."""
    return NodeFacts(
        kernel_release="6.1.0",
        boot_id="b",
        cgroup_version=2,
        page_size_bytes=4096,
        memory_bytes=4 * GIB,
        swap_bytes=0,
        cpus=cpus,
        online_nodes=online_nodes,
    )
