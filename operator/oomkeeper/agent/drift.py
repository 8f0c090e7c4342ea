"""When a value that another writer keeps changing is left to that writer: the drift-fight threshold, for
sysctls and for oom_score_adj."""

MAX_DRIFTS = 6
"""Changes by another writer within the window that are corrected; then the value is left alone until the
window has passed."""
DRIFT_WINDOW_SECONDS = 600.0


class DriftHistory:
    """The recent changes of one value by another writer. Times are seconds of a clock that no one sets
    (monotonic)."""

    def __init__(self, times: tuple[float, ...] = ()) -> None:
        self.times = times

    def recent(self, now: float) -> "DriftHistory":
        """Return the history within the window. A time after `now` is of another boot and does not count."""
        return DriftHistory(tuple(when for when in self.times if 0 <= now - when < DRIFT_WINDOW_SECONDS))

    def add(self, now: float) -> "DriftHistory":
        """Return the recent history with one change more. During a fight nothing is added: one look at the
        same foreign value is not another change."""
        recent = self.recent(now)
        return recent if recent.is_fight else DriftHistory((*recent.times, now))

    @property
    def is_fight(self) -> bool:
        """Whether the value is left to the other writer."""
        return len(self.times) >= MAX_DRIFTS


def fight_message(writer: str | None = None) -> str:
    """Return the sentence that statuses show during a fight."""
    by = f", probably by {writer}" if writer else ""
    return (
        f"overwritten {MAX_DRIFTS} times in {DRIFT_WINDOW_SECONDS / 60:.0f} min{by}; "
        "enforcement paused until it stops"
    )
