"""Generated from `oomkeeper.api.selector` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from .record import Bound, Record


class LabelSelectorRequirement(Record, frozen=True, kw_only=True):
    """One condition on one label."""

    key: str
    """Label key that the condition is about."""
    operator: str
    """In and NotIn compare the label's value with `values`; Exists and DoesNotExist look only at the key."""
    values: tuple[str, ...] = ()
    """Values for In and NotIn, at least one; none for Exists and DoesNotExist."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "key": Bound(max_length=317),
        "values": Bound(max_length=63, max_items=32),
    }


class LabelSelector(Record, frozen=True, kw_only=True):
    """Selects by labels; all conditions must hold. An empty selector selects everything."""

    match_labels: dict[str, str] = field(default_factory=dict)
    """Labels that must be present with exactly these values."""
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    """Conditions on labels."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "match_labels": Bound(max_length=63, max_items=16),
        "match_expressions": Bound(max_items=16),
    }
