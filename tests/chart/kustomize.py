"""kustomize/oomkeeper.yaml: the chart as manifests for `kubectl apply -k`."""

from __future__ import annotations

import yaml

from tests.cluster.chart_harness import NAMESPACE, ROOT, Helm, Json

MANIFESTS = ROOT / "kustomize" / "oomkeeper.yaml"
_HEAD = "# Generated from charts/oomkeeper by `make chart-golden`.\n"
_SETTINGS = (
    # A Job before the uninstall needs Helm's hooks; a custom resource cannot be applied with its definition.
    "--set=uninstall.restore=false,report.create=false",
    "--no-hooks",
)


def manifests(renderer: Helm) -> str:
    """Return the objects of the chart without custom resource definitions, hooks and report, and with their
    namespace."""
    return _HEAD + yaml.safe_dump_all(
        [_namespace(), *map(_adopted, renderer.rendered(*_SETTINGS))], sort_keys=False, width=120
    )


def _namespace() -> Json:
    labels = {
        "app.kubernetes.io/name": "oomkeeper",
        "app.kubernetes.io/managed-by": "kustomize",
        "pod-security.kubernetes.io/enforce": "privileged",
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _adopted(manifest: Json) -> Json:
    """Return the object with labels that do not name Helm."""
    labels = dict(manifest["metadata"].get("labels", {}))
    labels.pop("helm.sh/chart", None)
    labels["app.kubernetes.io/managed-by"] = "kustomize"
    return manifest | {"metadata": manifest["metadata"] | {"labels": labels}}
