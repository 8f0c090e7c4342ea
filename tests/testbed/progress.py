"""Says how far a long build is: one live line on a terminal, a plain line every half minute elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from .cache import Say

_PLAIN_SECONDS = 30.0
_LIVE_SECONDS = 1.0


class Progress:
    """Counts the steps of one build while a thread shows where it stands.

    `total` is an upper bound, where there is one: what Go has in its own cache is not compiled again and not
    counted. `unit` is what the steps are called.
    """

    def __init__(
        self, *, title: str, total: int | None, say: Say, live: bool | None = None, unit: str = "packages"
    ) -> None:
        self._title = title
        self._total = "" if total is None else f"of at most {total} "
        self._unit = unit
        self._say = say
        self._live = sys.stderr.isatty() if live is None else live
        self._done = 0
        self._last = "starting"
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def step(self, what: str) -> None:
        """Note one step that has begun: a package that is compiled, for one."""
        self._done += 1
        self._last = what

    def now(self, what: str) -> None:
        """Note what is done that is no step, such as a download."""
        self._last = what

    def line(self) -> str:
        """Where the build stands now."""
        return (
            f"building {self._title}: {self.seconds:.0f} s, "
            f"{self._done} {self._total}{self._unit}, now {self._last}"
        )

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._live:
            self._rewrite("")

    def _show(self) -> None:
        while not self._ended.wait(_LIVE_SECONDS if self._live else _PLAIN_SECONDS):
            if self._live:
                self._rewrite(self.line())
            else:
                self._say(self.line())

    def _rewrite(self, text: str) -> None:
        # Back to column 0, text, clear to the end of the line; cut so that it never wraps.
        sys.stderr.write(f"\r{text[:100]}\x1b[K")
        sys.stderr.flush()
