"""Metric families as prometheus_client renders them."""

from collections.abc import Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from oomkeeper import __version__

from .counts import Observed

Samples = Mapping[tuple[str, ...], float]
"""Label values -> value."""


def counter(
    name: str, help: str, samples: float | Samples, *, labels: Sequence[str] = ()
) -> CounterMetricFamily:
    """Return a counter; `name` without `_total`, which the format adds."""
    family = CounterMetricFamily(name, help, labels=labels)
    for values, value in _samples(samples).items():
        family.add_metric(values, value)
    return family


def gauge(name: str, help: str, samples: float | Samples, *, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """Return a gauge."""
    family = GaugeMetricFamily(name, help, labels=labels)
    for values, value in _samples(samples).items():
        family.add_metric(values, value)
    return family


def histogram(name: str, help: str, observed: Observed) -> HistogramMetricFamily:
    """Return a histogram without labels."""
    family = HistogramMetricFamily(name, help)
    family.add_metric([], buckets=list(observed.buckets), sum_value=observed.total)
    return family


def build_info(component: str) -> GaugeMetricFamily:
    """Return the version of the running program."""
    return gauge(
        "oomkeeper_build_info",
        "Always 1; the version of the running program is a label.",
        {(component, __version__): 1},
        labels=("component", "version"),
    )


def api_requests(counts: Mapping[str, int]) -> CounterMetricFamily:
    """Return the requests to the API server: code -> count."""
    return counter(
        "oomkeeper_api_requests",
        "Requests to the API server by HTTP status; code none: no answer.",
        {(code,): count for code, count in counts.items()},
        labels=("code",),
    )


def by_label(counts: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    """Return the samples of a family with one label."""
    return {(label,): count for label, count in counts.items()}


def _samples(samples: float | Samples) -> Samples:
    return samples if isinstance(samples, Mapping) else {(): samples}
