"""`kubectl oom recommend`: what is printed, what is sent, and with which exit status."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.unit.reporting.incident_samples import Json, incident

from .cluster_server import GROUP, Cluster, Request, Run, cluster, run

__all__ = ["cluster", "run"]

INCIDENTS = f"{GROUP}/namespaces/shop/oomincidents"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/web"
PODS = "/api/v1/namespaces/shop/pods"


def deployment(limit: str = "64Mi") -> Json:
    container = {"name": "app", "resources": {"limits": {"memory": limit}, "requests": {"memory": limit}}}
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def shop(cluster: Cluster) -> Cluster:
    cluster.stored |= {INCIDENTS: [incident()], DEPLOYMENT: deployment()}
    return cluster


@pytest.mark.parametrize("output", ["patch", "kustomize", "helm", "vpa"])
def test_each_format_is_one_yaml_document(shop: Cluster, run: Run, output: str) -> None:
    status, out, err = run("recommend", "deploy/web", "-o", output)
    assert (status, err) == (0, "")
    assert "80Mi" in json.dumps(yaml.safe_load(out))
    assert {one.method for one in shop.requests} == {"GET"}


def test_refusal_is_exit_1_with_the_reason(shop: Cluster, run: Run) -> None:
    shop.stored[INCIDENTS] = [incident(parts=(("SharedMemory", 60),))]
    status, out, _ = run("recommend", "deploy/web")
    assert status == 1
    assert "Refused (SharedMemory)" in out
    status, out, err = run("recommend", "deploy/web", "-o", "patch")
    assert (status, out) == (1, "")
    assert err.startswith("app: Refused: ")


def test_dry_run_comes_before_the_patch(shop: Cluster, run: Run) -> None:
    status, out, err = run("recommend", "deploy/web", "--apply", "--yes")
    assert (status, err) == (0, "")
    dry, real = (one for one in shop.requests if one.method == "PATCH")
    assert (dry.path, real.path) == (DEPLOYMENT, DEPLOYMENT)
    assert (dry.query.get("dryRun"), real.query.get("dryRun")) == ("All", None)
    assert dry.body == real.body
    assert "deployment/web patched" in out


def test_nothing_is_changed_without_a_yes(shop: Cluster, run: Run) -> None:
    status, _, err = run("recommend", "deploy/web", "--apply")
    assert status == 2
    assert "needs --yes" in err
    assert [one.query["dryRun"] for one in shop.requests if one.method == "PATCH"] == ["All"]


def test_refused_dry_run_changes_nothing(shop: Cluster, run: Run) -> None:
    shop.writes = lambda _: (422, {"message": "exceeded quota"})
    status, _, err = run("recommend", "deploy/web", "--apply", "--yes")
    assert status == 1
    assert "exceeded quota" in err
    assert len([one for one in shop.requests if one.method == "PATCH"]) == 1


def test_running_pods_are_resized_in_place(shop: Cluster, run: Run) -> None:
    shop.stored |= {
        "/api/v1": {"resources": [{"name": "pods"}, {"name": "pods/resize"}]},
        PODS: [
            {"metadata": {"name": "web-1"}, "status": {"phase": "Running"}},
            {"metadata": {"name": "web-2"}, "status": {"phase": "Succeeded"}},
        ],
    }
    status, out, _ = run("recommend", "deploy/web", "--apply", "--in-place", "--yes")
    assert status == 0
    assert [one.path for one in shop.requests if one.method == "PATCH"] == [f"{PODS}/web-1/resize"] * 2
    assert "pod/web-1 resized" in out
    assert "template is unchanged" in out


def test_pod_that_is_not_resized_is_named(shop: Cluster, run: Run) -> None:
    shop.stored |= {
        "/api/v1": {"resources": [{"name": "pods/resize"}]},
        PODS: [{"metadata": {"name": f"web-{number}"}} for number in (1, 2)],
    }

    def writes(request: Request) -> tuple[int, Json]:
        refused = "dryRun" not in request.query and "web-1" in request.path
        return (422, {"message": "not possible"}) if refused else (200, {})

    shop.writes = writes
    status, out, err = run("recommend", "deploy/web", "--apply", "--in-place", "--yes")
    assert status == 1
    assert "pod/web-2 resized" in out
    assert "pod/web-1 not resized" in err
    assert "1 of 2 pods" in err


def test_cluster_without_resize_is_named(shop: Cluster, run: Run) -> None:
    shop.stored["/api/v1"] = {"resources": [{"name": "pods"}]}
    status, _, err = run("recommend", "deploy/web", "--apply", "--in-place", "--yes")
    assert status == 1
    assert "no pods/resize" in err


def test_verify_tells_whether_kills_stopped(shop: Cluster, run: Run) -> None:
    status, out, _ = run("recommend", "deploy/web", "--verify")
    assert (status, out) == (1, "app: Unchanged: the limit is 64 MiB, as at the last kill.\n")
    shop.stored[DEPLOYMENT] = deployment("128Mi")
    shop.stored[INCIDENTS] = [incident(kills=3)]
    status, out, _ = run("recommend", "deploy/web", "--verify", "-o", "json")
    assert status == 0
    assert json.loads(out)["containers"][0]["verdict"] == "Stopped"


@pytest.mark.parametrize(
    "words",
    [("--yes",), ("--in-place",), ("--apply", "--verify"), ("--verify", "-o", "vpa"), ("-o", "x")],
)
def test_wrong_command_line_asks_nothing(shop: Cluster, run: Run, words: tuple[str, ...]) -> None:
    status, out, err = run("recommend", "deploy/web", *words)
    assert (status, out, err.count("\n"), shop.requests) == (2, "", 1, [])


def test_unknown_ambiguous_and_custom_workloads(shop: Cluster, run: Run) -> None:
    assert run("recommend", "none")[0] == 1
    rollout = incident("r", workload=("Rollout", "api"))
    rollout["status"]["workload"] = {"apiVersion": "argoproj.io/v1alpha1", "uid": "u"}
    shop.stored[INCIDENTS] = [incident(), incident("s", workload=("StatefulSet", "web")), rollout]
    status, _, err = run("recommend", "web")
    assert status == 1
    assert "ambiguous: Deployment/web, StatefulSet/web" in err
    assert run("recommend", "rollout/api", "-o", "helm")[0] == 0
    target = yaml.safe_load(run("recommend", "rollout/api", "-o", "vpa")[1])["spec"]["targetRef"]
    assert target == {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "api"}
    status, out, err = run("recommend", "rollout/api", "-o", "patch")
    assert (status, out) == (1, "")
    assert "built-in kind" in err
