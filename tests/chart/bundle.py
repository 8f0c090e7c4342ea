"""bundle/: the operator for the Operator Lifecycle Manager, made from the chart.

    python -m tests.chart.bundle [IMAGE]

OLM installs Deployments, roles and custom resource definitions. The agents' DaemonSet and admission policy
are in a ConfigMap, and the controller applies them (operator/oomkeeper/controller/own_objects.py).
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path

import yaml

from oomkeeper.controller.own_objects import IMAGE, NAMESPACE
from tests.cluster.chart_harness import CHART, ROOT, Helm, Json, helm, object_named, of_kind

BUNDLE = ROOT / "bundle"
OWN = ("DaemonSet", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
"""Kinds that the controller applies."""
_ACCOUNTS = ("oomkeeper-agent", "oomkeeper-controller")
_CONFIG_MAP = "oomkeeper-own-objects"
_FOLDER = "/etc/oomkeeper/own"
_EXAMPLES = ("keep-defaults.yaml", "report-week.yaml")
_GENERATED = "# Generated from charts/oomkeeper by `make chart-golden`.\n"
_SETTINGS = ("--set=uninstall.restore=false,report.create=false,resourceQuota.create=false", "--no-hooks")
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
    '<rect width="64" height="64" rx="12" fill="#22303c"/>'
    '<path d="M12 46h40M16 46V30h8v16m4 0V18h8v28m4 0V34h8v12" '
    'fill="none" stroke="#f2a33c" stroke-width="4"/></svg>'
)
_LABELS = {
    "operators.operatorframework.io.bundle.mediatype.v1": "registry+v1",
    "operators.operatorframework.io.bundle.manifests.v1": "manifests/",
    "operators.operatorframework.io.bundle.metadata.v1": "metadata/",
    "operators.operatorframework.io.bundle.package.v1": "oomkeeper",
    "operators.operatorframework.io.bundle.channels.v1": "candidate",
    "operators.operatorframework.io.bundle.channel.default.v1": "candidate",
}


def bundle_files(renderer: Helm, *, image: str) -> dict[str, str]:
    """Return every file of the bundle: path -> content."""
    objects = renderer.rendered(*_SETTINGS)
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    # The validators of OLM read the first document of a file alone.
    files = {
        f"manifests/{path.name}": path.read_text().replace("---\n", "", 1)
        for path in sorted((ROOT / "crds").glob("*.yaml"))
    }
    csv = _cluster_service_version(objects, image=image, version=version)
    files["manifests/oomkeeper.clusterserviceversion.yaml"] = _yaml(csv)
    files["manifests/oomkeeper-own-objects.configmap.yaml"] = _yaml(_own_objects(objects))
    for one in of_kind(objects, "ClusterRole"):
        if (name := one["metadata"]["name"]) not in _ACCOUNTS:  # for people
            files[f"manifests/{name}.clusterrole.yaml"] = _yaml(_plain(one))
    files["metadata/annotations.yaml"] = _yaml({"annotations": _LABELS})
    labels = "".join(f"LABEL {key}={value}\n" for key, value in _LABELS.items())
    files["Dockerfile"] = f"FROM scratch\n{labels}COPY manifests /manifests/\nCOPY metadata /metadata/\n"
    return files


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as it is."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(document: Json) -> str:
    return _GENERATED + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)


def _plain(manifest: Json) -> Json:
    """Return the object without namespace, which OLM chooses, and without labels that name Helm."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "namespace"}
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key != "helm.sh/chart"}
    labels["app.kubernetes.io/managed-by"] = "olm"
    return manifest | {"metadata": metadata | {"labels": labels}}


def _own_objects(objects: list[Json]) -> Json:
    own = [_plain(one) for one in objects if one["kind"] in OWN]
    text = yaml.safe_dump_all(own, sort_keys=False, width=120)
    [image] = {
        container["image"]
        for one in own
        if one["kind"] == "DaemonSet"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    text = text.replace(f"image: {image}\n", f"image: {IMAGE}\n").replace("oomkeeper-system", NAMESPACE)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _CONFIG_MAP, "labels": {"app.kubernetes.io/name": "oomkeeper"}},
        "data": {"objects.yaml": text},
    }


def _deployment(objects: list[Json], *, image: str) -> Json:
    """Return the controller's Deployment, which also applies its own objects."""
    deployment = object_named(objects, "Deployment", "oomkeeper-controller")
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    container["image"] = image
    container["args"] += [f"--own-objects={_FOLDER}/objects.yaml", f"--own-image={image}"]
    container["volumeMounts"].append({"name": "own", "mountPath": _FOLDER, "readOnly": True})
    pod["volumes"].append({"name": "own", "configMap": {"name": _CONFIG_MAP}})
    # The user of the image; OpenShift assigns one of the namespace's range.
    for name in ("runAsUser", "runAsGroup"):
        pod["securityContext"].pop(name, None)
    return {"name": "oomkeeper-controller", "spec": spec}


