"""`kubectl oom incidents` and `explain`: lists, filters, formats, explanations."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from tests.unit.api.objects import NODE
from tests.unit.reporting.incident_samples import Json, incident

from .cluster_server import GROUP, Cluster, Run, cluster, run

__all__ = ["cluster", "run"]

SHOP, ALL = f"{GROUP}/namespaces/shop/oomincidents", f"{GROUP}/oomincidents"
NOW = datetime.now(UTC)
HOSTILE = "\x1b[31mred\u202e"


def several() -> list[Json]:
    return [
        incident("old", workload=("StatefulSet", "db"), node="n2", last=NOW - timedelta(days=3), kills=12),
        incident("new", last=NOW - timedelta(minutes=5), kills=3),
        incident("host", workload=None, cause="NodeMemory", limit_mib=None, last=NOW - timedelta(hours=2)),
    ]


def names(out: str) -> list[str]:
    return [line.rpartition("/")[2] for line in out.splitlines()]


def test_last_kill_comes_first_and_the_table_reads_like_kubectls(cluster: Cluster, run: Run) -> None:
    cluster.stored[SHOP] = several()
    status, out, err = run("incidents")
    assert (status, err) == (0, "")
    head, *rows = [line.split("   ") for line in out.splitlines()]
    assert [cell.strip() for cell in head if cell.strip()] == [
        "NAME", "WORKLOAD", "CONTAINER", "CAUSE", "KILLS", "LIMIT", "NODE", "LAST",
    ]  # fmt: skip
    assert [row[0].strip() for row in rows] == ["new", "host", "old"]
    assert "StatefulSet/db" in out
    assert "/system.slice/db.service" in out
    assert "<none>" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--workload", "deploy/web"), ["new"]),
        (("--workload", "statefulsets.apps/db"), ["old"]),
        (("--workload", "web"), ["new"]),
        (("--workload", "ds/web"), []),
        (("--workload", "/system.slice/db.service"), ["host"]),
        (("--cause", "NodeMemory"), ["host"]),
        (("--node", "n2"), ["old"]),
        (("--since", "1h30m"), ["new"]),
        (("--since", "1w"), ["new", "host", "old"]),
    ],
)
def test_filters(cluster: Cluster, run: Run, words: tuple[str, ...], expected: list[str]) -> None:
    cluster.stored[SHOP] = several()
    assert names(run("incidents", "-o", "name", *words)[1]) == expected


def test_selector_and_namespace_are_the_servers_work(cluster: Cluster, run: Run) -> None:
    cluster.stored[ALL] = several()
    assert run("incidents", "-A", "-l", "a=b")[0] == 0
    (request,) = cluster.requests
    assert (request.path, request.query) == (ALL, {"labelSelector": "a=b"})


def test_formats_have_the_objects_as_the_server_gives_them(cluster: Cluster, run: Run) -> None:
    cluster.stored[SHOP] = several()
    document = json.loads(run("incidents", "-o", "json")[1])
    assert yaml.safe_load(run("incidents", "-o", "yaml")[1]) == document
    assert document["kind"] == "List"
    assert document["items"][2] == several()[0]
    template = '{range .items[*]}{.metadata.name}={.status.count}{"\\n"}{end}'
    assert run("incidents", "-o", f"jsonpath={template}")[1].split() == ["new=3", "host=1", "old=12"]


def test_nothing_found_and_refusal_are_one_line_on_stderr(cluster: Cluster, run: Run) -> None:
    cluster.stored[SHOP] = []
    assert run("incidents") == (0, "", "No OOM incidents found in namespace shop.\n")
    cluster.stored[SHOP] = 403
    status, out, err = run("incidents")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "403 no rights" in err


@pytest.mark.parametrize(
    "words",
    [("--since", "5x"), ("--cause", "Moon"), ("-o", "jsonpath={.a"), ("-o", "xml"), ("-A", "-n", "shop")],
)
def test_wrong_option_is_one_line_and_asks_nothing(
    cluster: Cluster, run: Run, words: tuple[str, ...]
) -> None:
    status, out, err = run("incidents", *words)
    assert (status, out, err.count("\n"), cluster.requests) == (2, "", 1, [])


def test_text_that_others_chose_is_escaped(cluster: Cluster, run: Run) -> None:
    one = incident("web", comm=HOSTILE)
    one["status"]["summary"] = HOSTILE
    cluster.stored[SHOP] = [one]
    for words in (("incidents", "-o", "wide"), ("explain", "web"), ("explain", "web", "-o", "markdown")):
        _, out, _ = run(*words)
        assert "\x1b" not in out
        assert "\u202e" not in out


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("new", ["new"]),
        ("oomi/old", ["old"]),
        ("pod/web-5d4f7c9b8-x2x7k", ["new", "old"]),
        ("web-5d4f7c9b8-x2x7k", ["new", "old"]),
        ("deployment/web", ["new"]),
        ("db", ["old"]),
    ],
)
def test_explanation_is_found_by_incident_pod_and_workload(
    cluster: Cluster, run: Run, what: str, expected: list[str]
) -> None:
    cluster.stored |= {SHOP: several()} | {f"{SHOP}/{one['metadata']['name']}": one for one in several()}
    status, out, err = run("explain", what, "-o", "json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert [one["metadata"]["name"] for one in document["incidents"]] == expected
    assert document["kills"][0]["cause"] == "ContainerLimit"
    assert document["kills"][0]["limitBytes"] == 64 << 20


def test_explanation_has_the_words_of_explain_and_the_kills(cluster: Cluster, run: Run) -> None:
    cluster.stored[SHOP] = [incident("web", kills=4)]
    _, out, _ = run("explain", "web")
    for part in (
        "reached its memory limit of 64 MiB",
        "Killed processes",
        "Memory breakdown",
        "Fit the limit:",
        "OOMKilled, exit code 137",
        "4 kills in container app of Deployment/web on node n1 with cause ContainerLimit",
        "Last kills",
    ):
        assert part in " ".join(out.split())
    _, markdown, _ = run("explain", "web", "-o", "markdown")
    assert markdown.startswith("## OOM kill, 2026\\-11-23" if "\\-" in markdown[:20] else "## OOM kill, ")
    assert "### Incident `shop/web`" in markdown


def test_unknown_subject_refers_to_why(cluster: Cluster, run: Run) -> None:
    cluster.stored[SHOP] = []
    status, out, err = run("explain", "pod/x")
    assert (status, out) == (1, "")
    assert err.startswith(
        "kubectl oom explain: no OOM incident of pod/x in namespace shop; `kubectl oom why x`"
    )


def test_node_is_explained_with_accounting_settings_and_incidents(cluster: Cluster, run: Run) -> None:
    cluster.stored |= {
        f"{GROUP}/oomnodes": [NODE],
        f"{GROUP}/oomnodes/n1": NODE,
        ALL: several(),
        "/api/v1/nodes": 403,
        "/api/v1/pods": 403,
    }
    status, out, _ = run("explain", "node/n1")
    assert status == 0
    assert "Agent:" in out
    assert "Unknown" in out
    assert "without a record" in out
    assert "vm.oom_dump_tasks" in out
    assert "new" in out
    assert "StatefulSet/db" not in out  # of another node
    assert json.loads(run("explain", "node/n1", "-o", "json")[1])["node"]["name"] == "n1"
    assert "## Node n1" in run("explain", "node/n1", "-o", "markdown")[1]
    assert run("explain", "node/none")[0] == 1
