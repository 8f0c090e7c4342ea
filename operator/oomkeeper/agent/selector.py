"""metav1.LabelSelector matched with labels.

The controller's is api/selector.py; the API server has applied the same rules already, so what is wrong here
got past it."""

from collections.abc import Mapping

from oomkeeper.resources.selector import LabelSelector, LabelSelectorRequirement

_LISTS = ("In", "NotIn")
_OPERATORS = (*_LISTS, "Exists", "DoesNotExist")


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether every condition holds; an empty selector selects everything."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    """apimachinery pkg/labels/selector.go Matches: NotIn holds where the label is missing."""
    if requirement.operator in _LISTS:
        return (labels.get(requirement.key) in requirement.values) is (requirement.operator == "In")
    return (requirement.key in labels) is (requirement.operator == "Exists")


def keys_of(selector: LabelSelector) -> frozenset[str]:
    """Return the labels that the selector asks for."""
    return frozenset((*selector.match_labels, *(one.key for one in selector.match_expressions)))


def check_selector(field: str, selector: LabelSelector) -> None:
    """Raise ValueError with what is wrong in a selector."""
    for requirement in selector.match_expressions:
        if requirement.operator not in _OPERATORS:
            raise ValueError(f"{field} operator is {requirement.operator!r}; write {', '.join(_OPERATORS)}")
        if bool(requirement.values) is not (requirement.operator in _LISTS):
            raise ValueError(
                f"{field} values is {list(requirement.values)!r}; "
                "write a list for In and NotIn, none otherwise"
            )
