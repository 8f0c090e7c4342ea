"""Back-off of failed writes."""

from oomkeeper.controller.retry import Retries


def test_failing_write_is_retried_with_backoff_without_end() -> None:
    retries = Retries()
    now, tried = 0.0, []
    while now < 1000:
        if retries.may("x", now=now):
            tried.append(now)
            retries.failed("x", now=now)
        now += 0.5
    assert tried[:5] == [0.0, 1.0, 3.0, 7.0, 15.0]
    assert tried[-1] - tried[-2] == 64
    assert retries.next() > 1000 - 64
    retries.drop_stale(now=retries.next() - 1)
    assert not retries.may("x", now=now)
    retries.drop_stale(now=retries.next())
    assert retries.may("x", now=now), "nobody tried again what was due: the object is gone"
    assert retries.next() == float("inf")
    retries.failed("x", now=now)
    retries.succeeded("x")
    assert retries.may("x", now=now)
    assert retries.next() == float("inf")
