"""Manifests that Helm does not install: kubectl apply -k, and the objects for the Prometheus Operator."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.kustomize import MANIFESTS, manifests
from tests.testbed import ControlPlane
from tests.testbed import control_plane as run_control_plane
from tests.testbed.cache import Say
from tests.testbed.errors import KubectlError, TestbedError
from tests.testbed.monitoring_crds import KINDS, monitoring_crds

from .chart_harness import NAMESPACE, Helm
from .controller_harness import ROOT, Json

pytestmark = pytest.mark.cluster

_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
MONITORS = ("podMonitor", "serviceMonitor")


@pytest.fixture(scope="module")
def plane(testbed_say: Say) -> Iterator[ControlPlane]:
    """An API server with nothing on it."""
    with run_control_plane(say=testbed_say) as running:
        yield running


@pytest.fixture(scope="module")
def monitored(plane: ControlPlane, testbed_say: Say) -> ControlPlane:
    """The API server with the Prometheus Operator's definitions; skips where its Go module cannot be had."""
    try:
        files = monitoring_crds(say=testbed_say)
    except TestbedError as error:
        pytest.skip(f"no Prometheus Operator: {error}")
    plane.kubectl("apply", "--server-side", *[f"--filename={path}" for path in files])
    names = [f"crd/{kind}.monitoring.coreos.com" for kind in KINDS]
    plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
    plane.kubectl("apply", "--filename=-", input=yaml.safe_dump(_NAMESPACE))
    return plane


def monitoring(renderer: Helm, *settings: str) -> list[Json]:
    """Return the objects for the Prometheus Operator."""
    options = [option for setting in settings for option in ("--set", setting)]
    return [
        one for one in renderer.rendered(*options) if one["apiVersion"].startswith("monitoring.coreos.com/")
    ]


def apply(plane: ControlPlane, objects: list[Json]) -> str:
    """Return what kubectl answers to an apply with strict validation by the server. Raises KubectlError."""
    return plane.kubectl(
        "apply", "--server-side", "--validate=strict", "--filename=-", input=yaml.safe_dump_all(objects)
    )


def holds(stored: object, wanted: object) -> bool:
    """Return whether all of `wanted` is in `stored`, which may have defaults besides."""
    if isinstance(wanted, dict) and isinstance(stored, dict):
        return all(key in stored and holds(stored[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(stored, list):
        return len(wanted) == len(stored) and all(map(holds, stored, wanted))
    return stored == wanted


def overlay(folder: Path) -> Path:
    """Return the example of docs/install.md, on this checkout."""
    page = (ROOT / "docs" / "install.md").read_text()
    [text] = re.findall(r"```yaml\n(apiVersion: kustomize\.config(?:.|\n)*?)```", page)
    base = os.path.relpath(ROOT, folder.resolve())
    (folder / "kustomization.yaml").write_text(text.replace("CHECKOUT", base))
    return folder


def test_kubectl_apply_k_installs_the_same_as_the_chart(
    renderer: Helm, plane: ControlPlane, tmp_path: Path
) -> None:
    assert MANIFESTS.read_text() == manifests(renderer), "make chart-golden"
    folder = overlay(tmp_path)
    answer = plane.kubectl("apply", "--kustomize", str(folder))
    assert "unchanged" not in answer
    names = [line.split()[0] for line in answer.splitlines()]
    kinds = {name.partition("/")[0] for name in names}
    assert {"daemonset.apps", "deployment.apps", "customresourcedefinition.apiextensions.k8s.io"} <= kinds
    assert "job.batch" not in kinds
    plane.kubectl("apply", "--kustomize", str(folder))
    for workload in ("daemonset/oomkeeper-agent", "deployment/oomkeeper-controller"):
        fields = "--output=jsonpath={.metadata.generation} {.spec.template.spec.containers[0].image}"
        found = plane.kubectl("get", workload, f"--namespace={NAMESPACE}", fields)
        assert found == "1 registry.example.com/oomkeeper:1.2.3"  # the second time nothing changed
    plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/oomnodes.oomkeeper.dev")
    assert "No resources found" in plane.kubectl("get", "oomn", check=False)


def test_kustomization_has_every_custom_resource_definition() -> None:
    resources = yaml.safe_load((ROOT / "kustomization.yaml").read_text())["resources"]
    assert {Path(one).name for one in resources if one.startswith("crds/")} == {
        path.name for path in (ROOT / "crds").glob("*.yaml")
    }


@pytest.mark.parametrize("monitor", MONITORS)
def test_prometheus_operator_accepts_the_objects(
    renderer: Helm, monitored: ControlPlane, monitor: str
) -> None:
    objects = monitoring(
        renderer,
        f"metrics.{monitor}.enabled=true",
        f"metrics.{monitor}.labels.release=prometheus",
        "metrics.prometheusRule.enabled=true",
        "metrics.prometheusRule.runbookURL=https://docs.example.com/runbooks",
    )
    kind = monitor[0].upper() + monitor[1:]
    assert [one["kind"] for one in objects].count(kind) == 2
    assert apply(monitored, objects).count("serverside-applied") == 3
    for one in objects:
        name = f"{one['kind'].lower()}/{one['metadata']['name']}"
        stored = yaml.safe_load(monitored.kubectl("get", name, f"--namespace={NAMESPACE}", "--output=yaml"))
        assert holds(stored["spec"], one["spec"])  # nothing was pruned


def test_prometheus_operator_refuses_a_field_that_it_does_not_know(
    renderer: Helm, monitored: ControlPlane
) -> None:
    """The validation is real."""
    [agent, _controller] = monitoring(renderer, "metrics.podMonitor.enabled=true")
    [endpoint] = agent["spec"]["podMetricsEndpoints"]
    endpoint["honourLabels"] = True
    with pytest.raises(KubectlError, match="honourLabels"):
        apply(monitored, [agent])
