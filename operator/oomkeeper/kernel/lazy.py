"""Patterns that are compiled when they are first asked.

Reading all formats and kernels takes some 150 patterns, one log needs a third of them, and to compile all
takes as long as to explain a report.
"""

import re
from typing import Any, AnyStr, cast

_METHODS = ("match", "search", "fullmatch", "findall", "finditer", "sub", "split", "pattern")


class _Lazy:
    """Looks up the methods of its pattern as fast as the pattern itself does, from the second time on."""

    __slots__ = ("_flags", "_source", *_METHODS)

    def __init__(self, source: Any, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> Any:
        # Called for a slot that is still empty.
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self._source, self._flags)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def lazy(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """`re.compile`, put off. An error in the pattern shows at its first use."""
    return cast(re.Pattern[AnyStr], _Lazy(source, flags))
