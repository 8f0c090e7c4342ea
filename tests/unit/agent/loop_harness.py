"""A node of files in a temporary folder, whose loop runs on virtual time and reads a kernel log of the
test's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from oomkeeper.agent.health import Health
from oomkeeper.agent.host_paths import HostPaths
from oomkeeper.agent.inbox import Inbox
from oomkeeper.agent.incidents import status_of
from oomkeeper.agent.listener import LoopListener
from oomkeeper.agent.loop import NodeLoop
from oomkeeper.agent.nodestatus import NodeView
from oomkeeper.agent.pods import PodTable
from oomkeeper.agent.store import Store
from oomkeeper.agent.workloads import WorkloadOf, direct_owner
from oomkeeper.kernel.kmsg import KmsgUnreadableError
from oomkeeper.model.log import LogRecord
from tests.host_files import make_proc


class FakeLog:
    """The ring buffer of a kernel, and readers of it."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.first = 0
        self.readable = True
        self.kills = 0

    def append(self, text: str, *, usec: int | None = None) -> None:
        seq = len(self.records)
        stamp = seq * 1000 if usec is None else usec
        self.records.append(LogRecord(text.encode(), usec=stamp, seq=seq))

    def forget(self) -> None:
        """Overwrite every record, as the ring buffer does in time."""
        self.first = len(self.records)

    def kill(self, cgroup: str, *, pid: int = 4711, usec: int | None = None) -> None:
        """A kill with its report, at the limit of the victim's own cgroup."""
        for line in (
            "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
            "memory: usage 49152kB, limit 49152kB, failcnt 20",
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
            f"oom_memcg={cgroup},task_memcg={cgroup},task=tail,pid={pid},uid=0",
            f"Memory cgroup out of memory: Killed process {pid} (tail) total-vm:60000kB, anon-rss:48000kB, "
            "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:140kB oom_score_adj:0",
        ):
            self.append(line, usec=usec)
        self.kills += 1


class FakeReader:
    """What KmsgReader is to /dev/kmsg."""

    numbered = True

    def __init__(self, log: FakeLog, after_seq: int) -> None:
        if not log.readable:
            raise KmsgUnreadableError("/dev/kmsg: Operation not permitted")
        self._log = log
        self._next = max(after_seq + 1, log.first)
        self._pipe = os.pipe()
        self.lost = 0

    def fileno(self) -> int:
        return self._pipe[0]

    def read_available(self) -> Iterator[LogRecord]:
        while self._next < len(self._log.records):
            self._next += 1
            yield self._log.records[self._next - 1]

    def close(self) -> None:
        for fd in self._pipe:
            os.close(fd)


class Recording(LoopListener):
    """Keeps what the loop reports."""

    def __init__(self) -> None:
        self.views: list[NodeView] = []

    def node_changed(self, view: NodeView) -> None:
        self.views.append(view)


class LoopHarness:
    """One node. `start` and `kill` are the agent's process; `reboot` is the machine's."""

    def __init__(
        self,
        folder: Path,
        *,
        in_cluster: bool = True,
        log: FakeLog | None = None,
        workload_of: WorkloadOf = direct_owner,
    ) -> None:
        """`log`: what the kernel has printed before the first start."""
        self.folder = folder
        self.in_cluster = in_cluster
        self.workload_of = workload_of
        self.now = 1000.0
        self.wall = 1_800_000_000.0
        self.log = log or FakeLog()
        make_proc(folder)
        (folder / "cgroup" / "memory").mkdir(parents=True)
        (folder / "cgroup" / "memory" / "memory.usage_in_bytes").write_text("0")
        self.put_sysctl("vm.swappiness", 60)
        self.put_sysctl("kernel.panic", 10)
        for name in ("etc", "pstore", "archive"):
            (folder / name).mkdir()
        self.set_boot("boot-1")
        self.start()

    def set_boot(self, boot_id: str) -> None:
        self.boot_id = boot_id
        (self.folder / "proc/sys/kernel/random/boot_id").write_text(f"{boot_id}\n")

    def put_sysctl(self, key: str, value: int) -> None:
        self.folder.joinpath("proc/sys", *key.split(".")).write_text(f"{value}\n")

    def sysctl(self, key: str) -> int:
        return int(self.folder.joinpath("proc/sys", *key.split(".")).read_text())

    def count_kills(self) -> None:
        """Let /proc/vmstat say what the log says."""
        (self.folder / "proc/vmstat").write_text(f"oom_kill {self.log.kills}\n")

    def start(self) -> None:
        """Start the agent's loop."""
        self.count_kills()
        self.store = self.open_store()
        self.listener = Recording()
        self.inbox = Inbox()
        self.build()

    def paths(self) -> HostPaths:
        """Where the files of this host are."""
        return HostPaths(
            proc=self.folder / "proc",
            sys=self.folder / "sys",
            cgroup=self.folder / "cgroup",
            etc=self.folder / "etc",
            kmsg=self.folder / "nowhere",
            tracefs=self.folder / "tracefs",
            pstore=self.folder / "pstore",
            pstore_archive=self.folder / "archive",
        )

    def build(self) -> None:
        """Build a loop on the open store, with the inbox of the one before."""
        self.health = Health(clock=lambda: self.now)
        self.loop = NodeLoop(
            store=self.store,
            node="node-a",
            host=self.paths(),
            pods=(
                PodTable(workload_of=self.workload_of, wall=lambda: self.wall) if self.in_cluster else None
            ),
            operator_namespace="ops",
            listener=self.listener,
            inbox=self.inbox,
            health=self.health,
            open_log=lambda seq: FakeReader(self.log, seq),  # type: ignore[arg-type, return-value]
            clock=lambda: self.now,
            wall=lambda: self.wall,
            since_boot=lambda: self.now,
        )

    def open_store(self) -> Store:
        return Store.open(self.folder / "state")

    def restart(self) -> None:
        """End the agent as kill -9 does, and start it again."""
        self.store.close()
        self.start()

    def reboot(self, boot_id: str, *, sysctls: dict[str, int]) -> None:
        """Restart the machine: the kernel's log, counters and values are new; the agent is not started
        yet."""
        self.store.close()
        self.log = FakeLog()
        self.now = 5.0
        for key, value in sysctls.items():
            self.put_sysctl(key, value)
        self.set_boot(boot_id)
        shutil.rmtree(self.folder / "cgroup" / "memory")
        (self.folder / "cgroup" / "memory").mkdir()
        (self.folder / "cgroup" / "memory" / "memory.usage_in_bytes").write_text("0")

    def pass_seconds(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass, with a look in each `step` seconds, as if on a quiet disk."""
        self.count_kills()
        until = self.now + seconds
        while self.now < until:
            by = min(step, until - self.now)
            self.now += by
            self.wall += by
            self.loop.step()

    @property
    def view(self) -> NodeView:
        return self.listener.views[-1]

    @property
    def subjects(self) -> dict[str, int]:
        """Pod, or cgroup of the host -> kills counted."""
        found: dict[str, int] = {}
        for _, incident in self.store.incidents():
            spec = incident.spec
            name = spec.workload.name if spec.workload else spec.cgroup or ""
            found[name] = found.get(name, 0) + (status_of(incident).count or 0)
        return found

    def kinds(self) -> Sequence[str]:
        return [incident.spec.cause for _, incident in self.store.incidents()]
