"""What an OOM handbook asks for, as docs/oom-handling.md does it: settings, the example, causes from logs.

The source document's own log excerpts are tested where that document lies beside the checkout; it is no part
of the repository. `data/` has what Debian's 6.1 cloud kernel printed in a virtual machine of two NUMA nodes.
"""

import json
import os
import re
from pathlib import Path

import pytest

from oomkeeper.api.policyfile import PolicyFileError, load_policy
from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Cause, Level, Outcome, Remedy
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.kill import Kill
from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES
from tests.unit.cli.running import oomkeeper
from tests.unit.docs.pages import CHECKOUT

MIB = 1 << 20
HANDBOOK = CHECKOUT / "docs" / "oom-handling.md"
SEED = Path(os.environ.get("OOMKEEPER_SEED") or CHECKOUT.parent / "shared" / "seed.txt")
DATA = Path(__file__).parent / "data"
GLOBAL = Path(__file__).parents[1] / "diagnosis" / "data" / "6.1-v2-global.log"
needs_seed = pytest.mark.skipif(not SEED.is_file(), reason=f"no document at {SEED} (set OOMKEEPER_SEED)")


def judged(path: Path) -> list[tuple[Kill, Diagnosis]]:
    with path.open("rb") as stream:
        return [(kill, diagnose(kill)) for kill in parse_records(read_records(stream))]


# The source document's excerpts, as a PDF reader copies them


@needs_seed
def test_document_excerpts_get_the_causes_that_they_show() -> None:
    (own, alone), (parent, shared), (node, full), (numa, bound) = judged(SEED)
    assert [victim.pid for kill in (own, parent, node, numa) for victim in kill.victims] == [
        2021820,
        3238866,
        1822,
        1734,
    ]
    # Both lack the line that names the cgroups: the level stays open, and what the sizes tell is said.
    for verdict in (alone, shared):
        assert (verdict.cause, verdict.level) == (Cause.UNKNOWN_CGROUP_LIMIT, Level.UNKNOWN)
        assert (verdict.limit_bytes, verdict.usage_bytes) == (80 * MIB, 80 * MIB)
    assert any("used all of the 80 MiB" in said for said in alone.uncertain)
    assert any("other processes share the limit" in said for said in shared.uncertain)
    assert full.cause is Cause.NODE_MEMORY
    assert "below the min watermark of every zone" in full.summary
    assert bound.cause is Cause.NUMA_MEMORY_POLICY
    assert "NUMA node 1" in bound.summary
    assert "850 MiB was free elsewhere" in bound.summary


@needs_seed
def test_omitted_document_line_lets_cgroup_causes_be_named() -> None:
    line = (
        "warning|kernel[-]|[{time}] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,"
        "mems_allowed=0,oom_memcg={oom},task_memcg={task},task={comm},pid={pid},uid=0\n\n"
    )
    text = SEED.read_text()
    for at, oom, task, comm, pid in (
        ("2919920.414272", "/demo", "/demo", "memhog", 2021820),
        ("2925796.529366", "/demo", "/demo/a", "main", 3238866),
    ):
        killed = f"err|kernel[-]|[{at}]"
        said = line.format(time=at, oom=oom, task=task, comm=comm, pid=pid)
        text = text.replace(killed, said + killed)
    done = oomkeeper("explain", "-", "--output", "json", stdin=text.encode())
    assert [kill["cause"] for kill in json.loads(done.stdout)["kills"]] == [
        "CgroupLimit",
        "AncestorCgroupLimit",
        "NodeMemory",
        "NUMAMemoryPolicy",
    ]


@needs_seed
def test_document_remedies_have_figures() -> None:
    (_, own), _, (_, node), (_, numa) = judged(SEED)
    own_advice = {item.remedy: item.message for item in own.advice}
    assert "memhog alone uses 81.5 MiB (all of the limit)" in own_advice[Remedy.FIND_LEAK]
    assert "from 80 MiB to about 96 MiB" in own_advice[Remedy.FIT_LIMIT]
    assert "21.8 MiB below" in {item.remedy: item.message for item in node.advice}[Remedy.GROW_NODE]
    # 34068 kB free of 866920 kB, minimum 32016 kB: as printed.
    assert "Node 1 had 33.3 MiB free of 847 MiB (min watermark 31.3 MiB)" in numa.advice[0].message


# Three processes, one marked


