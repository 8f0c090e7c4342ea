"""What holds for every test."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.loglines import LineCheck

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("oomkeeper", deadline=None)
settings.load_profile("oomkeeper")


@pytest.fixture(autouse=True)
def _log_lines_parse() -> Iterator[None]:
    """Fail a test that produces a log line which a collector could not parse, in either format."""
    logger = logging.getLogger("oomkeeper")
    check, level = LineCheck(), logger.level
    logger.addHandler(check)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(check)
        logger.setLevel(level)
    assert not check.problems, "\n".join(check.problems)
