"""A pattern that is compiled late is the pattern all the same."""

import re

import pytest

from oomkeeper.kernel.lazy import lazy


def test_lazy_pattern_matches_like_compiled_pattern() -> None:
    text, source = b"a1 b22\nc", rb"(?P<letter>[a-z])(\d+)"
    late, early = lazy(source), re.compile(source)
    assert late.findall(text) == early.findall(text)
    assert late.sub(b"-", text) == early.sub(b"-", text)
    assert late.split(text) == early.split(text)
    assert [found.span() for found in late.finditer(text)] == [(0, 2), (3, 6)]
    assert late.pattern == source
    found = late.search(text, 1)
    assert found is not None
    assert found["letter"] == b"b"


def test_flags_are_applied() -> None:
    assert lazy("a.b", re.DOTALL).fullmatch("a\nb")


def test_invalid_pattern_raises_at_first_use() -> None:
    late = lazy("(")
    with pytest.raises(re.error):
        late.match("x")
