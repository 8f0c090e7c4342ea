"""An `explain` whose words mean what they say runs without click, whose import is a fourth of a start."""

import os
from collections.abc import Callable, Sequence


def plain_explain(words: Sequence[str]) -> Callable[[], int] | None:
    """Return the work of `explain` with the arguments `words`; None for all that click has to read or refuse:
    other options than a correct -o, files that may not be read (test_plain_explain_is_what_click_would_call).
    """
    from .explain_logs import explain_logs
    from .output import OUTPUTS

    names: list[str] = []
    output = OUTPUTS[0]
    rest = iter(words)
    for word in rest:
        if word in ("-o", "--output"):
            output = next(rest, "")
            if output not in OUTPUTS:
                return None
        elif word == "-" or _may_be_named(word):
            names.append(word)
        else:
            return None
    return lambda: explain_logs(names, output=output)


def _may_be_named(word: str) -> bool:
    """Return False for an option, and for a file that exists but may not be read."""
    return not word.startswith("-") and (os.access(word, os.R_OK) or not os.access(word, os.F_OK))
