"""`kubectl oom plan` against the real API server and controller, and a real agent on a /proc of its own: the
plan is what happens after the apply."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_files import make_proc
from tests.waiting import eventually

from .agent_harness import OPERATOR_NAMESPACE, Agent, namespace
from .controller_harness import NODES, OOM_NODES, POLICIES, Controller, Harness, Json, controller, harness

__all__ = ["controller", "harness"]

pytestmark = pytest.mark.cluster

RUN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"
SWAP, DUMP = "vm.swappiness", "vm.oom_dump_tasks"
ONE = ("--max-nodes", "1", "--timeout", "60")
"""Ask n1 alone: n2 has no agent, and would be waited for."""
ANNOTATION = "oomkeeper.dev/plan-request"


class Host:
    """A host of files, with an agent of its own."""

    def __init__(self, folder: Path, harness: Harness) -> None:
        self.proc = make_proc(folder)
        for key, value in ((SWAP, 60), (DUMP, 1), ("kernel.panic", 10), ("vm.panic_on_oom", 0)):
            self.put(key, value)
        (self.proc / "sys/kernel/random/boot_id").write_text("boot-of-files\n")
        (self.proc / "vmstat").write_text("oom_kill 0\n")
        self.process(10, "small", kib=1000)
        self.process(11, "big\x1b[2J", kib=900_000)
        # Of the length of every value that it gets: a plain file keeps the rest of what was longer.
        self.process(12, "sshd", kib=5000, adj=-100)
        (folder / "cgroup/memory").mkdir(parents=True)
        (folder / "cgroup/memory/memory.usage_in_bytes").write_text("0")
        paths: list[str | Path] = []
        for name in ("cgroup", "tracefs", "pstore", "pstore-archive", "sys"):
            (folder / name).mkdir(exist_ok=True)
            paths += [f"--{name}", folder / name]
        paths += ["--proc", self.proc]
        kubeconfig = harness.plane.kubeconfig
        self.agent = Agent(folder / "agent", kubeconfig=kubeconfig, node="n1", arguments=paths)

    def process(self, pid: int, comm: str, *, kib: int, adj: int = 0) -> None:
        folder = self.proc / str(pid)
        folder.mkdir()
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "status").write_text(f"Name:\tx\nVmRSS:\t{kib} kB\nVmSwap:\t0 kB\nVmPTE:\t4 kB\n")
        (folder / "oom_score_adj").write_text(f"{adj}\n")
        (folder / "stat").write_text(f"{pid} (x) S 1 {'0 ' * 17}{pid} 0\n")
        (folder / "cgroup").write_text("0::/system.slice/x.service\n")

    def put(self, key: str, value: int) -> None:
        path = self.proc.joinpath("sys", *key.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def value(self, key: str) -> int:
        return int(self.proc.joinpath("sys", *key.split(".")).read_text())


@pytest.fixture
def host(harness: Harness, controller: Controller, tmp_path: Path) -> Iterator[Host]:
    """Node n1 has the agent; n2, in the same zone, has none."""
    assert controller
    namespace(harness.plane, OPERATOR_NAMESPACE)
    made = Host(tmp_path / "host", harness)
    for name in ("n1", "n2"):
        harness.node(name, ready=True)
        eventually(lambda name=name: harness.find(f"{OOM_NODES}/{name}"))  # type: ignore[misc]
    made.agent.start()
    try:
        eventually(lambda: harness.status(f"{OOM_NODES}/n1")["kernel"]["release"] == "6.12.0")
        yield made
    finally:
        if made.agent.running:
            made.agent.kill()


def plan(harness: Harness, folder: Path, spec: Json, *words: str, name: str = "p") -> tuple[int, str]:
    """Return the exit status, and what it printed."""
    file = folder / "policy.yaml"
    document = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }
    file.write_text(json.dumps(document))
    command = [sys.executable, "-c", RUN, "plan", "-f", str(file), "--kubeconfig", harness.plane.kubeconfig]
    done = subprocess.run([*map(str, command), *words], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def on_node(found: Json, name: str) -> Json:
    [one] = [node for node in found["nodes"] if node["node"] == name]
    return one


def test_plan_is_what_the_apply_does(harness: Harness, host: Host, tmp_path: Path) -> None:
    harness.policy("base", sysctls={DUMP: 0}, priority=200)
    eventually(lambda: host.value(DUMP) == 0)
    spec = {
        "sysctls": {SWAP: 10, DUMP: 1},
        "oomScoreAdjustments": [{"name": "big", "process": {"comm": "sshd"}, "value": -500}],
        "rollout": {"maxConcurrent": 1, "soakSeconds": 1},
    }
    status, text = plan(harness, tmp_path, spec, "--detailed-exitcode", *ONE, "-o", "json")
    assert status == 3, text
    found = json.loads(text)
    assert (found["changes"], found["refusals"], found["selectedNodes"]) == (True, False, 2)
    assert found["overridden"] == [{"sysctl": DUMP, "by": "base", "nodes": 2}]
    assert found["rollout"] == {"batchNodes": 1, "firstBatch": ["n1"], "soakSeconds": 1}
    one = on_node(found, "n1")
    assert "unanswered" not in one
    assert [(s["name"], s["before"], s["after"], s["policy"]) for s in one["sysctls"]] == [
        (SWAP, 60, 10, "p")
    ]
    [entry] = one["oomScoreAdjustments"]
    assert (entry["selected"], entry["changing"]) == (1, 1)
    assert [process["comm"] for process in one["processes"]] == ["big\\x1b[2J", "small", "sshd"]
    assert one["processes"][2]["adjAfter"] == -500
    assert on_node(found, "n2")["unanswered"] == "more nodes than --max-nodes"

    # Nothing was applied, and the request is gone.
    assert harness.find(f"{POLICIES}/p") is None
    assert (host.value(SWAP), host.value(DUMP)) == (60, 0)
    for name in ("n1", "n2"):
        assert ANNOTATION not in harness.get(f"{OOM_NODES}/{name}")["metadata"].get("annotations", {})
    eventually(lambda: "plan" not in harness.status(f"{OOM_NODES}/n1"))

    harness.policy("p", **spec)
    eventually(lambda: host.value(SWAP) == 10)
    assert host.value(DUMP) == 0
    eventually(lambda: (host.proc / "12/oom_score_adj").read_text().strip() == "-500")
    status, text = plan(harness, tmp_path, spec, "--detailed-exitcode", "--no-ask")
    assert (status, "no value changes" in text) == (0, True), text

    # And a change of the policy that is there: what it no longer sets is restored.
    status, text = plan(harness, tmp_path, {"sysctls": {"kernel.panic": 30}}, "--detailed-exitcode")
    assert status == 2, text
    assert "KubeletConflict" in text
    change = {"sysctls": {"kernel.panic": 30}, "panicSafety": {"acknowledge": ["KubeletConflict"]}}
    status, text = plan(harness, tmp_path, change, *ONE, "--detailed-exitcode")
    assert status == 4, text
    assert f"{SWAP}: 10 -> 60 (original value)" in text
    assert "kernel.panic: 10, Refused; KubeletNotFound" in text
    assert "oom_score_adj: 1 processes get their original value back" in text
    assert "\x1b" not in text
    harness.policy("p", **change)
    eventually(lambda: host.value(SWAP) == 60)
    eventually(lambda: (host.proc / "12/oom_score_adj").read_text().strip() == "-100")
    assert host.value("kernel.panic") == 10


def test_bad_policy_ends_with_one_line(harness: Harness, host: Host, tmp_path: Path) -> None:
    assert host
    status, text = plan(harness, tmp_path, {"sysctls": {"vm.panic_on_oom": 1}})
    assert (status, len(text.splitlines())) == (2, 1)
    assert "panicSafety.acknowledge" in text
    status, text = plan(harness, tmp_path, {}, name="")
    assert status == 2
    status, text = plan(harness, tmp_path, {}, name="Not_A_Name")
    assert (status, len(text.splitlines())) == (2, 1), text
    assert harness.list(POLICIES) == []
    assert len(harness.list(NODES)) == 2


def test_markdown_and_a_policy_that_selects_no_node(harness: Harness, host: Host, tmp_path: Path) -> None:
    status, text = plan(harness, tmp_path, {"sysctls": {SWAP: 20}}, "-o", "markdown", *ONE)
    assert status == 0
    assert text.startswith("### OOMPolicy p on 2 of 2 selected nodes: values change; nothing was applied")
    assert "| now | after | oom\\_score |" in text or "| now | after | oom_score |" in text
    assert "more nodes than" in text
    host.agent.kill()
    status, text = plan(harness, tmp_path, {"sysctls": {SWAP: 20}}, "--timeout", "1")
    assert (status, "2 nodes: n1, n2" in text, "did not answer within 1 s" in text) == (0, True, True), text
    status, text = plan(
        harness, tmp_path, {"sysctls": {SWAP: 20}, "nodeSelector": {"matchLabels": {"no": "such"}}},
        "--detailed-exitcode",
    )  # fmt: skip
    assert (status, "The policy selects no Linux node" in text) == (0, True)
    assert host.value(SWAP) == 60
