"""`kubectl oom bundle`: what the file holds, and what it must not."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.reporting.incident_samples import incident

from .cluster_server import GROUP, Cluster, Run, cluster, run

__all__ = ["cluster", "run"]


def fill(cluster: Cluster) -> None:
    env = [{"name": "HTTPS_PROXY", "value": "http://u:hunter2@proxy"}]
    pod = {
        "metadata": {"name": "agent-1", "namespace": "ops"},
        "spec": {"nodeName": "n1", "containers": [{"name": "agent", "env": env}]},
    }
    cluster.stored |= {f"{GROUP}/{name}": [] for name in ("oompolicies", "oomnodes", "oomreports")}
    cluster.stored |= {
        "/version": {"gitVersion": "v1.37.2"},
        f"{GROUP}/oomincidents": [incident()],
        f"{GROUP}/containerkills": [],
        "/api/v1/pods": [pod],
        "/apis/apps/v1/daemonsets": [],
        "/apis/apps/v1/deployments": [],
        "/api/v1/events": [],
        "/api/v1/namespaces": [],
        "/api/v1/nodes": [{"metadata": {"name": "n1"}, "status": {"addresses": [{"address": "10.1.2.3"}]}}],
        "/api/v1/namespaces/ops/pods/agent-1/log": b"msg=started token=hunter2 node=n1\n",
    }


def files(path: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(path) as archive:
        for one in archive.getmembers():
            held = archive.extractfile(one)
            assert held is not None
            found[one.name.removeprefix("oomkeeper-bundle/")] = held.read().decode()
    return found


def test_bundle_has_objects_logs_and_findings_and_no_credentials(
    cluster: Cluster, run: Run, tmp_path: Path
) -> None:
    fill(cluster)
    path = tmp_path / "b.tar.gz"
    status, out, _ = run("bundle", "-f", str(path))
    assert status == 0
    assert out.startswith(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = files(path)
    assert json.loads(found["objects/oomincidents.json"])[0]["metadata"]["name"] == "web-app-0123456789"
    assert found["logs/ops_agent-1_agent_current.log"] == "msg=started token=REDACTED node=n1\n"
    assert any(one["check"] == "CRD" for one in json.loads(found["doctor.json"]))
    manifest: dict[str, Any] = json.loads(found["manifest.json"])
    assert manifest["server"]["gitVersion"] == "v1.37.2"
    everything = "".join(found.values())
    assert "hunter2" not in everything
    assert "10.1.2.3" not in everything
    assert not any("secrets" in one or "configmaps" in one for one in cluster.paths)


def test_redacted_names_are_nowhere_in_the_bundle(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    fill(cluster)
    path = tmp_path / "b.tar.gz"
    assert run("bundle", "-f", str(path), "--redact-names")[0] == 0
    everything = "".join(files(path).values())
    for name in ("shop", "java", "web-5d4f7c9b8-x2x7k", '"n1"', "node=n1"):
        assert name not in everything


def test_what_is_refused_is_named_and_the_rest_written(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    fill(cluster)
    cluster.stored["/api/v1/events"] = 403
    path = tmp_path / "b.tar.gz"
    status, _, err = run("bundle", "-f", str(path))
    assert status == 0
    assert "not read: GET /api/v1/events: 403 no rights" in err
    assert "403 no rights" in files(path)["manifest.json"]


def test_file_that_exists_is_not_overwritten(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_text("mine")
    status, _, err = run("bundle", "-f", str(path))
    assert (status, path.read_text(), cluster.requests) == (2, "mine", [])
    assert "exists already" in err


@pytest.mark.parametrize("missing", ["/version"])
def test_server_that_does_not_answer_leaves_no_file(
    cluster: Cluster, run: Run, tmp_path: Path, missing: str
) -> None:
    fill(cluster)
    del cluster.stored[missing]
    path = tmp_path / "b.tar.gz"
    assert run("bundle", "-f", str(path))[0] == 1
    assert not path.exists()
