"""Fixtures of the controller's tests."""

from pathlib import Path

import pytest

from tests.unit.connection.certificates import make_ca


@pytest.fixture
def authority(tmp_path: Path) -> bytes:
    """A CA certificate in PEM."""
    return make_ca(tmp_path, name="authority").certificate.read_bytes()
