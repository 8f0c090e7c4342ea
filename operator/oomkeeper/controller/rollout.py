"""Which nodes may change now: one step of the rollout of one policy. Pure.

A batch of at most maxConcurrent nodes changes; when all of them are in sync for soakSeconds, the next one
follows. What was decided before is in OOMPolicy.status.rollout, and which nodes have the new values in their
OOMNode.spec, so a controller that is killed between two steps continues
(docs/decisions/110-a-rollout-is-in-the-objects.md). Where the two disagree, a soak begins again: after a
restart a rollout may be slower than necessary, never faster.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from oomkeeper.model.names import ROLLOUT_ANNOTATION, ROLLOUT_PAUSE, ROLLOUT_RESUME
from oomkeeper.model.policy import RolloutPhase, next_resume
from oomkeeper.model.times import format_time, parse_time
from oomkeeper.resources.oompolicy import RolloutStatus
from oomkeeper.resources.record import max_length

from .kill_increase import Increase

ANSWER_SECONDS = 300.0
"""How long a node that is Ready may take to report on its change, before it counts as failed."""

UPDATING, NODES_JOINED, WAITING_FOR_NODES = "NodesUpdating", "NodesJoined", "WaitingForNodes"
KILLS_INCREASED = "KillsIncreased"
_FAILED = ("Refused", "Unsupported", "Drifted", "AgentSilent", "Unreachable", "Unmanaged")
"""States of a node that has been changed, worst first. Overridden is none: that is the matter of another
policy."""
_NAMED = 3
_REQUEST_LENGTH = max_length(RolloutStatus, "request")


class Limits(NamedTuple):
    """spec.rollout, with maxConcurrent as a number of nodes."""

    nodes: int
    soak_seconds: int
    halt_on_failure: bool
    canary_soak_seconds: int | None = None
    """None: no nodes are to change before the others."""


class Member(NamedTuple):
    """A node of the policy."""

    node: str
    zone: str
    """topology.kubernetes.io/zone; empty if unknown."""
    unit: str
    """Nodes of one unit share a kernel and change together."""
    reached: bool
    """Whether it has been given the policy's present values."""
    away: bool
    """Whether it is not Ready or has no working agent."""
    state: str
    """Of a reached node: InSync, Overridden, Pending, or a failure (node_result.py)."""
    message: str = ""
    pending_seconds: float = 0.0
    """For how long it is Pending."""
    canary: bool = False
    """Whether spec.rollout.canary selects it."""


class Step(NamedTuple):
    """What happens now."""

    grant: frozenset[str]
    """Nodes that are changed from now on."""
    status: RolloutStatus
    due_at: float
    """When the time alone leads to the next step; infinity if it does not."""


