"""What must be true after a soak, whatever happened in it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oomkeeper.agent.clock import parse_rfc3339
from oomkeeper.kernel.vmstat import read_oom_kills
from tests.cluster.controller_harness import OOM, OOM_NODES, REPORTS, Harness, Json
from tests.kernel.harness import oomkeeper

from .kills import NAMESPACE
from .programs import AgentOnTmpfs

REPORT = "soak"
NO_CGROUP = "/"
"""Of the incident of kills whose cgroup is not known."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What really happened."""

    began: float
    """Seconds since the epoch."""
    vmstat_before: int
    """The kernel's count of OOM kills when the agent started first."""
    in_cgroups: Mapping[str, int]
    in_pods: Mapping[str, int]
    pids: Sequence[int]
    """Killed in the cgroups."""

    @property
    def kills(self) -> int:
        """Made by the soak."""
        return sum(self.in_cgroups.values()) + sum(self.in_pods.values())


def account(agent: AgentOnTmpfs) -> Json:
    """The agent's account, from its state."""
    done = oomkeeper("status", "--state-dir", agent.state, "--output", "json")
    assert done.returncode == 0, done.stderr
    document: Json = json.loads(done.stdout)["account"]
    return document


def wrong(truth: Truth, *, agent: AgentOnTmpfs, harness: Harness, node: str) -> list[str]:
    """Return a sentence for everything that is not as it must be; call it again until nothing is, or for as
    long as the last writes may take."""
    found = []
    own = account(agent)
    happened = (read_oom_kills() or 0) - truth.vmstat_before
    if own["recorded"] + own["unattributed"] != happened:
        found.append(
            f"{own['recorded']} recorded and {own['unattributed']} unattributed are not {happened} kills"
        )
    if own["unattributed"]:
        found.append(f"{own['unattributed']} kills are unattributed")
    found += _wrong_kills(truth, agent)
    found += _wrong_incidents(truth, harness)
    found += _wrong_objects(own, harness, node=node)
    return found


def _wrong_kills(truth: Truth, agent: AgentOnTmpfs) -> list[str]:
    done = oomkeeper("kills", "--state-dir", agent.state, "--output", "json")
    kills = json.loads(done.stdout)["kills"]
    found = []
    ids = Counter(kill["id"] for kill in kills)
    if doubled := [one for one, times in ids.items() if times > 1]:
        found.append(f"kills stored twice: {doubled[:5]}")
    stored = Counter(
        victim["pid"] for kill in kills if kill["taskMemcg"] in truth.in_cgroups for victim in kill["victims"]
    )
    made = Counter(truth.pids)
    if doubled_pids := {pid: times for pid, times in stored.items() if times > made[pid]}:
        found.append(f"processes killed more often in the store than in truth: {doubled_pids}")
    # Where the log was overwritten, the trace may not have the cgroup of each kill.
    unplaced = Counter(
        victim["pid"] for kill in kills if kill["taskMemcg"] is None for victim in kill["victims"]
    )
    if len(kills) >= truth.kills and (missing := made - stored - unplaced):
        found.append(f"{missing.total()} killed processes are not in the store")
    return found


def _wrong_incidents(truth: Truth, harness: Harness) -> list[str]:
    in_cgroups: Counter[str] = Counter()
    in_pods: Counter[str] = Counter()
    unplaced = 0
    found = []
    elsewhere: Counter[str] = Counter()
    for incident in harness.list(f"{OOM}/oomincidents"):
        status = incident.get("status", {})
        count = status.get("count", 0)
        if incident["metadata"]["namespace"] == NAMESPACE:
            in_pods[incident["spec"]["workload"]["name"]] += count
        elif (cgroup := incident["spec"].get("cgroup")) in truth.in_cgroups:
            in_cgroups[cgroup] += count
        elif incident["spec"].get("cgroup") == NO_CGROUP:
            unplaced += count
            continue  # kills before the soak are in it too
        else:  # killed by others on this machine, or before the soak
            elsewhere[f"{cgroup or incident['metadata']['name']} ({incident['spec'].get('cause')})"] += count
            continue
        for key in ("firstSeen", "lastSeen"):
            # The kernel's clock is converted to the wall clock: exact to a second or so.
            if not truth.began - 5 <= parse_rfc3339(status[key]) <= time.time() + 5:
                found.append(f"{incident['metadata']['name']}: {key} {status[key]} is outside the soak")
        hours = sum(hour["kills"] for hour in status["history"])
        if hours != count:
            found.append(f"{incident['metadata']['name']}: {count} kills, {hours} in its hours")
    made, counted = Counter(truth.in_cgroups) + Counter(truth.in_pods), in_cgroups + in_pods
    for pod in _ended_pods(harness):
        # The kernel chose its shell, while the child before was still dying: the pod makes no more kills.
        made[pod] = min(made[pod], counted[pod])
    # Where the kernel log was overwritten, the trace may not have the cgroup of each kill: then it is open.
    if counted - made or (made - counted).total() > unplaced:
        found.append(
            f"kills: {dict(made)} happened, {dict(counted)} are counted, {unplaced} without a cgroup, "
            f"elsewhere {dict(elsewhere)}"
        )
    return found


def _ended_pods(harness: Harness) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in harness.list(f"/api/v1/namespaces/{NAMESPACE}/pods")
        for status in pod.get("status", {}).get("containerStatuses", [])
        if "terminated" in status.get("state", {})
    ]


def _wrong_objects(own: Json, harness: Harness, *, node: str) -> list[str]:
    found = []
    counters = harness.status(f"{OOM_NODES}/{node}").get("counters", {})
    for name, key in (("recorded", "recorded"), ("unattributed", "unattributed")):
        if counters.get(name) != own[key]:
            found.append(f"OOMNode has {counters.get(name)} {name}, the agent {own[key]}")
    total = harness.status(f"{REPORTS}/{REPORT}").get("totals", {}).get("kills")
    incidents = sum(one.get("status", {}).get("count", 0) for one in harness.list(f"{OOM}/oomincidents"))
    if total != incidents:
        found.append(f"OOMReport has {total} kills, the incidents {incidents}")
    return found
