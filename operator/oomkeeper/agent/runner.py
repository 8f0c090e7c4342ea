"""Run the loop on a state that may move between disk and memory."""

from collections.abc import Callable

from .database import StateUnwritableError
from .loop import NodeLoop
from .store import Store
from .upkeep import StateReloadedError


def run_on_state(store: Store, build: Callable[[], NodeLoop]) -> None:
    """Build a loop and run it until it is stopped; anew from the store, where that has moved.

    What was not committed is read again from the kernel log, whose ring buffer holds it, so nothing is lost
    or counted twice. Raises StateError where neither disk nor memory takes the state."""
    while True:
        loop = None
        try:
            loop = build()
            loop.run()
            return
        except StateUnwritableError as error:
            store.go_to_memory(error)
        except StateReloadedError:
            pass
        finally:
            if loop is not None:
                loop.close()
