"""crds/ and examples/ on a real kube-apiserver: what it takes, what it refuses and in which words, what
kubectl shows."""

from __future__ import annotations

import copy
import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from oomkeeper.api import KINDS, InvalidObjectError, OOMPolicy
from oomkeeper.api.meta import Resource
from tests.testbed import ControlPlane
from tests.unit.api.cases import BAD, PLAIN, RANGES, Bad
from tests.unit.api.objects import FULL, HOST_INCIDENT, INCIDENT, NODE, POLICY, REPORT
from tests.unit.api.random_specs import random_spec
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
API = "/apis/oomkeeper.dev/v1alpha1"
NAMESPACE = "crd-tests"
RESOURCES: dict[str, Resource] = {model.resource.kind: model.resource for model in KINDS}

Json = dict[str, Any]


class RefusedError(Exception):
    """The API server's answer to a request that it does not accept."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Api:
    """The custom resources over plain HTTP: what a request says is exactly what the server gets."""

    def __init__(self, plane: ControlPlane) -> None:
        url = urllib.parse.urlsplit(plane.url)
        context = ssl.create_default_context(cafile=str(plane.ca_file))
        self._connection = http.client.HTTPSConnection(str(url.hostname), url.port, context=context)
        self._headers = {"Authorization": f"Bearer {plane.token}"}

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def call(self, method: str, path: str, body: Json | None = None, **query: str) -> Json:
        """One request. Raises RefusedError."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self._connection.request(
            method,
            f"{path}?{urllib.parse.urlencode(query)}",
            body=None if body is None else json.dumps(body),
            headers=self._headers | {"Content-Type": kind},
        )
        response = self._connection.getresponse()
        answer: Json = json.loads(response.read())
        if response.status >= 400:
            raise RefusedError(response.status, answer["message"])
        return answer

    def create(self, body: Json, **query: str) -> Json:
        """POST, unknown fields refused as kubectl has them refused."""
        return self.call("POST", collection(body), body, fieldValidation="Strict", **query)

    def replace_status(self, body: Json, **query: str) -> Json:
        """PUT to the status subresource."""
        return self.call("PUT", f"{path_of(body)}/status", body, fieldValidation="Strict", **query)


def collection(body: Json) -> str:
    """URL of the objects of this kind, in this namespace."""
    resource = RESOURCES[body["kind"]]
    where = f"/namespaces/{body['metadata']['namespace']}" if resource.namespaced else ""
    return f"{API}{where}/{resource.plural}"


def path_of(body: Json) -> str:
    """URL of the object."""
    return f"{collection(body)}/{body['metadata']['name']}"


