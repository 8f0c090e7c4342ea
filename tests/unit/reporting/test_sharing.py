"""One copy of equal values."""

from oomkeeper.model import sharing
from oomkeeper.model.sharing import shared


def test_equal_values_become_one() -> None:
    first = ("web", int("100000"))
    assert shared(first) is first
    assert shared(("web", int("100000"))) is first


def test_values_of_different_types_stay_apart() -> None:
    assert type(shared(1)) is int
    assert type(shared(1.0)) is float
    assert shared(True) is True


def test_value_without_a_hash_is_returned_as_it_is() -> None:
    value = {"a": 1}
    assert shared(value) is value


def test_no_more_than_a_bounded_number_is_remembered() -> None:
    for number in range(3 * sharing._MOST):
        shared(f"value-{number}")
    assert len(sharing._seen) <= sharing._MOST
