"""metav1.LabelSelector, read and matched without pydantic.

The controller's is api/selector.py; the API server has held the same rules already, so that what is wrong
here got past it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LISTS = ("In", "NotIn")
_OPERATORS = (*_LISTS, "Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """apimachinery pkg/labels/selector.go Matches: NotIn holds where the label is missing."""
        if self.operator in _LISTS:
            return (labels.get(self.key) in self.values) is (self.operator == "In")
        return (self.key in labels) is (self.operator == "Exists")


@dataclass(frozen=True, slots=True)
class Selector:
    """All of them; none selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)

    @property
    def keys(self) -> frozenset[str]:
        """The labels that it asks for."""
        return frozenset(requirement.key for requirement in self.requirements)


def parse_selector(raw: Any) -> Selector:
    """Raises ValueError with what is wrong."""
    if not isinstance(raw, Mapping):
        raise ValueError(f"is {raw!r}; write an object")
    if unknown := raw.keys() - {"matchLabels", "matchExpressions"}:
        raise ValueError(f"has {', '.join(sorted(map(str, unknown)))}, which no selector has")
    labels, expressions = raw.get("matchLabels") or {}, raw.get("matchExpressions") or []
    if not isinstance(labels, Mapping) or not isinstance(expressions, list | tuple):
        raise ValueError("matchLabels is no object, or matchExpressions no list")
    return Selector(
        (
            *(Requirement(_text(key), "In", frozenset({_text(value)})) for key, value in labels.items()),
            *map(_requirement, expressions),
        )
    )


def _requirement(raw: Any) -> Requirement:
    if not isinstance(raw, Mapping):
        raise ValueError(f"matchExpressions has {raw!r}; write an object")
    operator, values = raw.get("operator"), raw.get("values") or ()
    if operator not in _OPERATORS:
        raise ValueError(f"operator is {operator!r}; write {', '.join(_OPERATORS)}")
    if not isinstance(values, list | tuple) or bool(values) is not (operator in _LISTS):
        raise ValueError(f"values is {values!r}; write a list for In and NotIn, nothing otherwise")
    return Requirement(_text(raw.get("key")), operator, frozenset(map(_text, values)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"has {value!r} where text belongs")
    return value
