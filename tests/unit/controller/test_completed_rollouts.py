"""The specs that an undo restores."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from oomkeeper.controller.completed_rollouts import completed_rollouts
from oomkeeper.controller.objects import Policy
from oomkeeper.model.times import format_time
from oomkeeper.resources.oompolicy import CompletedRollout, OOMPolicyStatus, RolloutStatus
from oomkeeper.resources.record import max_length

from .builders import NOW, policy

SWAP = "vm.swappiness"


def rollout(generation: int, phase: str = "Complete") -> RolloutStatus:
    return RolloutStatus(generation=generation, phase=phase, reason="X", since=format_time(NOW))


def completed(made: Policy, *, phase: str = "Complete") -> tuple[CompletedRollout, ...]:
    return completed_rollouts(made, rollout=rollout(made.spec_generation, phase), now=NOW)


def sequence(*specs: dict[str, Any]) -> tuple[CompletedRollout, ...]:
    """Complete one spec after the other."""
    entries: tuple[CompletedRollout, ...] = ()
    for generation, spec in enumerate(specs, start=1):
        status = OOMPolicyStatus(completed_rollouts=entries)
        entries = completed(policy("p", generation=generation, status=status, **spec))
    return entries


def values(entries: tuple[CompletedRollout, ...]) -> list[tuple[int, Any]]:
    return [(entry.generation, json.loads(entry.spec or "null")) for entry in entries]


def ten(**more: Any) -> dict[str, Any]:
    return {"sysctls": {SWAP: 10}, **more}


def twenty(**more: Any) -> dict[str, Any]:
    return {"sysctls": {SWAP: 20}, **more}


def test_last_two_are_kept_as_they_were_written() -> None:
    assert values(sequence(ten(), twenty(), ten(priority=7))) == [(3, ten(priority=7)), (2, twenty())]


def test_spec_with_the_same_values_replaces_its_predecessor() -> None:
    again = twenty(rollout={"maxConcurrent": 1})
    assert values(sequence(ten(), twenty(), again)) == [(3, again), (1, ten())]
    assert values(sequence(ten(), twenty(), ten())) == [(3, ten()), (2, twenty())]


@pytest.mark.parametrize("phase", ["Progressing", "Soaking", "Halted", "Paused"])
def test_rollout_that_is_not_complete_is_not_kept(phase: str) -> None:
    assert completed(policy("p", **ten()), phase=phase) == ()


def test_suspended_policy_and_one_without_a_valid_spec_keep_what_they_have() -> None:
    entries = sequence(ten())
    made = policy("p", generation=2, status=OOMPolicyStatus(completed_rollouts=entries), **twenty())
    assert completed_rollouts(made, rollout=None, now=NOW) == entries
    assert completed_rollouts(replace(made, spec=None), rollout=rollout(2), now=NOW) == entries
    assert completed_rollouts(made, rollout=rollout(1), now=NOW) == entries


def test_time_of_a_rollout_stays() -> None:
    [entry] = sequence(ten())
    made = policy("p", generation=1, status=OOMPolicyStatus(completed_rollouts=(entry,)), **ten())
    assert completed_rollouts(made, rollout=rollout(1), now=NOW + 99) == (entry,)


def test_spec_that_is_too_long_is_named_without_its_text() -> None:
    longest = max_length(CompletedRollout, "spec")
    labels = {f"key-{number}": "x" * 60 for number in range(4)}
    entries = [
        {"name": f"entry-{number}", "value": 1, "podSelector": {"matchLabels": labels}}
        for number in range(32)
    ]
    assert len(json.dumps(entries)) > longest
    [newest, before] = sequence(ten(), twenty(oomScoreAdjustments=entries))
    assert (newest.generation, newest.spec) == (2, None)
    assert before.spec is not None


def test_damaged_text_is_no_error() -> None:
    status = OOMPolicyStatus(
        completed_rollouts=(CompletedRollout(generation=1, completed_at=format_time(NOW), spec="{"),)
    )
    assert len(completed(policy("p", generation=2, status=status, **ten()))) == 2
