"""What is wrong with an object, field by field, in words that say what to write."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{format_path(self.path)}: {self.message}" if self.path else self.message


class InvalidObjectError(ValueError):
    """An object that is not what its schema says. `problems` has at least one entry; the text is one line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = len(self.problems) - 1
        super().__init__(f"{self.problems[0]}" + (f" (and {more} more)" if more else ""))


def format_path(path: Iterable[str | int]) -> str:
    """`spec.oomScoreAdjustments[0].value`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def problems_of(error: pydantic.ValidationError, model: type[pydantic.BaseModel]) -> list[Problem]:
    """Turn pydantic's errors into problems, in the order of the fields."""
    problems: list[Problem] = []
    for detail in error.errors(include_url=False):
        path = _object_path(detail["loc"])
        if detail["type"] == "rule":
            for field, message in detail["ctx"]["problems"]:
                problems.append(Problem((*path, *field), message))
        else:
            problems.append(Problem(path, _say(detail, model)))
    # A value that fits no member of a union gives one error per member; the first says enough.
    seen: set[tuple[str | int, ...]] = set()
    return [p for p in problems if not (p.path in seen or seen.add(p.path))]  # type: ignore[func-returns-value]


def _object_path(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    # pydantic appends the name of a union's member to the location ("int", "constrained-str",
    # "function-after[...]").
    return tuple(part for part in loc if isinstance(part, int) or part not in _UNION_MEMBERS)


_UNION_MEMBERS = {"int", "str", "constrained-int", "constrained-str"}
_TYPES = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "string_type": "a string (quote it)",
    "bool_type": "true or false",
    "dict_type": "a map (key: value)",
    "model_type": "a map (key: value)",
    "model_attributes_type": "a map (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
}


def _say(detail: ErrorDetails, model: type[pydantic.BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if detail["input"] is None:
        return f"is empty: write {_TYPES.get(kind, 'a value')}"
    match kind:
        case "extra_forbidden":
            return f"unknown field: write one of {', '.join(_siblings(model, detail['loc']))}"
        case "missing":
            return "is missing: write it"
        case "enum" | "literal_error":
            return f"{_shown(detail['input'])} is not one of them: write {_plain(context['expected'])}"
        case "greater_than_equal":
            return f"{_shown(detail['input'])} is too small: write at least {context['ge']}"
        case "less_than_equal":
            return f"{_shown(detail['input'])} is too large: write at most {context['le']}"
        case "string_too_long":
            return f"is too long: write at most {context['max_length']} characters"
        case "string_too_short":
            return f"is too short: write at least {context['min_length']} characters"
        case "too_long":
            return f"has too many entries: write at most {context['max_length']}"
        case "too_short":
            return f"has too few entries: write at least {context['min_length']}"
        case _ if kind in _TYPES:
            return f"{_shown(detail['input'])} is of the wrong type: write {_TYPES[kind]}"
        case _ if kind.startswith(("datetime", "timezone")):
            return f"{_shown(detail['input'])} is no time: write it like 2026-01-02T15:04:05Z"
        case _:
            return detail["msg"]


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    if isinstance(value, bool):
        text = text.lower()
    return text if len(text) <= 40 else text[:37] + "..."


def _plain(expected: str) -> str:
    return expected.replace("'", "")


def _siblings(model: type[pydantic.BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Fields that stand beside the one at `loc`, in the object's spelling."""
    current: type[pydantic.BaseModel] = model
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        for name, field in current.model_fields.items():
            if (field.alias or name) == part:
                inner = model_in(field.annotation)
                if inner is not None:
                    current = inner
                break
    return [field.alias or name for name, field in current.model_fields.items()]


def model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The model inside `Model | None`, `tuple[Model, ...]`, `Annotated[...]`."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = model_in(part)
        if found is not None:
            return found
    return None
