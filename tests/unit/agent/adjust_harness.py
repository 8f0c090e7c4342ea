"""Real processes, in the cgroups of a made-up node."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oomkeeper.agent.oomscoreadj.enforcer import OomScoreAdjEnforcer
from oomkeeper.agent.oomscoreadj.entry import parse_entry
from oomkeeper.agent.oomscoreadj.targets import NamespaceLabels, Targets
from oomkeeper.agent.pods import PodTable
from oomkeeper.agent.store import Store
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.resources.oomnode import DesiredAdjustment

from .pod_samples import UID

FORKS = "while read line; do sleep 1000 & echo $!; done"
"""A shell that starts a child for each line, and says its pid."""


class Tree:
    """A cgroup2 mount as kubelet's cgroupfs driver makes it; processes are put in by writing their pids."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").write_text("")

    def put(self, path: str, *pids: int) -> Path:
        """Make the cgroup, and make these its processes."""
        folder = self.root / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return folder

    def container(self, container_id: str, *pids: int, uid: str = UID) -> Path:
        return self.put(f"/kubepods/burstable/pod{uid}/{container_id}", *pids)


@contextmanager
def processes(number: int, script: str = "exec sleep 1000") -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of ours, with oom_score_adj as we have it; they and their children are gone afterwards."""
    running = [
        subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for _ in range(number)
    ]
    try:
        yield running
    finally:
        for one in running:
            subprocess.run(["pkill", "-KILL", "-s", str(one.pid)], check=False)
            one.wait()


def child_of(shell: subprocess.Popen[str]) -> int:
    """A new child of one that runs FORKS."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write("\n")
    shell.stdin.flush()
    return int(shell.stdout.readline())


def adj(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def set_adj(pid: int, value: int) -> None:
    Path(f"/proc/{pid}/oom_score_adj").write_text(str(value))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def adjuster(
    tree: Tree,
    store: Store,
    *,
    pods: PodTable | None = None,
    namespaces: NamespaceLabels = lambda _name: None,
    clock: Clock | None = None,
    boot_id: str = "a-boot",
) -> OomScoreAdjEnforcer:
    clock = clock or Clock()
    return OomScoreAdjEnforcer(
        store=store,
        targets=Targets(
            hierarchy=CgroupHierarchy(mount=tree.root, version=2, proc=Path("/proc")),
            cgroup_root=tree.root,
            pods=pods,
            proc=Path("/proc"),
            namespaces=namespaces,
            clock=clock,
        ),
        boot_id=boot_id,
        clock=clock,
    )


def rule(value: int, name: str = "a", policy: str = "p", **fields: object) -> DesiredAdjustment:
    target = fields if {"systemdUnit", "process"} & fields.keys() else {"podSelector": {}, **fields}
    return parse_entry({"policy": policy, "name": name, "value": value, **target})