def max_nodes(max_concurrent: int | str, *, total: int) -> int:
    """Return spec.rollout.maxConcurrent as a number of nodes: a share is rounded up."""
    if isinstance(max_concurrent, int):
        return max_concurrent
    # In integers: 0.07 * 100 is more than 7.
    return max(1, -(-int(max_concurrent.removesuffix("%")) * total // 100))


def next_step(
    members: Sequence[Member],
    *,
    limits: Limits,
    generation: int,
    previous: RolloutStatus | None,
    request: str | None,
    joined: frozenset[str] = frozenset(),
    has_begun: bool = True,
    increase: Increase | None = None,
    policy: str,
    now: float,
) -> Step:
    """Decide the next step.

    `generation`: the one whose values are rolled out; `previous`: the status that was decided last, whatever
    its generation; `request`: value of the annotation; `joined`: nodes that this process has changed since
    the rollout was complete; `has_begun`: whether nodes may have been changed for this generation or the
    one before, False if all nodes with the values had them before both; `increase`: that of OOM kills since
    `soaks_since`; `now`: seconds since the epoch.
    """
    return _Rollout(
        members,
        limits=limits,
        generation=generation,
        previous=previous,
        request=request[:_REQUEST_LENGTH] if request else None,
        joined=joined,
        has_begun=has_begun,
        increase=increase,
        policy=policy,
        now=now,
    ).step()


def soaks_since(previous: RolloutStatus | None, *, generation: int) -> float | None:
    """Return since when kills on the changed nodes are compared with those before: since the last batch is in
    sync. None where they are not compared: while nodes change, and for nodes that join later."""
    if previous is None or previous.generation != generation or previous.joining:
        return None
    if previous.phase not in (RolloutPhase.SOAKING, RolloutPhase.PAUSED):
        return None
    return _seconds(previous.since)


def in_order(members: Iterable[Member]) -> Iterator[list[Member]]:
    """Yield the units in the order in which they change: by name, one of each zone in turn."""
    units: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda member: member.node):
        units.setdefault(member.unit, []).append(member)
    zones: dict[str, list[list[Member]]] = {}
    for unit in units.values():
        zones.setdefault(unit[0].zone, []).append(unit)
    ranked = [(rank, zone, unit) for zone, of_zone in zones.items() for rank, unit in enumerate(of_zone)]
    yield from (unit for _, _, unit in sorted(ranked, key=lambda item: item[:2]))


class _Rollout:
    def __init__(
        self,
        members: Sequence[Member],
        *,
        limits: Limits,
        generation: int,
        previous: RolloutStatus | None,
        request: str | None,
        joined: frozenset[str],
        has_begun: bool,
        increase: Increase | None,
        policy: str,
        now: float,
    ) -> None:
        self._members = members
        self._limits = limits
        self._generation = generation
        self._request = request
        self._has_begun = has_begun
        self._increase = increase
        self._policy = policy
        self._now = now
        self._reached = [member for member in members if member.reached]
        self._remaining = [member for member in members if not member.reached]
        self._was_complete = self._is_complete(previous)
        same = previous is not None and previous.generation == generation
        self._before = previous if same or self._was_complete else None
        self._before_request = previous.request if previous else None
        self._is_new = previous is None
        # Nodes that failed after the rollout was complete do not keep later ones from joining.
        self._joining = self._was_complete or (self._before is not None and self._before.joining)
        failed = list(filter(None, map(self._failure, self._reached)))
        self._failures = sorted(
            (member for member in failed if not self._joining or member.node in joined),
            key=lambda member: (_FAILED.index(member.state), member.node),
        )
        gone = {member.node for member in failed}
        self._pending = [
            member for member in self._reached if member.state == "Pending" and member.node not in gone
        ]

    def _is_complete(self, previous: RolloutStatus | None) -> bool:
        """Return whether the last rollout was complete and this generation changes no value."""
        if previous is None or previous.phase != RolloutPhase.COMPLETE:
            return False
        return previous.generation == self._generation or 0 < previous.updated <= len(self._reached)

    def _failure(self, member: Member) -> Member | None:
        """Return the member with a state of _FAILED if it failed."""
        if member.state in _FAILED:
            return member
        if member.state == "Pending" and member.pending_seconds >= ANSWER_SECONDS:
            minutes = int(ANSWER_SECONDS // 60)
            message = f"its agent has not reported on the change for {minutes} minutes"
            return member._replace(state="AgentSilent", message=message)
        return None

    def step(self) -> Step:
        before, limits = self._before, self._limits
        if before is not None and before.phase == RolloutPhase.HALTED and not self._is_resumed():
            return self._stay(before)
        if before is not None and self._was_complete and not self._remaining and not self._grew():
            return self._stay(replace(before, generation=self._generation))
        if self._failures and limits.halt_on_failure:
            worst = self._failures[0]
            return self._halt(worst.node, f"Node{worst.state}", f"{worst.node}: {worst.message}")
        if self._increase is not None and limits.halt_on_failure:
            return self._halt(self._increase.node, KILLS_INCREASED, self._increase.message)
        if self._request == ROLLOUT_PAUSE and self._remaining:
            waiting = f"{_nodes(len(self._remaining))} not updated"
            message = f"the annotation {ROLLOUT_ANNOTATION} is {ROLLOUT_PAUSE}; {waiting}"
            return self._enter(RolloutPhase.PAUSED, "PausedByAnnotation", message)
        if self._pending:
            return self._wait_for_batch()
        soak_seconds = self._soak_seconds()
        if soak_seconds and (since := self._soaks_since()) is not None:
            until = since + soak_seconds
            if self._now < until:
                message = f"the last batch is in sync; soakSeconds is {soak_seconds}"
                step = self._enter(RolloutPhase.SOAKING, self._reason("Soaking"), message)
                return step._replace(due_at=until)
        if not self._remaining:
            failed = f"; {_nodes(len(self._failures))} failed" if self._failures else ""
            message = f"every node has the values of this generation{failed}"
            return self._enter(RolloutPhase.COMPLETE, "AllNodesUpdated", message)
        return self._next_batch()

    def _is_resumed(self) -> bool:
        request = self._request or ""
        return request.startswith(ROLLOUT_RESUME) and request != self._before_request

    def _halt(self, node: str, reason: str, why: str) -> Step:
        again = next_resume(self._request, now=self._now)
        command = f"kubectl annotate oompolicy {self._policy} {ROLLOUT_ANNOTATION}={again} --overwrite"
        message = f"{why[:600]}; to continue after the fix: {command}"
        step = self._enter(RolloutPhase.HALTED, reason, message)
        return step._replace(status=replace(step.status, halted_node=node))

    def _wait_for_batch(self) -> Step:
        message = f"waiting for the agents of {_nodes(len(self._pending))}"
        step = self._enter(RolloutPhase.PROGRESSING, self._reason(UPDATING), message)
        longest = max(member.pending_seconds for member in self._pending)
        return step._replace(due_at=self._now + ANSWER_SECONDS - longest)

    def _soak_seconds(self) -> int:
        """Return how long the last batch soaks: that of the canaries, if the others are next."""
        if self._limits.canary_soak_seconds is None or self._joining:
            return self._limits.soak_seconds
        only_canaries = all(member.canary for member in self._reached)
        others_next = self._remaining and not any(
            member.canary and not member.away for member in self._remaining
        )
        if only_canaries and others_next:
            return max(self._limits.canary_soak_seconds, self._limits.soak_seconds)
        return self._limits.soak_seconds

    def _soaks_since(self) -> float | None:
        """Return since when the last batch is in sync; None if there is no batch to wait for."""
        before = self._before
        if not self._reached or (self._is_new and not self._remaining):
            return None
        if before is None and not self._has_begun:
            return None
        if before is None or self._grew():
            return self._ceiling
        if self._was_complete:
            return None
        if before.phase in (RolloutPhase.SOAKING, RolloutPhase.PAUSED):
            return _seconds(before.since)
        return None if before.reason == WAITING_FOR_NODES else self._ceiling

    def _grew(self) -> bool:
        """Return whether more nodes are reached than the last status says: a controller was killed before it
        wrote that it began a batch."""
        return self._before is not None and self._before.updated < len(self._reached)

    def _next_batch(self) -> Step:
        chosen: list[Member] = []
        units = list(in_order(self._members))
        if self._canaries_first():
            units = [unit for unit in units if any(member.canary for member in unit)]
            if not units:
                message = "spec.rollout.canary selects no node of the policy: all nodes wait for one"
                return self._enter(RolloutPhase.PROGRESSING, WAITING_FOR_NODES, message)
        for unit in units:
            waiting = [member for member in unit if not member.reached]
            if not waiting or any(member.away for member in unit):
                continue
            if chosen and len(chosen) + len(waiting) > self._limits.nodes:
                break
            chosen += waiting
            if len(chosen) >= self._limits.nodes:
                break
        if not chosen:
            waiting_for = [member for member in self._remaining if member.canary] or self._remaining
            first = min(waiting_for, key=lambda member: member.node)
            what = f"{first.node}: {first.message or 'the node or its agent is not ready'}"
            more = f" and {len(self._remaining) - 1} more" if len(self._remaining) > 1 else ""
            return self._enter(RolloutPhase.PROGRESSING, WAITING_FOR_NODES, f"waiting for {what}{more}")
        names = ", ".join(member.node for member in chosen[:_NAMED])
        more = f" and {len(chosen) - _NAMED} more" if len(chosen) > _NAMED else ""
        grant = frozenset(member.node for member in chosen)
        status = self._status(
            RolloutPhase.PROGRESSING,
            self._reason(UPDATING),
            f"waiting for the agents of {names}{more}",
            since=format_time(self._ceiling),
            granted=len(grant),
        )
        return Step(grant, status, self._now + ANSWER_SECONDS)

    def _canaries_first(self) -> bool:
        """Return whether only canaries may change now: none has the values, or one more can get them."""
        if self._limits.canary_soak_seconds is None or self._joining:
            return False
        if not any(member.canary and member.reached for member in self._members):
            return True
        return any(member.canary and not member.away for member in self._remaining)

    def _reason(self, usual: str) -> str:
        return NODES_JOINED if self._joining else usual

    def _stay(self, before: RolloutStatus) -> Step:
        """Stay in a phase, whatever its cause has become."""
        status = self._status(before.phase, before.reason, before.message, since=before.since)
        status = replace(status, halted_node=before.halted_node, failed=before.failed)
        return Step(frozenset(), status, math.inf)

    def _enter(self, phase: RolloutPhase, reason: str, message: str) -> Step:
        """Enter a phase, or stay in it."""
        before = self._before
        since = format_time(self._ceiling)
        if phase == RolloutPhase.SOAKING and (soaks := self._soaks_since()) is not None:
            since = format_time(soaks)
        elif (
            before is not None
            and before.phase == phase
            and (before.reason == WAITING_FOR_NODES) == (reason == WAITING_FOR_NODES)
        ):
            since = before.since
        return Step(frozenset(), self._status(phase, reason, message, since=since), math.inf)

    @property
    def _ceiling(self) -> int:
        """The present in whole seconds, rounded up: no soak is shorter than it should be."""
        return math.ceil(self._now)

    def _status(
        self, phase: str, reason: str, message: str, *, since: str, granted: int = 0
    ) -> RolloutStatus:
        updated, total = len(self._reached) + granted, len(self._members)
        return RolloutStatus(
            generation=self._generation,
            phase=str(phase),
            updated=updated,
            total=total,
            failed=len(self._failures),
            joining=self._joining and phase != RolloutPhase.COMPLETE,
            progress=f"{updated}/{total}",
            reason=reason,
            message=message,
            since=since,
            request=self._request,
        )


def _seconds(time: str) -> float:
    """Return the time; a malformed one counts as long ago."""
    return parse_time(time) or 0.0


def _nodes(number: int) -> str:
    return "1 node" if number == 1 else f"{number} nodes"