def _rules(objects: list[Json], kind: str) -> list[Json]:
    """Return what OLM grants to each account, which it creates."""
    found = {"oomkeeper-controller": object_named(objects, kind, "oomkeeper-controller")["rules"]}
    if kind == "ClusterRole":
        found["oomkeeper-agent"] = [
            *object_named(objects, kind, "oomkeeper-agent")["rules"],
            {
                "apiGroups": ["security.openshift.io"],
                "resources": ["securitycontextconstraints"],
                "resourceNames": ["privileged"],
                "verbs": ["use"],
            },
        ]
        admission = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"]
        found["oomkeeper-controller"] = [
            *found["oomkeeper-controller"],
            {
                "apiGroups": ["admissionregistration.k8s.io"],
                "resources": admission,
                "verbs": ["create", "patch"],
            },
        ]
    else:
        found["oomkeeper-controller"] = [
            *found["oomkeeper-controller"],
            {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["create", "patch"]},
            {
                "apiGroups": ["apps"],
                "resources": ["deployments"],
                "resourceNames": ["oomkeeper-controller"],
                "verbs": ["get"],
            },
        ]
    return [{"serviceAccountName": name, "rules": rules} for name, rules in found.items()]


def _owned() -> list[Json]:
    found = []
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        crd = yaml.safe_load(path.read_text())
        [version] = crd["spec"]["versions"]
        description = version["schema"]["openAPIV3Schema"]["description"]
        kind = crd["spec"]["names"]["kind"]
        found.append(
            {
                "name": crd["metadata"]["name"],
                "version": version["name"],
                "kind": kind,
                "displayName": kind,
                "description": " ".join(description.split()),
            }
        )
    return found


def _cluster_service_version(objects: list[Json], *, image: str, version: str) -> Json:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    examples = [yaml.safe_load((ROOT / "examples" / name).read_text()) for name in _EXAMPLES]
    namespace = {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {
            "name": "oomkeeper-system",
            "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
        },
    }
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": f"oomkeeper.v{version}",
            "namespace": "placeholder",
            "labels": {
                "operatorframework.io/arch.amd64": "supported",
                "operatorframework.io/os.linux": "supported",
            },
            "annotations": {
                "alm-examples": json.dumps(examples, indent=2),
                "capabilities": "Seamless Upgrades",
                "categories": "Monitoring",
                "containerImage": image,
                "description": chart["description"],
                "operatorframework.io/suggested-namespace-template": json.dumps(namespace),
            },
        },
        "spec": {
            "displayName": "oomkeeper",
            "description": _DESCRIPTION,
            "version": version,
            "maturity": "alpha",
            "minKubeVersion": "1.31.0",
            "keywords": chart["keywords"],
            "provider": {"name": "oomkeeper"},
            "icon": [{"base64data": base64.b64encode(_ICON.encode()).decode(), "mediatype": "image/svg+xml"}],
            "installModes": [
                {"type": kind, "supported": kind == "AllNamespaces"}
                for kind in ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
            ],
            "customresourcedefinitions": {"owned": _owned()},
            "relatedImages": [{"name": "oomkeeper", "image": image}],
            "install": {
                "strategy": "deployment",
                "spec": {
                    "clusterPermissions": _rules(objects, "ClusterRole"),
                    "permissions": _rules(objects, "Role"),
                    "deployments": [_deployment(objects, image=image)],
                },
            },
        },
    }


_DESCRIPTION = """\
Enforces OOM settings (`vm.panic_on_oom`, `vm.oom_kill_allocating_task`, `oom_score_adj`, ...) on every node
by policy, and explains every OOM kill: which limit was reached, what used the memory, whether the container
survived, and what to do.

The controller installs an agent on every Linux node, a privileged DaemonSet. Install it into a namespace that
permits privileged pods. Nothing on any node is changed before you create an OOMPolicy. Delete all policies,
and wait until the agents have restored the original values, before you uninstall.
"""


def write_bundle(renderer: Helm, *, image: str, folder: Path = BUNDLE) -> None:
    """Write all files."""
    for name, text in bundle_files(renderer, image=image).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def default_image() -> str:
    """Return the image of the chart's default values."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return f"oomkeeper:{chart['appVersion']}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        made = helm(Path(temporary), say=lambda text: print(text, file=sys.stderr))
        write_bundle(made, image="".join(sys.argv[1:]) or default_image())