def named(body: Json, name: str) -> Json:
    """The same object under another name, in this module's namespace."""
    result = copy.deepcopy(body)
    result["metadata"] = {"name": f"crds-{name}"}
    if RESOURCES[body["kind"]].namespaced:
        result["metadata"]["namespace"] = NAMESPACE
    return result


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """The server with crds/ applied by kubectl and a namespace."""
    control_plane.kubectl("apply", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(ROOT / "crds"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(namespace))
    api = Api(control_plane)
    # They are Established a moment before their paths answer.
    for resource in RESOURCES.values():
        eventually(lambda path=f"{API}/{resource.plural}": api.call("GET", path), also=(RefusedError,))
    yield api
    api.close()


@pytest.fixture(scope="module")
def stored(api: Api) -> Iterator[dict[str, Json]]:
    """One object of each kind with every field set, stored by way of both endpoints: kind -> as the server
    has it."""
    objects = {}
    for body in FULL:
        mine = named(body, "full")
        created = api.create(mine)
        objects[body["kind"]] = api.replace_status(mine | {"metadata": created["metadata"]})
    yield objects
    for body in objects.values():
        api.call("DELETE", path_of(body))


@pytest.mark.parametrize("body", FULL, ids=lambda body: body["kind"])
def test_every_field_of_every_model_is_stored(stored: dict[str, Json], body: Json) -> None:
    """A field that the schema lacks would be pruned."""
    kept = stored[body["kind"]]
    assert kept["spec"] == body["spec"]
    assert kept["status"] == body["status"]


def test_host_incident_without_pod_is_accepted(api: Api) -> None:
    assert api.create(named(HOST_INCIDENT, "host"), dryRun="All")["spec"] == HOST_INCIDENT["spec"]


def test_server_and_models_apply_the_same_defaults(api: Api) -> None:
    models = {model.resource.kind: model for model in KINDS}
    for body in (PLAIN, {"apiVersion": PLAIN["apiVersion"], "kind": "OOMReport", "spec": {}}):
        filled = api.create(named(body, "defaults"), dryRun="All")
        expected = models[body["kind"]].parse(named(body, "defaults")).to_dict()["spec"]
        assert filled["spec"] == {key: value for key, value in expected.items() if value != {}}


def test_object_without_spec_is_accepted_where_the_model_has_a_default(api: Api) -> None:
    """The controller creates an OOMNode before it knows what to ask of it."""
    for kind in ("OOMNode", "OOMReport"):
        api.create(named({"apiVersion": PLAIN["apiVersion"], "kind": kind}, "bare"), dryRun="All")


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_bad_object_is_refused_with_what_to_write(api: Api, stored: dict[str, Json], case: Bad) -> None:
    body = case.object()
    says = case.server if case.server is not None else case.says
    if case.in_status:
        whole = named(body, "full") | {"metadata": stored[body["kind"]]["metadata"]}
        with pytest.raises(RefusedError) as caught:
            api.replace_status(whole, dryRun="All")
    else:
        body.pop("status", None)
        with pytest.raises(RefusedError) as caught:
            api.create(named(body, "bad"), dryRun="All")
    assert caught.value.code in (400, 422)
    assert says in caught.value.message
    # So does the server put it when a rule failed to evaluate, instead of saying no.
    assert "no such overload" not in caught.value.message
    if case.server is None:
        # Rules name the field by themselves. The server writes a map's key in brackets, sometimes after a
        # dot.
        assert _in_servers_spelling(case.path) in caught.value.message.replace(".[", "[")


def _in_servers_spelling(path: str) -> str:
    for key in RANGES:
        path = path.replace(f"spec.sysctls.{key}", f"spec.sysctls[{key}]")
    return path.replace("matchLabels.x", "matchLabels[x]")


@pytest.mark.parametrize("seed", range(4))
def test_server_and_models_agree_on_random_policies(api: Api, seed: int) -> None:
    random = Random(seed)
    verdicts = set()
    for _ in range(500):
        body = named(PLAIN | {"spec": random_spec(random)}, "random")
        try:
            OOMPolicy.parse(body)
            mine = "good"
        except InvalidObjectError as error:
            mine = f"bad: {error}"
        try:
            api.create(body, dryRun="All")
            theirs = "good"
        except RefusedError as error:
            theirs = f"bad: {error}"
        assert "no such overload" not in theirs
        assert (mine == "good") is (theirs == "good"), (body["spec"], mine, theirs)
        verdicts.add(mine == "good")
    assert verdicts == {True, False}


def test_both_ends_of_each_sysctl_range_are_accepted(api: Api) -> None:
    everything = {"acknowledge": ["KubeletConflict", "NodePanic", "ContainerLimitPanicsNode"]}
    for key, (below, above, _) in RANGES.items():
        for value in (below + 1, above - 1):
            spec = {"sysctls": {key: value}, "panicSafety": everything}
            api.create(named(PLAIN | {"spec": spec}, "range"), dryRun="All")


def test_kubelet_values_need_no_acknowledgement(api: Api) -> None:
    spec = {"sysctls": {"vm.panic_on_oom": 0, "vm.overcommit_memory": 1, "kernel.panic": 10}}
    api.create(named(PLAIN | {"spec": spec}, "kubelet"), dryRun="All")


def test_incident_spec_is_immutable(api: Api, stored: dict[str, Json]) -> None:
    path = path_of(stored["OOMIncident"])
    for change in (
        {"cause": "NodeMemory"},
        {"container": "other"},
        {"workload": {"name": "other"}},
        {"container": None},
    ):
        with pytest.raises(RefusedError) as caught:
            api.call("PATCH", path, {"spec": change})
        assert "spec is the incident's subject and never changes: create another" in caught.value.message
    api.call("PATCH", path, {"metadata": {"labels": {"seen": "yes"}}})


@pytest.mark.parametrize("kind", RESOURCES)
def test_spec_and_status_are_written_separately(api: Api, stored: dict[str, Json], kind: str) -> None:
    path = path_of(stored[kind])
    before = api.call("GET", path)
    api.call("PATCH", path, {"status": {"conditions": []}})
    api.call(
        "PATCH", f"{path}/status", {"spec": {"nodeName": "other", "priority": 7, "sysctls": None, "top": 3}}
    )
    after = api.call("GET", path)
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_status_given_at_creation_is_dropped(api: Api) -> None:
    body = named(POLICY, "born-with-status")
    assert "status" not in api.create(body)
    api.call("DELETE", path_of(body))


def test_only_spec_changes_increase_generation(api: Api) -> None:
    body = named(PLAIN, "generation")
    assert api.create(body)["metadata"]["generation"] == 1
    status = {"status": {"observedGeneration": 1}}
    assert api.call("PATCH", f"{path_of(body)}/status", status)["metadata"]["generation"] == 1
    assert api.call("PATCH", path_of(body), {"spec": {"mode": "Audit"}})["metadata"]["generation"] == 2
    api.call("DELETE", path_of(body))


def test_incidents_can_be_selected_by_node_and_cause(api: Api) -> None:
    bodies = []
    for number, (node, cause) in enumerate(
        [("field-a", "PodLimit"), ("field-a", "NodeMemory"), ("field-b", "PodLimit")]
    ):
        body = named(HOST_INCIDENT, f"field-{number}")
        body["spec"] |= {"nodeName": node, "cause": cause}
        bodies.append(body)
        api.create(body)

    def found(selector: str) -> list[str]:
        items = api.call("GET", f"{API}/oomincidents", fieldSelector=selector)["items"]
        return [item["metadata"]["name"] for item in items if item["spec"]["nodeName"].startswith("field-")]

    assert found("spec.nodeName=field-a") == ["crds-field-0", "crds-field-1"]
    assert found("spec.nodeName=field-a,spec.cause=NodeMemory") == ["crds-field-1"]
    assert found("spec.cause=PodLimit") == ["crds-field-0", "crds-field-2"]
    with pytest.raises(RefusedError, match="field label not supported"):
        found("spec.container=app")
    for body in bodies:
        api.call("DELETE", path_of(body))


def _table(text: str) -> list[dict[str, str]]:
    """kubectl's table: column -> cell. Columns are found by the header, for cells may be empty or hold
    spaces."""
    header, *lines = text.rstrip("\n").split("\n")
    starts = [i for i, char in enumerate(header) if char != " " and (i == 0 or header[i - 1] == " ")]
    ends = [*starts[1:], None]
    return [
        {header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)} for line in lines
    ]


