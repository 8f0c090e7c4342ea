"""The testbed's own tests come first: on it the others stand, and a native node of theirs lasts to the
session's end.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of this folder before all others, each group in its order."""
    items.sort(key=lambda item: not item.path.is_relative_to(_HERE))
