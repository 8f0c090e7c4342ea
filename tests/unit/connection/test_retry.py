"""Exponential back-off with full jitter."""

import random
import statistics
from email.utils import formatdate

import pytest

from oomkeeper.connection.retry import (
    LONGEST_RETRY_AFTER_SECONDS,
    LONGEST_SECONDS,
    Backoff,
    KeyedBackoff,
    retry_after_seconds,
)


def test_the_largest_delay_doubles_up_to_the_longest() -> None:
    backoff = Backoff(uniform=max)
    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_delays_are_spread_over_the_whole_range() -> None:
    seeded = random.Random(1)
    delays = []
    for _ in range(1000):
        backoff = Backoff(uniform=seeded.uniform)
        for _ in range(10):
            delay = backoff.failed()
        delays.append(delay)
    assert min(delays) < 1
    assert max(delays) > LONGEST_SECONDS - 1
    assert abs(statistics.mean(delays) - LONGEST_SECONDS / 2) < 1


def test_success_starts_again_from_the_shortest_delay() -> None:
    backoff = Backoff(uniform=max)
    for _ in range(5):
        backoff.failed()
    backoff.succeeded()
    assert backoff.failed() == 1


def test_retry_after_is_a_minimum_and_jitter_is_added_to_it() -> None:
    backoff = Backoff()
    delays = {backoff.failed(retry_after_seconds=10) for _ in range(50)}
    assert min(delays) >= 10
    assert len(delays) == 50


def test_a_failure_without_end_does_not_overflow() -> None:
    backoff = Backoff(uniform=max)
    assert [backoff.failed() for _ in range(5000)][-1] == LONGEST_SECONDS


def test_keys_are_retried_independently() -> None:
    retries = KeyedBackoff(uniform=max)
    retries.failed("a", now=0)
    retries.failed("a", now=1)
    retries.failed("b", now=1, retry_after_seconds=5)
    assert [retries.when(key) for key in "abc"] == [3, 7, 0]
    assert not retries.may("a", now=2.9)
    assert retries.may("a", now=3)
    retries.succeeded("a")
    assert [retries.when(key) for key in "abc"] == [0, 7, 0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("10", 10),
        ("-3", 0),
        ("nan", 0),
        ("soon", 0),
        ("1e9", LONGEST_RETRY_AFTER_SECONDS),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_retry_after_header_is_read_and_bounded(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header) == seconds


def test_retry_after_may_be_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    assert retry_after_seconds(formatdate(1_800_000_020, usegmt=True)) == 20


def test_failing_write_is_retried_with_backoff_without_end() -> None:
    retries = KeyedBackoff(longest_seconds=64.0, uniform=max)
    now, tried = 0.0, []
    while now < 1000:
        if retries.may("x", now=now):
            tried.append(now)
            retries.failed("x", now=now)
        now += 0.5
    assert tried[:5] == [0.0, 1.0, 3.0, 7.0, 15.0]
    assert tried[-1] - tried[-2] == 64
    assert retries.when("x") > 1000 - 64
    assert not retries.may("x", now=now)
    assert retries.may("x", now=retries.when("x"))
    retries.succeeded("x")
    assert retries.may("x", now=now)
    assert retries.when("x") == 0
