"""What the tests do with the virtual node: pods that eat, policies, incidents waited for."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests import waiting
from tests.testbed.errors import TestbedError
from tests.testbed.vmnode import NAMESPACE, PYTHON_IMAGE, VMNode

eventually = functools.partial(waiting.eventually, seconds=150.0, interval_seconds=0.5)
"""Under emulation, on a machine that others use too, a pod takes half a minute."""
MIB = 1 << 20
Json = dict[str, Any]


def container(name: str, command: str, *, limit: str | None = None, **more: Any) -> Json:
    made: Json = {
        "name": name,
        "image": PYTHON_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", command],
        **more,
    }
    if limit:
        made["resources"] = {"limits": {"memory": limit}}
    return made


class Harness:
    """One virtual node, and a namespace of the present test's own."""

    def __init__(self, node: VMNode) -> None:
        self.node = node
        self.space = ""

    def new_space(self) -> None:
        self.space = f"vm-{uuid.uuid4().hex[:6]}"
        self.node.kubectl("create", "namespace", self.space)
        eventually(lambda: self.get("serviceaccount", "default"))

    def clean(self) -> None:
        """Policies first: no pod that is still to eat may panic the node then."""
        self.node.kubectl("delete", "oompolicies", "--all", "--wait=false")
        now = ("--grace-period=0", "--force", "--wait=false")
        self.node.kubectl("delete", "pods", "--all", f"--namespace={self.space}", *now)
        eventually(lambda: not self.oomnode()["status"].get("sysctls"))
        self.node.kubectl("delete", "namespace", self.space, "--wait=false")

    # -- looking

    def get(self, kind: str, name: str, *, space: str | None = None) -> Json:
        """Raises ValueError where there is none."""
        where = f"--namespace={space or self.space}"
        found: Json = json.loads(
            self.node.kubectl("get", kind, name, where, "--output=json", "--ignore-not-found")
        )
        return found

    def items(self, kind: str) -> list[Json]:
        where = f"--namespace={self.space}" if self.space else "--all-namespaces"
        listed = json.loads(self.node.kubectl("get", kind, where, "--output=json"))
        items: list[Json] = listed["items"]
        return items

    def items_in(self, kind: str, space: str) -> list[Json]:
        listed = json.loads(self.node.kubectl("get", kind, f"--namespace={space}", "--output=json"))
        items: list[Json] = listed["items"]
        return items

    def oomnode(self) -> Json:
        return self.get("oomnode", self.node.name)

    def sysctl(self, key: str) -> Json:
        """As the agent says that it is."""
        [found] = [one for one in self.oomnode()["status"].get("sysctls", []) if one["name"] == key]
        return found

    def in_guest(self, key: str) -> int:
        """As the guest's kernel has it."""
        return int(self.node.sh(f"cat /proc/sys/{key.replace('.', '/')}"))

    def counters(self) -> Json:
        """The node's account, once nothing in it is open."""

        def closed() -> Json:
            counters: Json = self.oomnode()["status"]["counters"]
            assert counters["unattributed"] == 0
            assert counters["kernelKills"] == counters["recorded"]
            assert counters["lostLogRecords"] == 0
            return counters

        return eventually(closed)

    def vmstat_oom_kill(self) -> int:
        return int(self.node.sh("grep ^oom_kill /proc/vmstat").split()[1])

    def incident(self, **expected: str) -> Json:
        """The only incident of the test's namespace, once its status has what is expected."""

        def only() -> Json:
            [found] = self.items("oomincidents")
            status = found["status"]
            assert {name: status.get(name) for name in expected} == expected
            return found

        return eventually(only)

    def container_kill(self, pod: str) -> Json:
        """The only ContainerKill of a pod that is its own workload."""

        def only() -> Json:
            kills = self.items("containerkills")
            [found] = [one for one in kills if one["spec"]["workload"]["name"] == pod]
            assert found["status"]["count"] == 1
            return found

        return eventually(only)

    def memory_pressure(self) -> str:
        """Status of the node's condition."""
        conditions = self.get("node", self.node.name)["status"]["conditions"]
        [found] = [one["status"] for one in conditions if one["type"] == "MemoryPressure"]
        return str(found)

    def memory_kib(self, key: str) -> int:
        """A line of the guest's /proc/meminfo."""
        return int(self.node.sh(f"grep ^{key}: /proc/meminfo").split()[1])

    # -- doing

    def pod(self, name: str, *containers: Json, **spec: Any) -> None:
        whole = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": list(containers),
            **spec,
        }
        self._apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole})

    def policy(
        self, name: str, *, sysctls: dict[str, int], acknowledge: list[str] | None = None, **more: Any
    ) -> None:
        """`more`: other fields of the spec."""
        spec: Json = {
            "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": self.node.name}},
            "sysctls": sysctls,
            **more,
        }
        if acknowledge:
            spec["panicSafety"] = {"acknowledge": acknowledge, **more.get("panicSafety", {})}
        self._apply(
            {
                "apiVersion": "oomkeeper.dev/v1alpha1",
                "kind": "OOMPolicy",
                "metadata": {"name": name},
                "spec": spec,
            }
        )

    def replace_agent(self) -> None:
        """Have the agent's pod ended, and wait for its successor."""
        old = self._agent_uid()
        where = f"--namespace={NAMESPACE}"
        self.node.kubectl("delete", "pods", where, "--selector=app.kubernetes.io/component=agent")
        eventually(lambda: self._agent_uid() != old)

    def _agent_uid(self) -> str:
        where = (f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/component=agent")
        [pod] = json.loads(self.node.kubectl("get", "pods", *where, "--output=json"))["items"]
        assert pod["status"]["phase"] == "Running"
        assert "deletionTimestamp" not in pod["metadata"]
        uid: str = pod["metadata"]["uid"]
        return uid

    def _apply(self, document: Json) -> None:
        self.node.kubectl("apply", f"--namespace={self.space}", "-f", "-", input=json.dumps(document))

    @contextmanager
    def priority_class(self, name: str) -> Iterator[None]:
        """A priority above that of all other pods of tests."""
        kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
        self._apply({**kind, "metadata": {"name": name}, "value": 1000})
        try:
            yield
        finally:
            self.node.kubectl("delete", "priorityclass", name)

    def serve(self, command: str) -> None:
        """Run a program of the guest's in the background, away from the shell."""
        self.node.sh(f"setsid {command} > /dev/null 2>&1 < /dev/null &")

    def picture(self) -> str:
        """What there is, in short, for a test that failed."""
        where = f"--namespace={self.space}"
        parts = [
            self.node.kubectl("get", "pods", "--all-namespaces", "--output=wide", check=False),
            self.node.kubectl("get", "oomincidents,containerkills,oompolicies,oomnodes", where, check=False),
            self.node.kubectl("get", "events", where, "--sort-by=.lastTimestamp", check=False)[-2000:],
            "\n".join(self.node.console().splitlines()[-25:]),
        ]
        try:
            parts.append(self.node.sh("tail -n 15 /var/log/pods/oomkeeper-system_*/agent/*.log"))
        except TestbedError as error:
            parts.append(str(error))
        return "\n".join(parts)
