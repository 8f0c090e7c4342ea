"""`kubectl oom report`: reading page by page, what may not be read, and where the report is written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from oomkeeper.cli import typed_lists
from oomkeeper.cli.cluster_client import ClusterClient
from oomkeeper.cli.errors import BadInput
from oomkeeper.cli.kubectl_oom import main
from oomkeeper.cli.report import FORMATS, since_seconds
from oomkeeper.cli.typed_lists import TypedItems
from oomkeeper.model.times import format_time
from oomkeeper.resources.oomincident import OOMIncident
from tests.unit.agent.kube_server import Exchange, server
from tests.unit.reporting.report_samples import incident_object, node_object

Json = dict[str, Any]


class Cluster:
    """Answers lists page by page, as the API server does."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Json]] = {
            "oomincidents": [],
            "oomnodes": [node_object()],
            "oomreports": [],
        }
        self.replica_sets: dict[str, Json] = {}
        self.status: dict[str, int] = {}
        self.breaks_off = False
        """A list that is not asked for in pages ends within an item."""
        self.compresses = False
        self.compressed: list[str] = []
        self.asked: list[tuple[str, Json]] = []

    def answer(self, exchange: Exchange) -> None:
        url = urlsplit(exchange.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        plural = url.path.rpartition("/")[2]
        self.asked.append((url.path, query))
        if status := self.status.get(plural):
            exchange.json({"message": f"{plural} is forbidden"}, status=status)
            return
        if "/replicasets/" in url.path:
            found = self.replica_sets.get(plural)
            exchange.json(found or {"message": "not found"}, status=200 if found else 404)
            return
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 1 << 30))
        items = self.objects[plural]
        meta: Json = {"resourceVersion": "7"}
        if start + limit < len(items):
            meta["continue"] = str(start + limit)
        answer = {"kind": "List", "items": items[start : start + limit], "metadata": meta}
        data = json.dumps(answer, separators=(",", ":")).encode()
        if self.breaks_off and plural == "oomincidents" and "limit" not in query:
            exchange.raw(data[: len(data) // 2], length=len(data))
        elif self.compresses and exchange.headers.get("Accept-Encoding") == "gzip":
            self.compressed.append(plural)
            exchange.raw(gzip.compress(data), headers={"Content-Encoding": "gzip"})
        else:
            exchange.raw(data)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Report]:
    monkeypatch.setattr("oomkeeper.cli.report.time.time", lambda: 1_800_000_000.0)
    monkeypatch.setattr("oomkeeper.cli.report._CLOCK_TOLERANCE_SECONDS", float("inf"))
    with server(cluster.answer) as url:
        config = {
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(config))

        def run(*words: str) -> tuple[int, str, str]:
            try:
                status = main(["report", f"--kubeconfig={file}", *words])
            except SystemExit as end:
                status = int(end.code or 0)
            out, err = capsys.readouterr()
            return status, out, err

        yield run


def numbered(count: int) -> list[Json]:
    return [incident_object(f"i{n}", kills=(10.0 + n,), workload=f"w{n}") for n in range(count)]


def asked_pages(cluster: Cluster) -> list[tuple[str | None, str | None]]:
    """Return limit and continue of each request for incidents."""
    return [
        (query.get("limit"), query.get("continue"))
        for path, query in cluster.asked
        if path.endswith("/oomincidents")
    ]


def test_incidents_are_read_with_one_request(cluster: Cluster, report: Report) -> None:
    cluster.objects["oomincidents"] = numbered(5)
    status, out, err = report("-A", "-o", "json")
    assert (status, err) == (0, "")
    assert json.loads(out)["totals"]["kills"] == 5
    assert asked_pages(cluster) == [(None, None)]


def test_list_that_breaks_off_is_read_in_pages(
    cluster: Cluster, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typed_lists, "PAGE_ITEMS", 2)
    monkeypatch.setattr("oomkeeper.cli.cluster_client._PART_BYTES", 1)
    cluster.objects["oomincidents"] = numbered(5)
    cluster.breaks_off = True
    status, out, err = report("-A", "-o", "json")
    assert (status, err) == (0, "")
    assert json.loads(out)["totals"]["kills"] == 5
    assert asked_pages(cluster) == [(None, None), ("2", None), ("2", "2"), ("2", "4")]


class Parts:
    """Gives an answer in parts, as a client that is reading it does."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size

    def parts(self, _path: str, **_query: str) -> Iterator[bytes]:
        for start in range(0, len(self._data), self._size):
            yield self._data[start : start + self._size]


@pytest.mark.parametrize("size", [7, 400, 5000, 1 << 20])
def test_list_in_parts_has_each_item_once_whatever_its_text_looks_like(size: int) -> None:
    items = numbered(9)
    items[4]["status"]["summary"] = (
        f"ended,{json.dumps(items[5], separators=(',', ':'))}]," + "x" * 50 + chr(0x1F600)
    )
    items[6]["status"]["count"] = "many"
    items[7]["metadata"]["ownerReferences"] = [
        {"apiVersion": "oomkeeper.dev/v1alpha1", "kind": "OOMIncident", "name": "i0", "uid": "1"}
    ]
    answer = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "items": items,
        "kind": "OOMIncidentList",
        "metadata": {"continue": "", "resourceVersion": "7"},
    }
    data = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
    client = cast(ClusterClient, Parts(data, size))
    listed = TypedItems(client, OOMIncident, "oomincidents")
    names = [one.metadata.name for one in listed]
    assert names == [f"i{number}" for number in range(9) if number != 6]
    assert listed.malformed == 1


def test_items_are_given_before_the_list_is_complete() -> None:
    one = json.dumps(numbered(1)[0], separators=(",", ":"))

    class Endless:
        def parts(self, _path: str, **_query: str) -> Iterator[bytes]:
            yield f'{{"apiVersion":"oomkeeper.dev/v1alpha1","items":[{one}'.encode()
            while True:
                yield f",{one}".encode()

    listed = iter(TypedItems(cast(ClusterClient, Endless()), OOMIncident, "oomincidents"))
    assert [next(listed).metadata.name for _ in range(50)] == ["i0"] * 50


def test_compressed_answer_is_asked_for_and_read(cluster: Cluster, report: Report) -> None:
    cluster.objects["oomincidents"] = numbered(3)
    cluster.compresses = True
    status, out, err = report("-A", "-o", "json")
    assert (status, err) == (0, "")
    assert json.loads(out)["totals"]["kills"] == 3
    assert "oomincidents" in cluster.compressed


def test_malformed_incident_is_left_out_and_counted(cluster: Cluster, report: Report) -> None:
    cluster.objects["oomincidents"] = [*numbered(2), {"metadata": {"name": "x"}, "spec": "no", "status": 3}]
    status, out, _ = report("-A", "-o", "json")
    document = json.loads(out)
    assert (status, document["totals"]["kills"], document["coverage"]["complete"]) == (0, 2, False)
    assert "1 OOMIncident could not be read and is left out." in document["coverage"]["sentences"]


def test_namespace_is_the_contexts_unless_given(cluster: Cluster, report: Report) -> None:
    base = "/apis/oomkeeper.dev/v1alpha1"
    for words, path in (
        ((), f"{base}/namespaces/shop/oomincidents"),
        (("-n", "pay"), f"{base}/namespaces/pay/oomincidents"),
        (("-A",), f"{base}/oomincidents"),
    ):
        cluster.asked.clear()
        assert report(*words)[0] == 0
        assert [one for one, _ in cluster.asked if one.endswith("/oomincidents")] == [path]


def test_selector_is_the_api_servers(cluster: Cluster, report: Report) -> None:
    status, out, _ = report("-A", "-l", "oomkeeper.dev/cause=NodeMemory")
    assert status == 0
    selectors = {path.rpartition("/")[2]: query.get("labelSelector") for path, query in cluster.asked}
    assert selectors["oomincidents"] == "oomkeeper.dev/cause=NodeMemory"
    assert selectors["oomnodes"] is None
    assert "Only incidents with the labels oomkeeper.dev/cause=NodeMemory are counted." in out


def test_user_who_may_only_view_a_namespace_gets_its_report(cluster: Cluster, report: Report) -> None:
    cluster.objects["oomincidents"] = numbered(1)
    cluster.status = {"oomnodes": 403, "oomreports": 403}
    status, out, err = report("-n", "shop")
    assert (status, err) == (0, "")
    assert "1 OOM kill of 1 workload on 1 node." in out
    flat = " ".join(out.split())
    assert "Not known, because you may not list OOMNodes: kills without a record" in flat
    assert "Not known, because you may not list OOMReports: silent agents and wrong clocks." in flat


def test_all_namespaces_without_the_right_is_one_line_that_says_what_to_write(
    cluster: Cluster, report: Report
) -> None:
    cluster.status = {"oomincidents": 403}
    status, out, err = report("-A")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "write -n NAMESPACE" in err


def test_cluster_without_oomkeeper_is_one_line(cluster: Cluster, report: Report) -> None:
    cluster.status = {"oomincidents": 404}
    status, out, err = report()
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "is oomkeeper installed in this cluster?" in err


def test_api_server_that_fails_is_an_error(cluster: Cluster, report: Report) -> None:
    cluster.status = {"oomnodes": 500}
    status, out, err = report("-A")
    assert (status, out, err.count("\n")) == (1, "", 1)


def replica_set(owner: str = "web", **metadata: Any) -> Json:
    return {
        "metadata": {
            "creationTimestamp": format_time(1_800_000_000 - 2000),
            "annotations": {"deployment.kubernetes.io/revision": "42"},
            "ownerReferences": [{"kind": "Deployment", "name": owner}],
            **metadata,
        }
    }


def test_rollout_that_the_kills_began_with_is_named(cluster: Cluster, report: Report) -> None:
    cluster.objects["oomincidents"] = [incident_object("a", kills=(600.0, 1700.0), history={432_000.0: 2})]
    cluster.replica_sets["web-7f9c6d5b8"] = replica_set()
    status, out, _ = report("-A")
    assert status == 0
    flat = " ".join(out.split())
    assert (
        "Deployment shop/web: No kill for 4 days, then 2 since 2027-01-15 07:31 UTC, 5 minutes after" in flat
    )
    assert "UTC, 5 minutes after revision 42 was created (ReplicaSet web-7f9c6d5b8)." in flat


@pytest.mark.parametrize(
    "found",
    [
        None,
        replica_set("other"),
        replica_set(creationTimestamp=7),
        replica_set(ownerReferences="x"),
        {"metadata": []},
        {},
    ],
)
def test_replica_set_that_does_not_tell_leaves_the_revision_out(
    cluster: Cluster, report: Report, found: Json | None
) -> None:
    kills = (600.0, 1200.0, 1700.0)
    cluster.objects["oomincidents"] = [incident_object("a", kills=kills, history={432_000.0: 2})]
    if found is not None:
        cluster.replica_sets["web-7f9c6d5b8"] = found
    status, out, err = report("-A")
    assert (status, err) == (0, "")
    assert "in pods of ReplicaSet web-7f9c6d5b8." in " ".join(out.split())
    assert "revision" not in out


@pytest.mark.parametrize("form", FORMATS)
def test_file_gets_the_same_as_standard_output(
    cluster: Cluster, report: Report, tmp_path: Path, form: str
) -> None:
    cluster.objects["oomincidents"] = numbered(3)
    _, printed, _ = report("-A", "-o", form)
    path = tmp_path / f"report.{form}"
    status, out, err = report("-A", "-o", form, "--file", str(path))
    assert (status, out, err) == (0, "", f"wrote {path}\n")
    assert path.read_bytes().decode() == printed
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_file_that_cannot_be_written_leaves_nothing(report: Report, tmp_path: Path) -> None:
    status, _, err = report("--file", str(tmp_path / "no" / "such" / "report.html"), "-o", "html")
    assert (status, err.count("\n")) == (1, 1)
    assert "No such file or directory" in err


def test_yaml_is_the_same_document_as_json(cluster: Cluster, report: Report) -> None:
    cluster.objects["oomincidents"] = numbered(2)
    assert yaml.safe_load(report("-A", "-o", "yaml")[1]) == json.loads(report("-A", "-o", "json")[1])


def test_window_is_that_of_since(cluster: Cluster, report: Report) -> None:
    cluster.objects["oomincidents"] = [incident_object("a", kills=(1800.0, 7200.0, 90_000.0))]
    for since, kills in (("90m", 1), ("24h", 2), ("1d2h", 3)):
        document = json.loads(report("-A", "-o", "json", "--since", since)[1])
        assert document["totals"]["kills"] == kills
        assert document["end"] == format_time(1_800_000_000)


@pytest.mark.parametrize("text", ["", "7", "d", "8d", "169h", "1w", "-1d", "7d ", "0h", "９d", "1h1d", "7D"])
def test_since_that_cannot_be_reported_on_is_refused(text: str, report: Report, cluster: Cluster) -> None:
    with pytest.raises(BadInput, match="write"):
        since_seconds(text)
    status, out, err = report(f"--since={text}")
    assert (status, out, err.count("\n"), cluster.asked) == (2, "", 1, [])


@pytest.mark.parametrize(
    "words", [("--by", "pod"), ("-o", "pdf"), ("--top", "0"), ("-A", "-n", "x"), ("pod",)]
)
def test_wrong_command_line_is_one_line_and_exit_status_2(report: Report, words: tuple[str, ...]) -> None:
    status, out, err = report(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
