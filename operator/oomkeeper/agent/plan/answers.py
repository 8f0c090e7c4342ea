"""The answer to the present plan request, until it expires."""

import math
import time
from collections.abc import Callable

from oomkeeper.logformat import get_logger
from oomkeeper.model.times import format_time
from oomkeeper.resources.oomnode import NodePlan

from .planner import Planner
from .request import LONGEST_SECONDS, PlanRequest

log = get_logger(__name__)

SPACING_SECONDS = 1.0
"""Least time between two evaluations: each one reads every process."""


class PlanAnswers:
    """Used from the loop's thread."""

    def __init__(
        self,
        planner: Planner,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._planner = planner
        self._clock = clock
        self._wall = wall
        self.answer: NodePlan | None = None
        """What OOMNode.status.plan shows."""
        self._waiting: PlanRequest | None = None
        self._ends_at = math.inf
        self._evaluated_at = -math.inf

    def ask(self, request: PlanRequest | None) -> None:
        """Take the request that the OOMNode holds now; None: it holds none."""
        if request is not None and self.answer is not None and request.id == self.answer.id:
            return  # answered
        self._waiting = request
        if request is None:
            self._ends_at = -math.inf

    def tick(self) -> bool:
        """Answer what waits and drop what has expired; return whether the answer has changed."""
        now, before = self._clock(), self.answer
        if now >= self._ends_at:
            self.answer, self._ends_at = None, math.inf
        request = self._waiting
        if request is not None and now >= self._evaluated_at + SPACING_SECONDS:
            self._waiting, self._evaluated_at = None, now
            seconds = min(request.expires - self._wall(), LONGEST_SECONDS)
            if seconds > 0:
                self.answer = self._evaluate(request, seconds=seconds)
                self._ends_at = now + seconds
        return self.answer is not before

    def deadline(self) -> float:
        """Return the time until `tick` has something to do, in seconds."""
        due = self._ends_at
        if self._waiting is not None:
            due = min(due, self._evaluated_at + SPACING_SECONDS)
        return max(0.0, due - self._clock())

    def _evaluate(self, request: PlanRequest, *, seconds: float) -> NodePlan:
        expires = format_time(self._wall() + seconds)
        try:
            plan = self._planner.evaluate(request.desired, id=request.id, expires=expires)
        except OSError as error:
            log.warning("plan not evaluated", id=request.id, error=error)
            return NodePlan(id=request.id, expires=expires, problem=str(error)[:256])
        log.info("plan answered", id=request.id, seconds=round(self._clock() - self._evaluated_at, 3))
        return plan
