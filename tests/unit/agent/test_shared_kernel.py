"""Nodes that are containers of one machine (kind) read one log: each kill is published by one of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from oomkeeper.agent.cgroup_kill_counters import first_counters
from oomkeeper.agent.incidents import status_of
from oomkeeper.agent.kill_recorder import KillRecorder
from oomkeeper.agent.late_attribution import LateAttribution
from oomkeeper.agent.listener import LoopListener
from oomkeeper.agent.pods import PodTable
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.store import Store
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.node_container import has_kernel_pids, in_some_container, path_inside
from oomkeeper.kernel.tracefs.events import VictimMarked
from oomkeeper.model.log import LogRecord
from oomkeeper.model.node import NodeFacts

from .pod_samples import parse_pod, pod_object, running, status

FACTS = NodeFacts(
    kernel_release="6.12.0",
    boot_id="boot",
    cgroup_version=1,
    page_size_bytes=4096,
    memory_bytes=1 << 34,
    swap_bytes=0,
    cpus=2,
    online_nodes=(0,),
)
FIRST, SECOND, FOREIGN = ("1" * 64, "2" * 64, "f" * 64)
CONTAINER = "c" * 64
UIDS = {
    FIRST: "0a1b2c3d-1111-2222-3333-444455556666",
    SECOND: "0a1b2c3d-1111-2222-3333-777788889999",
    FOREIGN: "0a1b2c3d-aaaa-bbbb-cccc-ddddeeeeffff",
}


def pod_cgroup(node: str) -> str:
    """Of the node's one pod, as the node sees it."""
    return f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UIDS[node].replace('-', '_')}.slice"


def app_cgroup(node: str) -> str:
    return f"{pod_cgroup(node)}/cri-containerd-{CONTAINER}.scope"


class SharedNode:
    """A node in a container, with one pod, and its kill recorder."""

    def __init__(self, folder: Path, *, container: str, appointed: bool = False) -> None:
        self.container = container
        self._mount = folder / "cgroup" / "memory"
        self._mount.mkdir(parents=True)
        (self._mount / "memory.usage_in_bytes").write_text("0")
        self._kills = 0
        (folder / "vmstat").write_text("oom_kill 0\n")
        # A process of this pid in the node's own /proc: not the one that the log speaks of.
        self.add_process(4711, "/kubelet.slice/somebody-else")
        hierarchy = CgroupHierarchy.find(root=folder / "cgroup", proc=folder)
        self.store = Store.open(folder / "state")
        boot = self.store.start_boot(
            boot_id="boot",
            since="2026-01-01T00:00:00Z",
            cursor=0,
            vmstat_base=0,
            counters=first_counters(hierarchy),
        )
        pods = PodTable()
        app = status("app", now=running(), container_id=CONTAINER)
        pods.replace([parse_pod(pod_object(app, uid=UIDS[container]))], now=0.0)
        shared = SharedKernel(container_id=container, kernel_pids=False)
        shared.publishes_host_kills = appointed
        self._recorder = KillRecorder(
            store=self.store,
            facts=FACTS,
            node=f"node-{container[0]}",
            boot=boot,
            hierarchy=hierarchy,
            pods=pods,
            operator_namespace="oomkeeper-system",
            listener=LoopListener(),
            shared=shared,
            late=LateAttribution(
                store=self.store,
                facts=FACTS,
                node=f"node-{container[0]}",
                pods=pods,
                operator_namespace="oomkeeper-system",
                node_container=container,
            ),
        )

    def add_process(self, pid: int, cgroup: str) -> None:
        folder = self._mount.parents[1] / str(pid)
        folder.mkdir()
        (folder / "cgroup").write_text(f"4:memory:{cgroup}\n")

    def count(self, cgroup: str, kills: int) -> None:
        """The kernel's own counter of a cgroup, as this node sees it."""
        folder = self._mount / cgroup.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")

    def read(self, records: Sequence[LogRecord]) -> None:
        self._kills += sum(b"Killed process" in record.text for record in records)
        (self._mount.parents[1] / "vmstat").write_text(f"oom_kill {self._kills}\n")
        self._recorder.feed(records, lost=lambda: 0)
        self._recorder.finish()

    def record_traced(self, victim: VictimMarked, *, path: str | None) -> None:
        self._recorder.record_traced(victim, path=path)

    @property
    def published(self) -> dict[str, int]:
        """Pod, or cgroup -> kills counted."""
        return {
            incident.spec.workload.name if incident.spec.workload else incident.spec.cgroup or "": status_of(
                incident
            ).count
            or 0
            for _, incident in self.store.incidents()
        }

    @property
    def recorded(self) -> int:
        return self.store.account().recorded


class Log:
    """The machine's kernel log."""

    def __init__(self) -> None:
        self._seq = 0

    def record(self, text: str) -> LogRecord:
        self._seq += 1
        return LogRecord(text.encode(), usec=self._seq * 1000, seq=self._seq)

    def full(self, path: str, *, pid: int = 4711) -> list[LogRecord]:
        """A kill with its report, at the limit of the victim's own cgroup."""
        return [
            self.record("tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"),
            self.record("memory: usage 49152kB, limit 49152kB, failcnt 20"),
            self.record(
                "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
                f"oom_memcg={path},task_memcg={path},task=tail,pid={pid},uid=0"
            ),
            self.bare(pid=pid),
        ]

    def bare(self, *, pid: int = 4711) -> LogRecord:
        """All that the rate limit leaves of a kill."""
        return self.record(
            f"Memory cgroup out of memory: Killed process {pid} (tail) total-vm:60000kB, anon-rss:48000kB, "
            "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:140kB oom_score_adj:0"
        )


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[SharedNode, SharedNode]]:
    """Two nodes of one cluster; the first has the kills of the host."""
    made = (
        SharedNode(tmp_path / "first", container=FIRST, appointed=True),
        SharedNode(tmp_path / "second", container=SECOND),
    )
    yield made
    for node in made:
        node.store.close()


