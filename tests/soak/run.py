"""A soak: the kills, the faults one after the other, and the account in the end."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from oomkeeper.kernel.vmstat import read_oom_kills
from tests.cluster.agent_harness import api_server, api_server_frozen, install
from tests.cluster.controller_harness import OOM_NODES, REPORTS, Controller, Harness
from tests.kernel.harness import Cgroup, cgroups, flood_kernel_log
from tests.testbed import ControlPlane, NativeNode
from tests.waiting import eventually

from .findings import REPORT, Truth, account, wrong
from .kills import POD_PAUSE_SECONDS, CgroupKills, PodKills
from .programs import AgentOnTmpfs, Killer, MemorySampler
from .size import Size
from .storm import MOST_MIB, Storm, measure

Say = Callable[[str], None]
PODS = 2
STATE_MIB = 64
SETTLED_SECONDS = 300.0
"""For the last writes and the last report, after the last kill."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a soak came to."""

    wrong: list[str]
    """A sentence each; empty when everything is as it must be."""
    kills: int
    """Made by the soak. The account holds those of others on this machine too."""
    recorded: int
    unattributed: int
    lost_log_records: int
    agent_kills: int
    controller_kills: int
    seconds: float
    memory_mib: float
    """The agent's private memory at most."""
    storm: Storm


def run(node: NativeNode, *, folder: Path, size: Size, say: Say) -> Outcome:
    """Run a soak on a node, and say in between what is done."""
    kubeconfig = node.control_plane.kubeconfig
    with ExitStack() as stack:
        top = stack.enter_context(cgroups())
        agent = AgentOnTmpfs(folder / "agent", kubeconfig=kubeconfig, node=node.name, state_mib=STATE_MIB)
        stack.callback(agent.end)
        controller = Controller(kubeconfig=kubeconfig, log=folder / "controller.log")
        stack.callback(controller.end)
        soak = _Soak(node, agent, controller, folder=folder, size=size, say=say)
        return soak.run(top)


class _Soak:
    def __init__(
        self,
        node: NativeNode,
        agent: AgentOnTmpfs,
        controller: Controller,
        *,
        folder: Path,
        size: Size,
        say: Say,
    ) -> None:
        self._folder = folder
        self._node = node
        self._agent = agent
        self._controller = controller
        self._size = size
        self._say = say
        self._harness: Harness = install(node.control_plane)

    def run(self, top: Cgroup) -> Outcome:
        size = self._size
        began, before = time.time(), read_oom_kills() or 0
        self._harness.report(REPORT)
        self._controller.start()
        self._agent.start()
        eventually(lambda: self._harness.status(f"{OOM_NODES}/{self._node.name}").get("counters"))
        planned = self._planned_seconds()
        whole = planned + size.storm_seconds
        pods = PodKills(
            self._harness, pods=PODS, kills_each=max(5, int(whole / (POD_PAUSE_SECONDS + 0.5) / 2))
        )
        per_minute = size.kills_per_minute - pods.total / whole * 60
        makers = CgroupKills(top, per_minute=max(per_minute, size.kills_per_minute / 2))
        killer = Killer(
            self._agent,
            self._controller,
            agent_kills=size.agent_kills,
            controller_kills=size.controller_kills,
            seconds=planned,
        )
        memory = MemorySampler(self._agent)
        for thread in (makers, killer, memory):
            thread.start()
        try:
            self._faults(killer)
            killer.finish()
            self._say(
                f"{size.kills_per_minute} kills a minute for {size.storm_seconds:g} s, and nothing fails"
            )
            storm = measure(
                self._harness,
                self._agent,
                seconds=size.storm_seconds,
                kills=lambda: sum(makers.made.values()),
            )
            while sum(makers.made.values()) + pods.total < size.kills and makers.is_alive():
                time.sleep(1)
        finally:
            makers.stop()
        truth = Truth(
            began=began,
            vmstat_before=before,
            in_cgroups=dict(makers.made),
            in_pods=pods.made,
            pids=makers.pids,
        )
        self._say(f"{truth.kills} kills made; waiting for the account")
        found = self._settle(truth)
        found += storm.wrong()
        shutil.copytree(self._agent.state, self._folder / "state-at-the-end", dirs_exist_ok=True)
        (self._folder / "pids-killed").write_text("\n".join(map(str, truth.pids)) + "\n")
        own, most = account(self._agent), memory.stop()
        if most > MOST_MIB:
            found.append(f"the agent had {most:.1f} MiB of private memory ({memory.most_at})")
        return Outcome(
            wrong=found,
            kills=truth.kills,
            recorded=own["recorded"],
            unattributed=own["unattributed"],
            lost_log_records=own["lostRecords"],
            agent_kills=killer.killed["agent"],
            controller_kills=killer.killed["controller"],
            seconds=time.time() - began,
            memory_mib=most,
            storm=storm,
        )

    def _planned_seconds(self) -> float:
        size = self._size
        faults = size.api_outage_seconds + size.stopped_seconds + size.full_disk_seconds
        return max(faults + 2 * size.steady_seconds + 20, size.kills / size.kills_per_minute * 60)

    def _faults(self, killer: Killer) -> None:
        """One after the other, while kills go on."""
        size = self._size
        self._say("steady")
        time.sleep(size.steady_seconds)
        self._say(f"no API server for {size.api_outage_seconds:g} s")
        with api_server_frozen(self._node.control_plane):
            time.sleep(size.api_outage_seconds)
        self._say("compacting etcd")
        compact(self._node.control_plane, harness=self._harness)
        with killer.alive:
            self._say(f"the agent is stopped for {size.stopped_seconds:g} s, the kernel log is overwritten")
            with self._agent.stopped():
                time.sleep(size.stopped_seconds)
                flood_kernel_log()
        with killer.alive:
            self._say(f"the state's disk is full for {size.full_disk_seconds:g} s")
            with self._agent.full_disk():
                time.sleep(size.full_disk_seconds)
            eventually(lambda: self._condition("StateStored") == "True", seconds=120)
        self._say(f"the clock is {size.clock_step_seconds:g} s ahead, and set right again")
        self._agent.step_clock(size.clock_step_seconds)
        time.sleep(10)
        self._agent.step_clock(0)
        self._say("steady")
        time.sleep(size.steady_seconds)

    def _condition(self, kind: str) -> str:
        conditions = self._harness.status(f"{OOM_NODES}/{self._node.name}")["conditions"]
        return next(one["status"] for one in conditions if one["type"] == kind)  # type: ignore[no-any-return]

    def _settle(self, truth: Truth) -> list[str]:
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            found = wrong(truth, agent=self._agent, harness=self._harness, node=self._node.name)
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(3)


def compact(plane: ControlPlane, *, harness: Harness) -> None:
    """Compact etcd up to its newest revision: every version that a watch could continue from is gone."""
    revision = harness.get(f"{REPORTS}?limit=1")["metadata"]["resourceVersion"]
    request = urllib.request.Request(
        f"{etcd_url(plane)}/v3/kv/compaction",
        data=json.dumps({"revision": revision, "physical": True}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        response.read()


def etcd_url(plane: ControlPlane) -> str:
    """Return where the control plane's etcd answers, from the command line of its API server."""
    _, arguments = api_server(plane)
    return next(one for one in arguments if one.startswith("--etcd-servers=")).partition("=")[2]
