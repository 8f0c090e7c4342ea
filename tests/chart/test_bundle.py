"""The bundle for the Operator Lifecycle Manager."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from oomkeeper.cli.controller import command
from tests.cluster.chart_harness import Helm
from tests.testbed import recipes
from tests.testbed.binaries import binaries
from tests.testbed.errors import BuildError
from tests.testbed.saying import to_terminal

from .bundle import BUNDLE, OWN, bundle_files, default_image

ACCOUNTS = ("oomkeeper-agent", "oomkeeper-controller")
CSV = BUNDLE / "manifests" / "oomkeeper.clusterserviceversion.yaml"


def csv() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(CSV.read_text())
    return found


def test_bundle_is_current(renderer: Helm) -> None:
    files = bundle_files(renderer, image=default_image())
    assert {name: (BUNDLE / name).read_text() for name in files} == files, "make chart-golden"
    present = {str(path.relative_to(BUNDLE)) for path in BUNDLE.rglob("*") if path.is_file()}
    assert present == files.keys()


def test_everything_of_the_chart_is_in_the_bundle(renderer: Helm) -> None:
    """What OLM makes itself of the ClusterServiceVersion is left out, and what only Helm can do."""
    made_by_olm = {"ServiceAccount", "ClusterRoleBinding", "Role", "RoleBinding", "Deployment"}
    options = ("--no-hooks", "--set=uninstall.restore=false,report.create=false,resourceQuota.create=false")
    wanted = {
        (one["kind"], one["metadata"]["name"])
        for one in renderer.rendered(*options)
        if one["kind"] not in made_by_olm and one["metadata"]["name"] not in ACCOUNTS
    }
    own = yaml.safe_load((BUNDLE / "manifests" / "oomkeeper-own-objects.configmap.yaml").read_text())
    documents = [
        *yaml.safe_load_all(own["data"]["objects.yaml"]),
        *(yaml.safe_load(path.read_text()) for path in (BUNDLE / "manifests").glob("*.clusterrole.yaml")),
    ]
    found = {(one["kind"], one["metadata"]["name"]) for one in documents}
    assert found - {("DaemonSet", "oomkeeper-agent")} == wanted


def test_operator_framework_finds_no_error(request: pytest.FixtureRequest) -> None:
    try:
        program = binaries((recipes.BUNDLE_VALIDATE,), say=to_terminal(request))["bundle-validate"]
    except BuildError as error:
        pytest.skip(f"no validators: {error}")
    done = subprocess.run([program, BUNDLE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # The agents write these; there is nothing to copy.
    written_by_agents = "provided API should have an example annotation"
    assert [line for line in done.stdout.splitlines() if written_by_agents not in line] == []


def test_image_reaches_controller_and_agents(renderer: Helm) -> None:
    files = bundle_files(renderer, image="registry.example.com/oomkeeper:1.2.3")
    made = yaml.safe_load(files["manifests/oomkeeper.clusterserviceversion.yaml"])
    [deployment] = made["spec"]["install"]["spec"]["deployments"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/oomkeeper:1.2.3"
    verb, *options = container["args"]
    parameters = command.make_context(verb, options).params
    assert parameters["own_image"] == container["image"]
    assert str(parameters["own_objects"]).startswith(container["volumeMounts"][-1]["mountPath"])
    assert "oomkeeper:0.1.0" not in json.dumps(files)


def test_own_objects_name_neither_namespace_nor_image() -> None:
    text = yaml.safe_load((BUNDLE / "manifests" / "oomkeeper-own-objects.configmap.yaml").read_text())[
        "data"
    ]["objects.yaml"]
    documents = list(yaml.safe_load_all(text))
    assert {one["kind"] for one in documents} == set(OWN)
    assert "oomkeeper-system" not in text
    assert "image: $(IMAGE)" in text
    assert "system:serviceaccount:$(NAMESPACE):oomkeeper-agent" in text


def test_every_definition_is_owned() -> None:
    owned = {one["name"] for one in csv()["spec"]["customresourcedefinitions"]["owned"]}
    assert owned == {
        yaml.safe_load(path.read_text())["metadata"]["name"]
        for path in (BUNDLE / "manifests").glob("oomkeeper.dev_*.yaml")
    }