def show(nodes: Sequence[SharedNode], records: Sequence[LogRecord]) -> list[dict[str, int]]:
    for node in nodes:
        node.read(records)
    return [node.published for node in nodes]


def test_kill_of_a_pod_is_published_by_its_node_alone(nodes: tuple[SharedNode, SharedNode]) -> None:
    assert show(nodes, Log().full(f"/docker/{SECOND}{app_cgroup(SECOND)}")) == [{}, {"web-1": 1}]


def test_every_node_accounts_for_every_kill_of_the_kernel(nodes: tuple[SharedNode, SharedNode]) -> None:
    show(nodes, Log().full(f"/docker/{SECOND}{app_cgroup(SECOND)}"))
    assert [node.recorded for node in nodes] == [1, 1]


def test_kill_without_a_report_is_published_by_the_node_whose_counter_moved(
    nodes: tuple[SharedNode, SharedNode],
) -> None:
    nodes[1].count(app_cgroup(SECOND), 1)
    assert show(nodes, [Log().bare()]) == [{}, {"web-1": 1}]


def test_kill_without_a_report_outside_every_cgroup_here_is_left_to_other_nodes(
    nodes: tuple[SharedNode, SharedNode],
) -> None:
    assert show(nodes, [Log().bare()]) == [{}, {}]


def test_process_of_a_node_is_that_nodes_and_not_the_hosts(nodes: tuple[SharedNode, SharedNode]) -> None:
    path = f"/docker/{SECOND}/system.slice/sshd.service"
    assert show(nodes, Log().full(path)) == [{}, {path: 1}]


@pytest.mark.parametrize(
    "path", ["/user.slice/build", f"/user.slice/user-1000.slice/user@1000.service{pod_cgroup(SECOND)}"]
)
def test_process_of_the_machine_is_published_by_the_node_appointed(
    nodes: tuple[SharedNode, SharedNode], path: str
) -> None:
    """Also where a user has made a tree that looks like a node's."""
    assert show(nodes, Log().full(path)) == [{path: 1}, {}]


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{FOREIGN}{app_cgroup(FOREIGN)}",
        f"/docker/{FOREIGN}/system.slice/kubelet.service",
        f"/system.slice/docker-{FOREIGN}.scope",
        f"/machine.slice/libpod-{FOREIGN}.scope/container",
    ],
)
def test_what_dies_in_another_container_of_the_machine_is_not_ours(
    nodes: tuple[SharedNode, SharedNode], path: str
) -> None:
    assert show(nodes, Log().full(path)) == [{}, {}]


def test_report_accounts_for_the_counter_of_a_nodes_own_cgroup(nodes: tuple[SharedNode, SharedNode]) -> None:
    """Else the next kill without a report, on whatever node, would be laid to its charge."""
    log = Log()
    nodes[1].count("/system.slice/sshd.service", 1)
    records = [*log.full(f"/docker/{SECOND}/system.slice/sshd.service"), log.bare()]
    assert show(nodes, records) == [{}, {f"/docker/{SECOND}/system.slice/sshd.service": 1}]


def test_kill_that_only_the_trace_has_is_counted_once_by_every_node(
    nodes: tuple[SharedNode, SharedNode],
) -> None:
    victim = VictimMarked(5_000_000, 50, 4711, b"tail", 0, 60000, 48000, 0, 0, 140, 0)
    for _ in range(2):
        nodes[1].record_traced(victim, path=app_cgroup(SECOND))
    assert (nodes[1].recorded, nodes[1].published) == (1, {"web-1": 1})
    (kill,) = nodes[1].store.kills()
    assert (kill.victims[0].pid, kill.victims[0].comm, kill.task_memcg) == (4711, "tail", app_cgroup(SECOND))
    assert any("trace" in sentence for sentence in kill.uncertain)
    nodes[0].record_traced(victim, path=None)
    assert (nodes[0].recorded, nodes[0].published) == (1, {})


def test_paths_of_the_log_are_told_from_the_nodes_own() -> None:
    assert path_inside(f"/docker/{FIRST}/kubelet.slice/x", container_id=FIRST) == "/kubelet.slice/x"
    assert path_inside(f"/system.slice/docker-{FIRST}.scope/a", container_id=FIRST) == "/a"
    assert path_inside(f"/docker/{FIRST}", container_id=FIRST) == "/"
    assert path_inside("/kubelet.slice/x", container_id=FIRST) is None
    # A container of another node that has given a cgroup of its own this node's id.
    forged = f"/docker/{SECOND}{app_cgroup(SECOND)}/{FIRST}/kubelet.slice/x"
    assert path_inside(forged, container_id=FIRST) is None
    assert not in_some_container("/system.slice/sshd.service")
    assert not in_some_container(f"/deadbeef{FIRST}")


def test_pids_of_another_pid_namespace_are_not_looked_up(tmp_path: Path) -> None:
    assert has_kernel_pids() == (Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC)
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").touch()
    assert not has_kernel_pids(proc=tmp_path)
