"""When the reconciler runs: soon after a change, once for many changes, and never all the time."""

import asyncio

_DELAY_SECONDS = 0.05
"""How long further changes are collected after the first."""
_PAUSE_FACTOR = 4.0
_SHORTEST_PAUSE_SECONDS = 0.01
"""Shortest pause, so that the controller never spins."""


class Coalescer:
    """Turns many notifications into one wake-up. notify() never waits."""

    def __init__(self) -> None:
        self._notified = asyncio.Event()

    def notify(self) -> None:
        """Report a change."""
        self._notified.set()

    async def wait(self, *, at_most_seconds: float) -> None:
        """Wait for a notification plus a short delay, or until the time is over; then start collecting
        anew."""
        try:
            # Not wait_for(): before Python 3.12 it loses a cancellation that comes with the notification.
            async with asyncio.timeout(max(at_most_seconds, 0.0)):
                await self._notified.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_DELAY_SECONDS)
        self._notified.clear()


def pause_seconds(*, computed_seconds: float) -> float:
    """Return the pause after a run: computing takes at most a fifth of one core."""
    return max(computed_seconds * _PAUSE_FACTOR, _SHORTEST_PAUSE_SECONDS)
