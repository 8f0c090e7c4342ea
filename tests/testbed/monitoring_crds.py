"""The custom resource definitions of the Prometheus Operator, from its Go module."""

from __future__ import annotations

import json
from pathlib import Path

from .cache import Say
from .commands import run
from .golang import find_go

_MODULE = "github.com/prometheus-operator/prometheus-operator"
_FOLDER = Path(__file__).parent / "gomodules" / "prometheus-operator"
KINDS = ("podmonitors", "prometheusrules", "servicemonitors")


def monitoring_crds(*, say: Say) -> list[Path]:
    """Return the files with the definitions of PodMonitor, PrometheusRule and ServiceMonitor.

    Raises TestbedError where there is no Go, or no module proxy answers.
    """
    # In the folder, so that go checks the module against go.sum.
    answer = run([find_go(say=say), "mod", "download", "-json", _MODULE], folder=_FOLDER, seconds=300)
    folder = Path(json.loads(answer)["Dir"]) / "example" / "prometheus-operator-crd"
    return [folder / f"monitoring.coreos.com_{kind}.yaml" for kind in KINDS]
