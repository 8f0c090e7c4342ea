"""What every model of a custom resource has in common."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import pydantic
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from oomkeeper.model.names import wire_name

from .problems import InvalidObjectError, model_in, problems_of
from .rules import VALIDATIONS, Rule, TransitionRule, as_cel, enforce


def schema_default(field: FieldInfo) -> Any:
    """The default that the API server fills in for this field; None where it fills in none.

    An absent list or map stays absent: filling in `[]` would only make objects longer.
    """
    factory = field.default_factory
    if isinstance(factory, type) and issubclass(factory, ApiModel):
        return {}
    if field.is_required() or field.default is None or field.default == ():
        return None
    return field.default


def _without_nulls(model: type[BaseModel], body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` without fields that are null, as the API server takes it: absent, so that a default may step in.

    Null as a map's value stays and is refused: the label that a template left empty would otherwise vanish,
    and the selector would select more.
    """
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    result: dict[str, Any] = {}
    for key, value in body.items():
        inner = model_in(fields[key].annotation) if key in fields else None
        if value is None and key in fields:
            continue
        if inner is not None and isinstance(value, Mapping):
            value = _without_nulls(inner, value)
        elif inner is not None and isinstance(value, list):
            value = [_without_nulls(inner, item) if isinstance(item, Mapping) else item for item in value]
        result[key] = value
    return result


class ApiModel(BaseModel):
    """Frozen, closed (unknown fields are refused), strict (no "1" for 1, no 1 for true), camelCase on the
    wire."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=wire_name,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule | TransitionRule, ...]] = ()
    """Rules over more than one field."""

    @model_validator(mode="after")
    def _hold_rules(self) -> Self:
        enforce(self, self.rules)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        reference = handler(schema)
        result = handler.resolve_ref_schema(reference)
        if validations := as_cel(cls.rules):
            result[VALIDATIONS] = validations
        for name, field in cls.model_fields.items():
            if schema_default(field) == {}:
                result["properties"][field.alias or name]["default"] = {}
        return dict(reference)

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Read an object as the API server or a file gave it.

        Raises InvalidObjectError, which names every field that is wrong and says what to write.
        """
        try:
            # By way of JSON: strict mode then takes lists, enum values and times in the form that JSON has
            # for them.
            return cls.model_validate_json(
                json.dumps(_without_nulls(cls, body)), by_alias=True, by_name=False
            )
        except pydantic.ValidationError as error:
            raise InvalidObjectError(problems_of(error, cls)) from error

    def to_dict(self) -> dict[str, Any]:
        """The object as JSON-ready values in the wire's spelling, without what is absent or an empty list."""
        result: dict[str, Any] = _without_empty(
            self.model_dump(mode="json", by_alias=True, exclude_none=True)
        )
        return result


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item != []}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