COLUMNS: list[tuple[str, Json, dict[str, str], dict[str, str]]] = [
    (
        "oomp",
        POLICY,
        {
            "MODE": "Audit",
            "SUSPENDED": "true",
            "PRIORITY": "-5",
            "UPDATED": "3/7",
            "MATCHED": "7",
            "INSYNC": "1",
            "READY": "True",
            "OVERRIDDEN": "1",
            "REASON": "AsWanted",
            "KILLS(24H)": "9",
            "DRIFTS": "1",
        },
        {"DRIFTED": "1", "REFUSED": "1", "SILENT": "1", "UNMANAGED": "1", "CONFLICTED": ""},
    ),
    (
        "oomn",
        NODE,
        {
            "APPLIED": "False",
            "DEGRADED": "True",
            "KERNEL": "6.12.9",
            "CGROUP": "2",
            "KILLS": "12",
            "UNATTRIBUTED": "1",
        },
        {"LOST": "4", "PANICS": "1", "BOOT-ID": "6f9f3f0e-1111-4222-8333-444455556666"},
    ),
    (
        "oomi",
        INCIDENT,
        {
            "WORKLOAD": "web",
            "CONTAINER": "app",
            "CAUSE": "PodLimit",
            "KILLS": "3",
            "VISIBILITY": "Reported",
        },
        {
            "KIND": "Deployment",
            "LEVEL": "Pod",
            "LAST-POD": "web-1",
            "NODE": "n1",
            "VICTIM": "web",
            "SUMMARY": "The pod reached its limit of 128 MiB.",
        },
    ),
    (
        "oomr",
        REPORT,
        {"WINDOW": "168h", "KILLS": "10", "TOP-CAUSE": "PodLimit", "TOP-WORKLOAD": "web", "NODES": "2"},
        {"TOP-NAMESPACE": "shop", "WORKLOADS": "3", "COMPLETE": "False", "ADVICE": "raise the limit"},
    ),
]
"""Short name, the stored object, columns by default, columns that -o wide adds."""

