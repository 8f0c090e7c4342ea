"""What a rollout over many nodes costs the API server. `python -m bench.rollout`.

Real etcd, kube-apiserver and controller; this process plays the nodes and their agents, which report within a
second. A policy is in force on every node, then its value changes and reaches the canaries and the others
in batches. The writes are those of the controller, as the API server counts them (apiserver_request_total):
OOMNode.spec, OOMPolicy.status and Events, from before the edit until the rollout is complete.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter

from tests.api_writes import oomkeeper_writes

from .scale import API_VERSION, OOM, Scale, run

POLICY = "policy-0"
CANARY = {"example.org/canary": "true"}


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog="python -m bench.rollout", description="The cost of a rollout.")
    parser.add_argument("--nodes", type=int, default=1000, help="default %(default)s")
    parser.add_argument("--step", default="5%", help="maxConcurrent (default %(default)s)")
    parser.add_argument("--soak", type=int, default=10, help="soakSeconds (default %(default)s)")
    parser.add_argument(
        "--canaries", type=int, default=10, help="canary nodes; 0: none (default %(default)s)"
    )
    args = parser.parse_args()
    args.incidents, args.policies = 1000, 1
    return run(Rollout, args, name="rollout")


class Rollout(Scale):
    """One rollout over a cluster of the size asked for."""

    async def _run(self, process: subprocess.Popen[bytes]) -> None:  # noqa: ARG002
        args = self._args
        canaries = self._nodes[: args.canaries]
        limits = f"maxConcurrent {args.step}, soakSeconds {args.soak}"
        print(f"{args.nodes} nodes, {limits}, {len(canaries)} canaries:")
        await self._await(lambda: self._written(60))
        await self._each(canaries, self._label)
        await self._each(self._nodes, self._answer)
        await self._await(lambda: self._ready(args.nodes))
        await asyncio.sleep(20)
        steps: list[tuple[str, int]] = []
        before, began = self._writes(), time.monotonic()
        agents = asyncio.create_task(self._agents())
        try:
            await self._edit()
            await self._await(lambda: self._complete(steps))
        finally:
            agents.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await agents
        await asyncio.sleep(10)
        writes = self._writes() - before
        grown = [updated for phase, updated in steps if phase != "Complete"]
        batches = len(dict.fromkeys(updated for updated in grown if updated))
        print(f"complete after {time.monotonic() - began:.0f} s in {batches} batches")
        for kind, count in sorted(writes.items()):
            if kind == "PATCH oomnodes/status":  # of the agents
                continue
            print(f"  {kind}: {count}, {count / batches:.1f} a batch")

    async def _edit(self) -> None:
        spec = {
            "priority": 100,
            "sysctls": {
                "vm.swappiness": 45,
                "vm.oom_dump_tasks": 1,
                "vm.overcommit_ratio": 60,
                "vm.min_free_kbytes": 67584,
            },
            "rollout": {"maxConcurrent": self._args.step, "soakSeconds": self._args.soak},
        }
        if self._args.canaries:
            spec["rollout"] |= {"canary": {"nodeSelector": {"matchLabels": CANARY}}}  # type: ignore[operator]
        body = {"apiVersion": API_VERSION, "kind": "OOMPolicy", "metadata": {"name": POLICY}, "spec": spec}
        await self._api.apply(f"{OOM}/oompolicies/{POLICY}", body)

    async def _label(self, name: str) -> None:
        await self._api.merge(f"/api/v1/nodes/{name}", {"metadata": {"labels": CANARY}})

    async def _agents(self) -> None:
        """Report on every spec that is not reported on yet."""
        while True:
            waiting = [
                node["metadata"]["name"]
                async for node in self._api.list(f"{OOM}/oomnodes")
                if node["status"].get("observedGeneration") != node["metadata"]["generation"]
            ]
            await self._each(waiting, self._answer)
            await asyncio.sleep(1.0)

    async def _complete(self, steps: list[tuple[str, int]]) -> bool:
        """Note the step; return whether the rollout of the edit is complete."""
        policy = await self._api.get(f"{OOM}/oompolicies/{POLICY}")
        assert policy is not None
        rollout = policy.get("status", {}).get("rollout", {})
        assert rollout.get("phase") != "Halted", rollout
        if rollout.get("generation") != policy["metadata"]["generation"]:
            return False
        step = (rollout["phase"], rollout["updated"])
        if not steps or steps[-1] != step:
            steps.append(step)
        return step == ("Complete", self._args.nodes)

    def _writes(self) -> Counter[str]:
        return oomkeeper_writes(self._plane.kubectl("get", "--raw", "/metrics"))


if __name__ == "__main__":
    sys.exit(main())
