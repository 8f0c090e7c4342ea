"""A cluster with oomkeeper in it, as the tests see it."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests import waiting
from tests.testbed.kind import KindCluster

GROUP, VERSION = "oomkeeper.dev", "v1alpha1"
NAMESPACE, RELEASE = "oomkeeper-system", "oomkeeper"
MIB = 1 << 20

Json = dict[str, Any]
eventually = functools.partial(waiting.eventually, also=(ApiException,))


def last_kill(incident: Json) -> Json:
    """The newest of the incident's kills; empty before there is one."""
    kills: list[Json] = incident.get("status", {}).get("kills", [])
    return kills[0] if kills else {}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The API by the Python client, and kubectl where a person would use it."""

    api: client.ApiClient
    kubectl_command: Sequence[str | Path]
    kind: KindCluster | None
    """Its nodes are containers of this machine, to be stopped and entered; None: not of the testbed."""

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """Its stdout. Raises AssertionError with its stderr."""
        command = [str(part) for part in (*self.kubectl_command, *arguments)]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip()}"
        return done.stdout

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.api)

    def apply(self, obj: Json, *, namespace: str | None = None) -> None:
        where = [f"--namespace={namespace}"] if namespace else []
        self.kubectl("apply", *where, "-f", "-", input=json.dumps(obj))

    # oomkeeper's own

    def _custom(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(self.api)

    def get(self, plural: str, name: str) -> Json:
        """A cluster-scoped object. Raises ApiException."""
        return self._custom().get_cluster_custom_object(GROUP, VERSION, plural, name)  # type: ignore[no-any-return]

    def find(self, plural: str, name: str) -> Json | None:
        try:
            return self.get(plural, name)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def delete(self, plural: str, name: str) -> None:
        with contextlib.suppress(ApiException):
            self._custom().delete_cluster_custom_object(GROUP, VERSION, plural, name)

    def incidents(self, namespace: str | None = None, *, pod: str | None = None) -> list[Json]:
        """Of a namespace or the whole cluster; `pod`: those whose last kill was in a pod whose name begins
        so."""
        api = self._custom()
        found: list[Json] = (
            api.list_namespaced_custom_object(GROUP, VERSION, namespace, "oomincidents")
            if namespace
            else api.list_cluster_custom_object(GROUP, VERSION, "oomincidents")
        )["items"]
        return [one for one in found if pod is None or last_kill(one).get("pod", "").startswith(pod)]

    def only_incident(self, namespace: str, *, pod: str | None = None, **status: Any) -> Json:
        """The one incident there; AssertionError while it is not there or its status is not (yet) so."""
        found = self.incidents(namespace, pod=pod)
        assert len(found) == 1, [one["metadata"]["name"] for one in found]
        [one] = found
        for name, wanted in status.items():
            assert one["status"].get(name) == wanted, one["status"]
        return one

    def container_kills(self, namespace: str) -> list[Json]:
        found = self._custom().list_namespaced_custom_object(GROUP, VERSION, namespace, "containerkills")
        return [one for one in found["items"] if one.get("status")]

    def oomnode(self, node: str) -> Json:
        return self.get("oomnodes", node)

    def sysctls(self, node: str) -> dict[str, Json]:
        """OOMNode.status.sysctls by name."""
        return {one["name"]: one for one in self.oomnode(node).get("status", {}).get("sysctls", [])}

    def conditions(self, plural: str, name: str) -> dict[str, tuple[str, str]]:
        """type -> (status, reason), once they speak of the object as it is now."""
        obj = self.get(plural, name)
        status = obj.get("status", {})
        assert (
            status.get("observedGeneration", obj["metadata"]["generation"]) == obj["metadata"]["generation"]
        )
        return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}

    # Nodes and agents

    @property
    def nodes(self) -> list[str]:
        return sorted(node.metadata.name for node in self.core.list_node().items)

    def need_nodes(self) -> KindCluster:
        """For what only the testbed's own clusters allow."""
        if self.kind is None:
            import pytest

            pytest.skip("needs nodes that are containers of this machine")
        return self.kind

    def agent_pod(self, node: str) -> str:
        """Name of the running agent's pod. Raises AssertionError while there is none."""
        pods = self.core.list_namespaced_pod(
            NAMESPACE,
            label_selector="app.kubernetes.io/component=agent",
            field_selector=f"spec.nodeName={node}",
        ).items
        ready = [
            pod.metadata.name
            for pod in pods
            if pod.metadata.deletion_timestamp is None
            and all(one.ready for one in pod.status.container_statuses or [])
            and pod.status.phase == "Running"
        ]
        assert len(ready) == 1, f"agents on {node}: {ready}"
        return str(ready[0])

    def in_agent(self, node: str, *command: str) -> str:
        """Run a program in the agent's container, once it is ready: under load a probe of it may fail."""
        pod = eventually(lambda: self.agent_pod(node))
        return self.kubectl("exec", f"--namespace={NAMESPACE}", pod, "--", *command)

    def value(self, node: str, key: str) -> int:
        """Return a sysctl in force on a node, read without oomkeeper's code."""
        return int(self.in_agent(node, "cat", "/proc/sys/" + key.replace(".", "/")))

    def account(self, node: str) -> Json:
        """As `oomkeeper status` on that node tells it."""
        status: Json = json.loads(self.in_agent(node, "oomkeeper", "status", "--output", "json"))
        return status["account"]  # type: ignore[no-any-return]

    def closed_account(self, node: str) -> Json:
        """The account with nothing open in it. Raises AssertionError."""
        account = self.account(node)
        assert account["unattributed"] == 0, account
        assert account["lostRecords"] == 0, account
        assert account["vmstatOomKill"] == account["recorded"], account
        return account

    # Pods

    @contextlib.contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """A namespace of its own, which is gone, or going, afterwards."""
        name = re.sub(r"[^a-z0-9-]+", "-", name.lower())[:50].strip("-")
        self.core.create_namespace({"metadata": {"name": name}})
        # Pods are made in the name of the default account.
        eventually(lambda: self.core.read_namespaced_service_account("default", name))
        try:
            yield name
        finally:
            self.core.delete_namespace(name, grace_period_seconds=0)

    def pod(self, namespace: str, name: str) -> Json:
        """As the API has it. Raises ApiException."""
        pod = self.core.read_namespaced_pod(name, namespace)
        return self.api.sanitize_for_serialization(pod)  # type: ignore[no-any-return]

    def events(self, namespace: str, *, of: str) -> list[Json]:
        """oomkeeper's Events about a pod or node."""
        found = self.core.list_namespaced_event(namespace, field_selector=f"involvedObject.name={of}").items
        mine = [event for event in found if event.reporting_component == "oomkeeper"]
        return [self.api.sanitize_for_serialization(event) for event in mine]


def kills(incidents: Sequence[Json]) -> int:
    """How many kills they count together, without those of more than a day ago: before the installation."""
    day_ago = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    hours = [hour for one in incidents for hour in one.get("status", {}).get("history", [])]
    return sum(hour["kills"] for hour in hours if hour["hour"] > day_ago)


def container_status(pod: Json, container: str) -> Json:
    """Of a container of any kind. Raises AssertionError while kubelet has said nothing."""
    status = pod.get("status", {})
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for one in status.get(kind) or []:
            if one["name"] == container:
                return one  # type: ignore[no-any-return]
    raise AssertionError(f"no status of {container}")
