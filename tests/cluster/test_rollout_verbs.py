"""`kubectl oom rollout` against the real API server and controller; the tests play the agents."""

import json
import subprocess
import sys

from tests.waiting import eventually

from .controller_harness import POLICIES, Controller, Harness, controller, harness
from .test_controller_rollouts import PATH, Agents, agents, judged, policy, pytestmark, rollout, values

__all__ = ["agents", "controller", "harness", "pytestmark"]

RUN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"


def start(harness: Harness, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RUN, "rollout", *words, "--kubeconfig", str(harness.plane.kubeconfig)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(harness: Harness, *words: str) -> tuple[int, str]:
    """Return the exit status and what it printed, to stdout or stderr."""
    process = start(harness, *words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


def test_status_follows_each_batch_until_the_end(harness: Harness, agents: Agents) -> None:
    assert agents
    policy(harness, 20)
    status, out = run(harness, "status", "p", "--timeout", "100s")
    lines = out.splitlines()
    assert status == 0, out
    assert lines[-1] == "generation 2: Complete, 4/4 nodes have the values"
    steps = [count for line in lines for count in range(1, 5) if f", {count}/4 nodes: " in line]
    # The controller writes a status each 5 s, so not each batch of this fast rollout is in one.
    assert steps == sorted(steps), out
    assert len(set(steps)) > 1, out
    assert run(harness, "status", "oompolicy/p", "--no-watch") == (0, lines[-1] + "\n")


def test_status_fails_at_a_halt_and_resume_continues(harness: Harness, agents: Agents) -> None:
    agents.refusing.add("n3")
    policy(harness, 20)
    status, out = run(harness, "status", "p", "--timeout", "100s")
    assert status == 1
    assert "kubectl oom rollout: generation 2: Halted, 2/4 nodes: n3: " in out
    agents.refusing.clear()
    eventually(lambda: harness.status(PATH)["nodes"]["refused"] == 0)
    assert run(harness, "resume", "p") == (0, "oompolicy/p resumed\n")
    eventually(lambda: rollout(harness)["phase"] != "Halted")
    assert run(harness, "status", "p", "--timeout", "100s")[0] == 0
    assert values(harness) == [20] * 4


def test_pause_and_resume(harness: Harness, agents: Agents) -> None:
    assert agents
    assert run(harness, "pause", "p") == (0, "oompolicy/p paused\n")
    assert run(harness, "pause", "p") == (0, "oompolicy/p was paused already\n")
    policy(harness, 20, rollout={})
    eventually(lambda: rollout(harness)["phase"] == "Paused")
    status, out = run(harness, "status", "p", "--timeout", "2s")
    assert (status, values(harness)) == (1, [10] * 4)
    assert "not complete after 2s: generation 2: Paused, 0/4 nodes" in out
    assert run(harness, "undo", "p")[0] == 1
    assert run(harness, "resume", "p") == (0, "oompolicy/p resumed\n")
    eventually(lambda: values(harness) == [20] * 4)
    eventually(lambda: judged(harness) == "Current")
    assert run(harness, "resume", "p")[1] == "oompolicy/p is neither paused nor halted; nothing changed\n"


def test_undo_of_a_halted_rollout_and_undo_of_the_undo(
    harness: Harness, controller: Controller, agents: Agents
) -> None:
    agents.refusing.add("n3")
    policy(harness, 20)
    eventually(lambda: judged(harness) == "Failed")
    controller.kill()  # what is restored outlives it
    agents.refusing.clear()
    controller.start()
    before = harness.get(PATH)
    status, out = run(harness, "undo", "p", "--dry-run")
    assert (status, out) == (0, "oompolicy/p has the values of generation 1 again (dry run)\n")
    assert harness.get(PATH)["spec"] == before["spec"]
    status, out = run(harness, "undo", "p")
    assert (status, out) == (0, "oompolicy/p has the values of generation 1 again, as generation 3\n")
    assert run(harness, "status", "p", "--timeout", "100s")[0] == 0
    assert values(harness) == [10] * 4
    spec = harness.get(PATH)["spec"]
    assert spec["sysctls"] == {"vm.swappiness": 10}
    assert spec["rollout"] == before["spec"]["rollout"], "how it is rolled out is not undone"
    assert run(harness, "undo", "p")[0] == 1, "generation 2 was never complete"

    policy(harness, 30, rollout={})
    eventually(lambda: values(harness) == [30] * 4)
    eventually(lambda: harness.status(PATH)["completedRollouts"][0]["generation"] == 4)
    assert [json.loads(one["spec"])["sysctls"] for one in harness.status(PATH)["completedRollouts"]] == [
        {"vm.swappiness": 30},
        {"vm.swappiness": 10},
    ]
    for value in (10, 30):
        assert run(harness, "undo", "p")[0] == 0
        eventually(lambda value=value: values(harness) == [value] * 4)  # type: ignore[misc]
        newest = harness.get(PATH)["metadata"]["generation"]
        eventually(
            lambda newest=newest: harness.status(PATH)["completedRollouts"][0]["generation"] == newest  # type: ignore[misc]
        )


def test_nothing_to_undo_and_unknown_policy(harness: Harness, agents: Agents) -> None:
    assert agents
    status, out = run(harness, "undo", "p")
    assert (status, "no earlier values" in out) == (1, True)
    for verb in ("status", "pause", "resume", "undo"):
        status, out = run(harness, verb, "absent")
        assert (status, out) == (1, "kubectl oom rollout: oompolicy absent not found\n")
    status, out = run(harness, "status", "p", "--timeout", "soon")
    assert status == 2
    assert "'soon' is no duration" in out
    assert not any(one["metadata"]["name"] == "absent" for one in harness.list(POLICIES))
