"""For how long a node's agent has not reported on the latest spec."""

from .objects import OOMNodeState


class UnansweredSince:
    """Remembers per node since when its spec waits for an answer. Kept in memory: a restart counts anew."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}

    def seconds(self, name: str, *, state: OOMNodeState | None, now: float) -> float:
        """Return the seconds without an answer to the present generation; 0 if it has been answered."""
        generation = state.generation if state else 0
        if state is not None and state.observed_generation >= state.generation:
            self._since.pop(name, None)
            return 0.0
        known, since = self._since.get(name, (generation, now))
        self._since[name] = (generation, since if known == generation else now)
        return now - self._since[name][1]