def test_process_with_highest_score_of_three_is_killed_first() -> None:
    (first, verdict), (second, _), (third, _) = judged(GLOBAL)
    assert verdict.cause is Cause.NODE_MEMORY
    assert [kill.victims[0].comm for kill in (first, second, third)] == ["test1", "test2", "test"]
    held = {task.comm: task.rss_pages for task in first.tasks if task.comm.startswith("test")}
    adj = {task.comm: task.oom_score_adj for task in first.tasks if task.comm.startswith("test")}
    assert adj == {"test": 0, "test1": 1000, "test2": 0}
    assert held["test1"] < held["test2"]


# Settings that change what the kernel does


def test_oom_kill_allocating_task_kills_the_requesting_task() -> None:
    ((kill, verdict),) = judged(DATA / "6.1-v2-allocating-task.log")
    assert kill.invoker is not None
    assert (kill.victims[0].comm, kill.victims[0].pid) == ("asker", 100)
    assert kill.invoker.comm == "asker"
    assert verdict.cause is Cause.NODE_MEMORY


@pytest.mark.parametrize(
    ("log", "cause", "words"),
    [
        ("6.1-v2-panic-on-oom-1.log", Cause.NODE_MEMORY, "system-wide panic_on_oom is enabled"),
        ("6.1-v2-panic-on-oom-2.log", Cause.UNKNOWN_CGROUP_LIMIT, "compulsory panic_on_oom is enabled"),
    ],
)
def test_a_panic_has_the_shortage_for_its_cause(log: str, cause: Cause, words: str) -> None:
    ((kill, verdict),) = judged(DATA / log)
    assert (verdict.cause, verdict.outcome) == (cause, Outcome.PANICKED)
    assert kill.victims == ()
    assert words in verdict.summary


def test_the_settings_and_their_ranges_are_the_handbooks() -> None:
    ranges = {
        "vm.panic_on_oom": (0, 2),
        "vm.oom_kill_allocating_task": (0, 1),
        "vm.oom_dump_tasks": (0, 1),
    }
    text = HANDBOOK.read_text()
    for key, (lowest, highest) in ranges.items():
        rule = SYSCTL_RULES[key]
        assert (rule.minimum, rule.maximum) == (lowest, highest)
        assert f"### {key}\n" in text


def policy(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return path


def test_the_policy_of_the_handbook_is_a_good_one(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", HANDBOOK.read_text(), re.DOTALL)
    loaded = load_policy(policy(tmp_path, shown))
    assert loaded.metadata.name == "handbook"


@pytest.mark.parametrize("value", [-1000, 0, 1000])
def test_oom_score_adj_reaches_from_never_to_first(tmp_path: Path, value: int) -> None:
    load_policy(policy(tmp_path, adjusting(value)))


@pytest.mark.parametrize("value", [-1001, 1001])
def test_oom_score_adj_beyond_its_range_is_refused(tmp_path: Path, value: int) -> None:
    with pytest.raises(PolicyFileError, match="1000"):
        load_policy(policy(tmp_path, adjusting(value)))


def adjusting(value: int) -> str:
    return (
        "apiVersion: oomkeeper.dev/v1alpha1\nkind: OOMPolicy\nmetadata: {name: p}\nspec:\n"
        f"  oomScoreAdjustments: [{{name: a, process: {{comm: sshd}}, value: {value}}}]\n"
    )


def test_what_the_handbook_shows_of_a_panic_policy_is_what_is_printed(tmp_path: Path) -> None:
    done = oomkeeper(
        "node",
        "--policy",
        policy(
            tmp_path,
            "apiVersion: oomkeeper.dev/v1alpha1\nkind: OOMPolicy\nmetadata: {name: p}\n"
            "spec: {sysctls: {vm.panic_on_oom: 1}}\n",
        ),
        "--state-dir",
        tmp_path / "state",
    )
    assert done.returncode == 2
    said = done.stderr.decode().replace(f"{tmp_path}/", "").replace("policy.yaml", "panic.yaml").strip()
    assert said in HANDBOOK.read_text().replace("\nat each start", " at each start")


def test_the_recorded_example_reads_as_the_handbook_says() -> None:
    log = CHECKOUT / "demo" / "recorded.log"
    assert b"test1" in oomkeeper("explain", log).stdout
    done = oomkeeper("simulate", log, "--oom-score-adj", "test1=0")
    assert b"With oom_score_adj of test1 = 0: test (2643) is killed" in done.stdout
