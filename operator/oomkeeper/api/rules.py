"""Rules that schema keywords cannot express, each written once and checked twice: as CEL by the API server,
in Python for files.

A Rule carries both forms and one message that says what to write. A model lists its rules in `rules`; a
scalar or a map takes them by `Annotated[..., Checked(...)]`. The writer of the CRDs puts the CEL into
x-kubernetes-validations.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule about `self`, in two languages."""

    cel: str | None
    """True where the rule holds (Kubernetes documentation, "Common Expression Language in Kubernetes"). None
    where the API server holds the rule by itself, so that only Python needs it."""
    message: str
    """What to write. The API server prints it after the field's path."""
    holds: Callable[[Any], bool]
    """The same rule in Python; gets the value that CEL calls `self`."""
    field: tuple[str, ...] = ()
    """Which part of `self` is to blame, as path elements in the object's own spelling; `self` as a whole when
    empty."""


def as_cel(rules: Iterable["Rule | TransitionRule"]) -> list[dict[str, str]]:
    """The entries of x-kubernetes-validations."""
    entries = []
    for rule in rules:
        if rule.cel is None:
            continue
        entry = {"rule": rule.cel, "message": rule.message}
        if isinstance(rule, Rule) and rule.field:
            entry["fieldPath"] = "".join(_step(part) for part in rule.field)
        entries.append(entry)
    return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRule:
    """A rule about an update, which only the API server can hold: `oldSelf` is the stored value."""

    cel: str
    message: str


def _step(part: str) -> str:
    # The API server's JSON paths take dots and the like only in brackets: .sysctls['vm.panic_on_oom'].
    return f".{part}" if part.isidentifier() else f"['{part}']"


def enforce(value: Any, rules: Iterable[Rule | TransitionRule]) -> None:
    """Raise one error that carries every broken rule's path and message."""
    problems = [
        (rule.field, rule.message) for rule in rules if isinstance(rule, Rule) and not rule.holds(value)
    ]
    if problems:
        text = "; ".join(message for _, message in problems)
        raise PydanticCustomError("rule", "{text}", {"text": text, "problems": problems})


class Checked:
    """Annotation: the value obeys these rules."""

    def __init__(self, *rules: Rule, schema: Mapping[str, Any] | None = None) -> None:
        self.rules = rules
        self.schema = dict(schema or {})
        """Further schema keywords, for what only the API server needs to know."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: Any) -> Any:
            enforce(value, self.rules)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        result = dict(handler(schema)) | self.schema
        if validations := as_cel(self.rules):
            result[VALIDATIONS] = validations
        return result


def _duplicate(values: Iterable[Any]) -> Any | None:
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


class ListMap(Checked):
    """Annotation: a list whose items are told apart by these fields (x-kubernetes-list-type: map)."""

    def __init__(self, *keys: str) -> None:
        # The API server refuses duplicates by the list type itself, so this rule has no CEL form.
        super().__init__(
            schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)},
        )
        self.keys = keys

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _unique(
            handler(source),
            lambda item: " ".join(str(getattr(item, key)) for key in self.keys),
            " and ".join(self.keys),
        )


class ListSet(Checked):
    """Annotation: a list of scalars, each at most once (x-kubernetes-list-type: set)."""

    def __init__(self) -> None:
        super().__init__(schema={"x-kubernetes-list-type": "set"})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _unique(handler(source), lambda item: item, "value")


def _unique(inner: CoreSchema, of: Callable[[Any], Any], what: str) -> CoreSchema:
    def check(items: Any) -> Any:
        twice = _duplicate(of(item) for item in items)
        if twice is not None:
            text = f"{what} {twice} occurs twice: write it once"
            raise PydanticCustomError("rule", "{text}", {"text": text, "problems": [((), text)]})
        return items

    return core_schema.no_info_after_validator_function(check, inner)
