"""metav1.LabelSelector with the checks that Kubernetes makes of it in code, not in its schema."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import ApiModel
from .rules import Checked, Rule
from .scalars import (
    LABEL_KEY,
    LABEL_KEY_MESSAGE,
    LABEL_KEY_RULE,
    LABEL_KEY_SIZE,
    LabelKey,
    LabelValue,
    quoted,
)


class SelectorOperator(StrEnum):
    """How a label's value is compared with the list."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


_LISTS = (SelectorOperator.IN, SelectorOperator.NOT_IN)


class LabelSelectorRequirement(ApiModel):
    """One condition on one label."""

    key: LabelKey
    """Label key that the condition is about."""
    operator: SelectorOperator
    """In and NotIn compare the label's value with `values`; Exists and DoesNotExist look only at the key."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=32)] = ()
    """Values for In and NotIn, at least one; none for Exists and DoesNotExist."""

    # apimachinery pkg/labels/selector.go NewRequirement.
    rules = (
        Rule(
            cel="!(self.operator in ['In', 'NotIn']) || size(self.?values.orValue([])) > 0",
            message="In and NotIn compare with a list: write at least one entry under values",
            holds=lambda self: self.operator not in _LISTS or len(self.values) > 0,
            field=("values",),
        ),
        Rule(
            cel="self.operator in ['In', 'NotIn'] || size(self.?values.orValue([])) == 0",
            message="Exists and DoesNotExist look only at the key: leave values out",
            holds=lambda self: self.operator in _LISTS or not self.values,
            field=("values",),
        ),
    )


class LabelSelector(ApiModel):
    """Selects by labels; all conditions must hold. An empty selector selects everything."""

    match_labels: Annotated[
        dict[str, Annotated[LabelValue, Field(json_schema_extra={"nullable": True})]],
        Field(max_length=16),
        Checked(
            # If the values were not nullable, the API server would drop a null, and more would be selected.
            Rule(
                cel="self.all(key, dyn(self[key]) != null)",
                message="a label has no value: write one, '' for the empty value",
                holds=lambda self: None not in self.values(),
            ),
            Rule(
                cel=f"self.all(key, size(key) <= {LABEL_KEY_SIZE} && key.matches('{quoted(LABEL_KEY)}'))",
                message=LABEL_KEY_MESSAGE,
                holds=lambda self: all(
                    len(key) <= LABEL_KEY_SIZE and LABEL_KEY_RULE.holds(key) for key in self
                ),
            ),
        ),
    ] = Field(default_factory=dict)
    """Labels that must be present with exactly these values."""
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=16)] = ()
    """Conditions on labels."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected (apimachinery pkg/labels/selector.go Matches)."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            _holds(requirement, labels) for requirement in self.match_expressions
        )


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case SelectorOperator.IN:
            return value in requirement.values
        case SelectorOperator.NOT_IN:
            # A missing label is not in the list either, so the object is selected.
            return value not in requirement.values
        case SelectorOperator.EXISTS:
            return value is not None
        case SelectorOperator.DOES_NOT_EXIST:
            return value is None
