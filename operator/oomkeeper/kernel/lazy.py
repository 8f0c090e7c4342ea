"""Patterns and sequences that are created at first use.

All log formats and kernel releases take some 150 patterns, one log needs a third of them, and compiling all
takes as long as explaining a report.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, AnyStr, TypeVar, cast, overload

_T = TypeVar("_T")

_METHODS = ("match", "search", "fullmatch", "findall", "finditer", "sub", "split", "pattern")


class _Lazy:
    """From the second use on, the methods are as fast as the pattern's own."""

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
    """Return a pattern that is compiled at its first use. An error in `source` is raised then."""
    return cast(re.Pattern[AnyStr], _Lazy(source, flags))


class LazySequence(Sequence[_T]):
    """A sequence whose items are read at first use."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: tuple[_T, ...] | None = None

    def _load(self) -> Iterable[_T]:
        """Return the items; called once."""
        raise NotImplementedError

    def _read(self) -> tuple[_T, ...]:
        if self._items is None:
            self._items = tuple(self._load())
        return self._items

    @overload
    def __getitem__(self, index: int) -> _T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]: ...

    def __getitem__(self, index: int | slice) -> _T | Sequence[_T]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[_T]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._read() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._read())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._read())!r})"
