"""Kills and verdicts to render: an ordinary one, and one whose every text is an attack."""

from oomkeeper.model.cause import (
    BindingCounter,
    Cause,
    Confidence,
    ContributorName,
    Level,
    Outcome,
    Remedy,
    Scope,
)
from oomkeeper.model.diagnosis import Advice, Contributor, Diagnosis
from oomkeeper.model.kill import Invoker, Kill, TaskRow, Victim
from oomkeeper.model.memory import Counter, MemoryFacts, Zone
from oomkeeper.model.pod import KubeCgroup

MIB = 1 << 20
POD_UID = "0f4a3c1e-1111-2222-3333-444455556666"
CONTAINER_ID = "ab12" * 16
POD_PATH = (
    "/kubepods.slice/kubepods-burstable.slice"
    "/kubepods-burstable-pod0f4a3c1e_1111_2222_3333_444455556666.slice"
)
CONTAINER_PATH = f"{POD_PATH}/cri-containerd-{CONTAINER_ID}.scope"

KUBE = KubeCgroup(prefix="", segment="container", qos="Burstable", pod_uid=POD_UID, container_id=CONTAINER_ID)

HOSTILE = "\x1b[2J<b>\n\x07|`\u202e"


def task(pid: int, comm: str, *, rss_mib: int, oom_score_adj: int = 0) -> TaskRow:
    """A row of the task table with 4 KiB pages."""
    return TaskRow(
        pid=pid,
        uid=0,
        tgid=pid,
        total_vm_pages=rss_mib * 512,
        rss_pages=rss_mib * 256,
        pgtables_bytes=4096,
        swapents_pages=0,
        oom_score_adj=oom_score_adj,
        comm=comm,
    )


KILL = Kill(
    usec=2919920_414131,
    scope=Scope.MEMCG,
    header_seen=True,
    invoker=Invoker(comm="java", pid=811, order=0, gfp="0xcc0(GFP_KERNEL)", oom_score_adj=984),
    kernel_release="6.1.0-13-amd64",
    constraint="CONSTRAINT_MEMCG",
    oom_memcg=CONTAINER_PATH,
    task_memcg=CONTAINER_PATH,
    chosen_comm="java",
    chosen_pid=811,
    chosen_uid=1000,
    victims=(
        Victim(
            pid=811,
            comm="java",
            uid=1000,
            total_vm_bytes=2048 * MIB,
            anon_rss_bytes=500 * MIB,
            file_rss_bytes=2 * MIB,
            shmem_rss_bytes=0,
            pgtables_bytes=MIB,
            oom_score_adj=984,
        ),
    ),
    kill_lines=1,
    memory=MemoryFacts(
        memory=Counter(usage_bytes=512 * MIB, limit_bytes=512 * MIB, failcnt=30),
        swap=Counter(usage_bytes=0, limit_bytes=0, failcnt=0),
    ),
    tasks=(
        task(811, "java", rss_mib=502, oom_score_adj=984),
        task(640, "pause", rss_mib=1, oom_score_adj=-998),
    ),
)

DIAGNOSIS = Diagnosis(
    scope=Scope.MEMCG,
    cause=Cause.CONTAINER_LIMIT,
    level=Level.CONTAINER,
    outcome=Outcome.KILLED,
    limit_bytes=512 * MIB,
    usage_bytes=512 * MIB,
    binding_counter=BindingCounter.MEMORY,
    contributors=(
        Contributor(name=ContributorName.ANONYMOUS, bytes=500 * MIB, share=500 / 512),
        Contributor(name=ContributorName.KERNEL_SLAB, bytes=2 * MIB, share=2 / 512, detail="dentry"),
    ),
    confidence=Confidence.HIGH,
    summary="The container met its own limit of 512 MiB and java (pid 811) was killed.",
    advice=(
        Advice(remedy=Remedy.FIND_LEAK, message="java alone held 98 % of the limit."),
        Advice(remedy=Remedy.FIT_LIMIT, message="Set limits.memory to 640Mi."),
    ),
    uncertain=("The log does not show how long the growth took.",),
)

HOSTILE_KILL = KILL._replace(
    invoker=Invoker(comm=HOSTILE, pid=811, order=0, gfp=HOSTILE, oom_score_adj=0),
    kernel_release=HOSTILE,
    constraint=HOSTILE,
    oom_memcg=f"/{HOSTILE}",
    task_memcg=f"/{HOSTILE}/x\udc9b31m",
    oom_group=HOSTILE,
    panic=HOSTILE,
    chosen_comm=HOSTILE,
    wall=HOSTILE,
    nodemask=HOSTILE,
    mems_allowed=HOSTILE,
    cpuset=HOSTILE,
    victims=(Victim(pid=811, comm=HOSTILE),),
    tasks=(task(811, HOSTILE, rss_mib=502), task(7, "漢字", rss_mib=3)),
)

HOSTILE_DIAGNOSIS = DIAGNOSIS._replace(
    summary=f"{HOSTILE} was killed.",
    advice=(Advice(remedy=Remedy.FIND_LEAK, message=HOSTILE),),
    uncertain=(HOSTILE,),
    contributors=(Contributor(name=ContributorName.KERNEL_SLAB, bytes=MIB, share=0.5, detail=HOSTILE),),
)

GLOBAL_KILL = KILL._replace(
    scope=Scope.GLOBAL,
    constraint="CONSTRAINT_NONE",
    oom_memcg=None,
    task_memcg="/system.slice/mysqld.service",
    mems_allowed="0",
    memory=MemoryFacts(
        zones=(
            Zone(
                node=0, name="DMA32", fields_bytes={"free": 44 * MIB, "min": 11 * MIB, "managed": 3000 * MIB}
            ),
            Zone(
                node=0, name="Normal", fields_bytes={"free": 36 * MIB, "min": 37 * MIB, "managed": 4000 * MIB}
            ),
        ),
        swap_free_bytes=0,
        swap_total_bytes=1024 * MIB,
        ram_pages=2_000_000,
    ),
)

GLOBAL_DIAGNOSIS = DIAGNOSIS._replace(
    scope=Scope.GLOBAL,
    cause=Cause.NODE_MEMORY,
    level=None,
    limit_bytes=None,
    usage_bytes=None,
    binding_counter=None,
    summary="The machine ran out of memory and java (pid 811) was killed.",
)
