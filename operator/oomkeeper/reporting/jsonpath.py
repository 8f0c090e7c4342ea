"""JSONPath templates as kubectl's -o jsonpath evaluates them (k8s.io/client-go/util/jsonpath).

Supported: text, {"quoted text"}, fields (.a, ['a'], escaped dots), indices, slices, unions, wildcards,
recursive descent, filters with one comparison or an existence test, and {range}...{end}. A missing field
gives nothing, as with kubectl get.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

_MOST_CHARACTERS = 4096
_MOST_NESTED = 32
_NAME = re.compile(r"(?:\\.|[^\s.\[\]{}()'\"=<>!@$,])+")
_INDEX = re.compile(r"\s*-?\d+\s*")
_SLICE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(\d+)\s*)?")
_COMPARISON = re.compile(r"==|!=|<=|>=|<|>")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Step = Callable[[Any], list[Any]]
"""From one value to the values that it leads to."""


class JSONPathError(ValueError):
    """A template that cannot be read; the message names the place."""


class _Path(NamedTuple):
    from_root: bool
    steps: tuple[Step, ...]

    def find(self, root: Any, current: Any) -> list[Any]:
        """Return the values that the path leads to."""
        found = [root if self.from_root else current]
        for step in self.steps:
            found = [value for start in found for value in step(start)]
        return found


class _Range(NamedTuple):
    path: _Path
    body: tuple["_Part", ...]


_Part = str | _Path | _Range


class Template:
    """A parsed template."""

    def __init__(self, text: str) -> None:
        """Parse `text`. Raises JSONPathError."""
        if len(text) > _MOST_CHARACTERS:
            raise JSONPathError(f"longer than {_MOST_CHARACTERS} characters")
        self._parts = _Parser(text).template()

    def render(self, document: Any) -> str:
        """Return the output for a document of dicts, lists and scalars."""
        return "".join(_render(self._parts, document, document))


def _render(parts: Sequence[_Part], root: Any, current: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, _Path):
            yield " ".join(_text(value) for value in part.find(root, current))
        else:
            for value in part.path.find(root, current):
                yield from _render(part.body, root, value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def template(self) -> tuple[_Part, ...]:
        """Parse the whole text. Raises JSONPathError."""
        parts = self._parts(depth=0)
        if self._at < len(self._text):
            raise self._error("{end} without {range}")
        return parts

    def _error(self, problem: str) -> JSONPathError:
        return JSONPathError(f"{problem} at character {self._at + 1} of {self._text!r}")

    def _parts(self, *, depth: int) -> tuple[_Part, ...]:
        """Parse up to the end of the text, or (within a range) up to and with {end}."""
        parts: list[_Part] = []
        if depth > _MOST_NESTED:
            raise self._error("nested too deeply")
        while self._at < len(self._text):
            start = self._text.find("{", self._at)
            if start != self._at:
                stop = len(self._text) if start < 0 else start
                parts.append(self._text[self._at : stop])
                self._at = stop
                continue
            self._at += 1
            self._blanks()
            if self._word("end"):
                self._expect("}")
                if depth == 0:
                    raise self._error("{end} without {range}")
                return tuple(parts)
            if self._word("range"):
                path = self._path()
                self._expect("}")
                parts.append(_Range(path, self._parts(depth=depth + 1)))
                continue
            while True:
                parts.append(self._quoted() if self._peek() in ("'", '"') else self._path())
                self._blanks()
                if self._peek() == "}":
                    break
            self._expect("}")
        if depth:
            raise self._error("{range} without {end}")
        return tuple(parts)

    def _word(self, word: str) -> bool:
        end = self._at + len(word)
        if self._text[self._at : end] != word or self._text[end : end + 1] not in ("}", " ", "\t"):
            return False
        self._at = end
        self._blanks()
        return True

    def _path(self) -> _Path:
        from_root = self._peek() != "@"
        if rooted := self._peek() in ("$", "@"):
            self._at += 1
            from_root = self._text[self._at - 1] == "$"
        else:
            from_root = False
        steps: list[Step] = []
        while True:
            here = self._peek()
            if here == ".":
                self._at += 1
                if self._peek() == ".":
                    self._at += 1
                    steps.append(_descendants)
                    if self._peek() == "[":
                        continue
                steps.append(self._field())
            elif here == "[":
                steps.append(self._bracket())
            else:
                break
        if not steps and not rooted:
            raise self._error("expected a path")
        return _Path(from_root, tuple(steps))

    def _field(self) -> Step:
        if self._peek() == "*":
            self._at += 1
            return _all
        match = _NAME.match(self._text, self._at)
        if match is None:
            if self._peek() in ("}", " ", ")", "[", ""):  # {.} and {.[0]}: the value itself
                return lambda value: [value]
            raise self._error("expected the name of a field")
        self._at = match.end()
        return _named(re.sub(r"\\(.)", r"\1", match[0]))

    def _bracket(self) -> Step:
        self._expect("[")
        self._blanks()
        if self._text.startswith("?(", self._at):
            self._at += 2
            step = self._filter()
            self._blanks()
            self._expect(")")
        else:
            choices = [self._choice()]
            while self._peek() == ",":
                self._at += 1
                choices.append(self._choice())
            step = choices[0] if len(choices) == 1 else _union(choices)
        self._blanks()
        self._expect("]")
        return step

    def _choice(self) -> Step:
        self._blanks()
        if self._peek() == "*":
            self._at += 1
            return _all
        if self._peek() in ("'", '"'):
            return _named(self._quoted())
        if (match := _SLICE.match(self._text, self._at)) and ":" in match[0]:
            self._at = match.end()
            first, last, step = (None if part is None else int(part) for part in match.groups())
            return _sliced(slice(first, last, step or 1))
        if match := _INDEX.match(self._text, self._at):
            self._at = match.end()
            return _indexed(int(match[0]))
        raise self._error("expected an index, a slice, a quoted name, * or ?(filter)")

    def _filter(self) -> Step:
        self._blanks()
        left = self._operand()
        self._blanks()
        match = _COMPARISON.match(self._text, self._at)
        if match is None:
            return _filtered(lambda value: bool(left(value)))
        self._at = match.end()
        self._blanks()
        right, compare = self._operand(), _OPERATORS[match[0]]

        def holds(value: Any) -> bool:
            lefts, rights = left(value), right(value)
            try:
                return bool(lefts and rights) and compare(lefts[0], rights[0])
            except TypeError:
                return False

        return _filtered(holds)

    def _operand(self) -> Callable[[Any], list[Any]]:
        if self._peek() in ("'", '"'):
            literal: Any = self._quoted()
            return lambda _: [literal]
        if self._peek() in ("@", "$"):
            path = self._path()
            return lambda value: path.find(value, value)
        match = re.compile(r"-?\d+(?:\.\d+)?|true|false").match(self._text, self._at)
        if match is None:
            raise self._error("expected @.field, a number or a quoted text")
        self._at = match.end()
        number = json.loads(match[0])
        return lambda _: [number]

    def _quoted(self) -> str:
        quote, found = self._text[self._at], []
        self._at += 1
        while (char := self._peek()) != quote:
            if not char:
                raise self._error("a quoted text without its end")
            if char == "\\":
                self._at += 1
                escaped = self._peek()
                char = _ESCAPES.get(escaped, escaped)
            found.append(char)
            self._at += 1
        self._at += 1
        return "".join(found)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _blanks(self) -> None:
        while self._peek() in (" ", "\t", "\n") and self._peek():
            self._at += 1

    def _expect(self, char: str) -> None:
        if self._peek() != char:
            raise self._error(f"expected {char}")
        self._at += 1


def _named(name: str) -> Step:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _all(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.values()]
    return [*value] if isinstance(value, list) else []


def _descendants(value: Any) -> list[Any]:
    """Return the value and everything below it, outermost first."""
    return [value, *(below for child in _all(value) for below in _descendants(child))]


def _indexed(index: int) -> Step:
    return lambda value: (
        [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []
    )


def _sliced(part: slice) -> Step:
    return lambda value: value[part] if isinstance(value, list) else []


def _union(choices: Sequence[Step]) -> Step:
    return lambda value: [found for choice in choices for found in choice(value)]


def _filtered(holds: Callable[[Any], bool]) -> Step:
    return lambda value: [one for one in _all(value) if holds(one)]
