"""What is known of a verb before it is imported."""

import os
from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb is implemented and what it does, in one line."""

    module: str
    what: str
    extra: str = ""
    """The package's extra that it needs."""


def completion_variable(prog: str) -> str:
    """Return the name of the environment variable by which a shell asks `prog` for completions."""
    return f"_{prog.replace('-', '_').replace(' ', '_').upper()}_COMPLETE"


def asks_for_completions(prog: str) -> bool:
    """Return True if a shell wants completions, and not a verb to run."""
    return bool(os.environ.get(completion_variable(prog)))