AGES = {"oomp": {"AGE"}, "oomn": {"AGE"}, "oomi": {"LAST-SEEN"}, "oomr": {"REFRESHED", "AGE"}}
WIDE_AGES = {"oomp": {"LAST-KILL"}}


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(("short", "body", "narrow", "wide"), COLUMNS, ids=[row[0] for row in COLUMNS])
def test_kubectl_get_shows_columns_for_each_short_name(
    control_plane: ControlPlane, short: str, body: Json, narrow: dict[str, str], wide: dict[str, str]
) -> None:
    name = "crds-full"
    [row] = _table(control_plane.kubectl("get", short, name, "-n", NAMESPACE))
    assert row.items() >= narrow.items()
    assert set(row) == {"NAME"} | set(narrow) | AGES[short]
    [row] = _table(control_plane.kubectl("get", short, name, "-n", NAMESPACE, "-o", "wide"))
    assert row.items() >= (narrow | wide).items()
    assert set(row) == {"NAME"} | set(narrow) | set(wide) | AGES[short] | WIDE_AGES.get(short, set())
    dates = AGES[short] | WIDE_AGES.get(short, set())
    assert all(row[column] not in ("", "<none>", "<unknown>", "<invalid>") for column in dates)
    assert body["kind"] in RESOURCES


@pytest.mark.usefixtures("stored")
def test_kubectl_describe_of_a_report_shows_no_empty_parts(control_plane: ControlPlane) -> None:
    """kubectl orders the fields of a custom resource by name, so only their number can be kept small."""
    lines = control_plane.kubectl("describe", "oomr", "crds-full").splitlines()
    status = [line.strip() for line in lines[lines.index("Status:") :]]
    assert status.index("Advice:") < status.index("Buckets:") < status.index("By Cause:")
    buckets = status[status.index("Buckets:") + 1 : status.index("By Cause:")]
    assert [line.split()[0] for line in buckets] == ["Kills:", "Start:"] * (len(buckets) // 2)
    assert "Bucket Seconds:  25200" in status


@pytest.mark.usefixtures("stored")
def test_kubectl_get_oom_lists_all_kinds_in_all_namespaces(control_plane: ControlPlane) -> None:
    names = control_plane.kubectl("get", "oom", "-A", "-o", "name").split()
    for resource in RESOURCES.values():
        assert f"{resource.singular}.oomkeeper.dev/crds-full" in names


@pytest.mark.usefixtures("api")
def test_kubectl_explain_lists_every_sysctl_on_its_own_line(control_plane: ControlPlane) -> None:
    text = control_plane.kubectl("explain", "oompolicy.spec.sysctls")
    for key in RANGES:
        assert f"\n    {key} (" in text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_is_accepted_unchanged(api: Api, control_plane: ControlPlane, example: Path) -> None:
    control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(example))
    documents = list(yaml.safe_load_all(example.read_text(encoding="utf-8")))
    for document in documents:
        kept = api.create(document, dryRun="All")
        wanted = document["spec"]
        assert {key: kept["spec"][key] for key in wanted if key != "panicSafety"} == {
            key: value for key, value in wanted.items() if key != "panicSafety"
        }


def test_examples_exist() -> None:
    assert len(EXAMPLES) >= 7
