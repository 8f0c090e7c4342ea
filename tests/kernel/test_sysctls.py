"""A policy on this host: set, kept against others, persisted, refused, given back. Harmless keys only."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.harness import Eater, Node, oomkeeper
from tests.waiting import eventually

DUMP = "vm.oom_dump_tasks"
ALLOCATING = "vm.oom_kill_allocating_task"
SWAPPINESS = "vm.swappiness"


def path(key: str) -> Path:
    return Path("/proc/sys", *key.split("."))


def value(key: str) -> int:
    return int(path(key).read_text())


@pytest.fixture(autouse=True)
def as_found() -> Iterator[dict[str, int]]:
    """Whatever a test does, these are as they were."""
    found = {key: value(key) for key in (DUMP, ALLOCATING, SWAPPINESS)}
    yield found
    for key, before in found.items():
        if value(key) != before:
            path(key).write_text(str(before))


def policy(folder: Path, *, sysctls: dict[str, int], name: str = "test", **spec: object) -> Path:
    file = folder / f"{name}.yaml"
    document = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name},
        "spec": {"sysctls": sysctls, **spec},
    }
    file.write_text(json.dumps(document))
    return file


def other(key: str, found: dict[str, int]) -> int:
    """A value that is not the one found."""
    return 1 - found[key] if key != SWAPPINESS else (found[key] + 7) % 100


def test_policy_is_applied_shown_and_reverted(node: Node, tmp_path: Path, as_found: dict[str, int]) -> None:
    wanted = {key: other(key, as_found) for key in as_found}
    node.start("--policy", policy(tmp_path, sysctls=wanted))
    eventually(lambda: all(value(key) == number for key, number in wanted.items()))
    for key, number in wanted.items():
        row = eventually(lambda key=key: node.sysctl(key)["state"] and node.sysctl(key))
        assert (row["desired"], row["actual"], row["original"]) == (number, number, as_found[key])
        assert (row["state"], row["policy"], row["driftCount"]) == ("InSync", "test", 0)
    assert node.stop() == 0
    # Ending the watch is no release: only --restore is.
    assert {key: value(key) for key in wanted} == wanted
    done = oomkeeper("node", "--state-dir", node.state, "--etc", node.etc, "--restore")
    assert done.returncode == 0, done.stderr
    assert {key: value(key) for key in as_found} == as_found


def test_original_value_survives_sigkill_and_second_policy(
    node: Node, tmp_path: Path, as_found: dict[str, int]
) -> None:
    first, second = (as_found[SWAPPINESS] + 3) % 100, (as_found[SWAPPINESS] + 9) % 100
    node.start("--policy", policy(tmp_path, sysctls={SWAPPINESS: first}))
    eventually(lambda: value(SWAPPINESS) == first)
    node.kill()
    node.start("--policy", policy(tmp_path, sysctls={SWAPPINESS: second}, name="second"), "--restore")
    eventually(lambda: value(SWAPPINESS) == second)
    row = eventually(lambda: node.sysctl(SWAPPINESS)["policy"] == "second" and node.sysctl(SWAPPINESS))
    assert (row["original"], row["driftCount"]) == (as_found[SWAPPINESS], 0)
    assert node.stop() == 0
    assert value(SWAPPINESS) == as_found[SWAPPINESS]


def test_drift_is_corrected_counted_and_attributed_to_a_file_in_etc(
    node: Node, tmp_path: Path, as_found: dict[str, int]
) -> None:
    wanted = (as_found[SWAPPINESS] + 5) % 100
    foreign = (as_found[SWAPPINESS] + 11) % 100
    (node.etc / "sysctl.d").mkdir()
    (node.etc / "sysctl.d" / "50-distribution.conf").write_text(f"{SWAPPINESS} = {foreign}\n")
    node.start("--policy", policy(tmp_path, sysctls={SWAPPINESS: wanted}))
    eventually(lambda: value(SWAPPINESS) == wanted)
    path(SWAPPINESS).write_text(str(foreign))
    eventually(lambda: value(SWAPPINESS) == wanted)
    row = eventually(lambda: node.sysctl(SWAPPINESS)["driftCount"] == 1 and node.sysctl(SWAPPINESS))
    assert row["state"] == "InSync"
    assert row["lastDriftTime"]
    assert "/etc/sysctl.d/50-distribution.conf" in row["suspectedWriter"]
    assert node.stop() == 0


def test_enforcement_pauses_for_a_persistent_foreign_writer_and_reports_it(
    node: Node, tmp_path: Path, as_found: dict[str, int]
) -> None:
    wanted = (as_found[SWAPPINESS] + 5) % 100
    foreign = (as_found[SWAPPINESS] + 11) % 100
    node.start("--policy", policy(tmp_path, sysctls={SWAPPINESS: wanted}))

    def still_fought_over() -> bool:
        if value(SWAPPINESS) == wanted:
            path(SWAPPINESS).write_text(str(foreign))
        return node.sysctl(SWAPPINESS)["reason"] == "FightingForeignWriter"

    eventually(still_fought_over, seconds=120)
    row = node.sysctl(SWAPPINESS)
    assert row["state"] == "Drifted"
    assert row["driftCount"] == 6
    assert "enforcement paused" in row["message"]
    path(SWAPPINESS).write_text(str(foreign))
    # Two more looks, and it is still the other one's.
    time.sleep(11)
    assert value(SWAPPINESS) == foreign
    assert node.sysctl(SWAPPINESS)["driftCount"] == 6
    assert node.stop() == 0


def test_persistent_policy_writes_one_drop_in_and_removes_it(
    node: Node, tmp_path: Path, as_found: dict[str, int]
) -> None:
    wanted = other(DUMP, as_found)
    drop_in = node.etc / "sysctl.d" / "99-zzz-oomkeeper.conf"
    node.start("--policy", policy(tmp_path, sysctls={DUMP: wanted}, persistence="Persistent"))
    eventually(drop_in.exists)
    lines = [line for line in drop_in.read_text().splitlines() if not line.startswith("#")]
    assert lines == [f"{DUMP} = {wanted}"]
    assert drop_in.stat().st_mode & 0o777 == 0o644
    assert eventually(lambda: node.sysctl(DUMP)["persisted"])
    assert node.stop() == 0
    node.start("--policy", policy(tmp_path, sysctls={DUMP: wanted}, name="runtime"), "--restore")
    eventually(lambda: not drop_in.exists())
    assert value(DUMP) == wanted
    assert node.stop() == 0
    assert value(DUMP) == as_found[DUMP]
    assert list((node.etc / "sysctl.d").iterdir()) == []


def test_audit_mode_reports_and_changes_nothing(node: Node, tmp_path: Path, as_found: dict[str, int]) -> None:
    wanted = other(ALLOCATING, as_found)
    node.start("--policy", policy(tmp_path, sysctls={ALLOCATING: wanted}, mode="Audit"))
    row = eventually(lambda: node.sysctl(ALLOCATING)["state"] and node.sysctl(ALLOCATING))
    assert (row["state"], row["desired"], row["actual"]) == ("Audited", wanted, as_found[ALLOCATING])
    assert value(ALLOCATING) == as_found[ALLOCATING]
    assert node.stop() == 0


@pytest.mark.parametrize(
    ("sysctls", "said"),
    [
        ({"vm.panic_on_oom": 1}, "NodePanic"),
        ({"vm.panic_on_oom": 2}, "ContainerLimitPanicsNode"),
        ({DUMP: 7}, DUMP),
        ({"vm.drop_caches": 3}, "unknown sysctl"),
    ],
)
def test_dangerous_policy_is_refused_before_anything_is_changed(
    node: Node, tmp_path: Path, as_found: dict[str, int], sysctls: dict[str, int], said: str
) -> None:
    before = value("vm.panic_on_oom")
    file = policy(tmp_path, sysctls={SWAPPINESS: (as_found[SWAPPINESS] + 5) % 100, **sysctls})
    done = oomkeeper("node", "--policy", file, "--state-dir", node.state, "--etc", node.etc)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert value("vm.panic_on_oom") == before
    assert {key: value(key) for key in as_found} == as_found
    assert not node.state.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "/nonexistent/policy.yaml"), "/nonexistent/policy.yaml"),
        (("--kmsg", "/nonexistent/kmsg"), "/nonexistent/kmsg"),
        (("--restore",), "no state"),
        (("--state-dir", "/dev/null/state"), "/dev/null"),
    ],
)
def test_unusable_argument_is_named_in_one_line(node: Node, arguments: tuple[str, ...], said: str) -> None:
    done = oomkeeper("node", "--state-dir", node.state, "--etc", node.etc, *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_processes_are_adjusted_by_name_while_the_policy_exists(
    node: Node, tmp_path: Path, eater: Callable[..., Eater]
) -> None:
    early = eater("oomk-test-agent")
    bystander = eater("oomk-test-other")
    before = score(early)
    rules = [{"name": "agents", "process": {"comm": "oomk-test-agent"}, "value": 700}]
    file = policy(tmp_path, sysctls={}, oomScoreAdjustments=rules)
    node.start("--policy", file)
    eventually(lambda: score(early) == 700)
    late = eater("oomk-test-agent")
    eventually(lambda: score(late) == 700)
    assert score(bystander) == before
    # A later value from another writer is kept.
    late.do("adj", value=900)
    eventually(lambda: score(late) == 700)
    node.kill()
    late.do("adj", value=900)
    done = oomkeeper("node", "--state-dir", node.state, "--etc", node.etc, "--restore")
    assert done.returncode == 0, done.stderr
    assert score(early) == before
    assert score(late) == 900


def score(process: Eater) -> int:
    return int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())


def test_no_file_is_left_in_etc() -> None:
    assert not os.path.lexists("/etc/sysctl.d/99-zzz-oomkeeper.conf")
