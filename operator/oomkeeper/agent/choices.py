"""Fields with a closed vocabulary, checked where an object may be newer than this program."""

from collections.abc import Sequence


def check_choice(field: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError where a value is not one of the choices."""
    if value not in choices:
        raise ValueError(f"{field} is {value!r}; write {' or '.join(choices)}")
