"""Clusters with OOM kills that no policy causes. `python -m tests.unit.controller.simulated_kills` prints how
often a rollout halts there, which docs/decisions/117-a-rollout-halts-on-more-oom-kills.md quotes."""

from __future__ import annotations

import math
import random
import statistics

from oomkeeper.controller.kill_increase import BEFORE_HOURS as WEEK
from oomkeeper.controller.kill_increase import NodeKills, judge, tail


class SimulatedCluster:
    """Nodes with leaking workloads, storms that fill one node, and bad releases on many nodes."""

    def __init__(self, dice: random.Random, *, nodes: int) -> None:
        self.dice = dice
        self.nodes = range(nodes)
        self.rate = [dice.expovariate(1.0) * dice.choice([0.0, 0.01, 0.1]) for _ in self.nodes]
        """Workloads killed per hour."""
        self.leaking = {index: dice.randint(1, 3) for index in self.nodes if dice.random() < 0.1}
        """Workloads that are killed all the time."""

    def hour(self, *, harmed: int = 0, harm: float = 0.0) -> list[int]:
        """Workloads killed on each node in an hour; a bad change does `harm` to the first ones."""
        dice = self.dice
        killed = [_poisson(dice, rate) + self.leaking.get(index, 0) for index, rate in enumerate(self.rate)]
        if dice.random() < len(killed) / 500:  # each node once in three weeks
            killed[dice.choice(self.nodes)] += dice.randint(3, 12)
        if dice.random() < 0.02:  # a bad release
            for index in dice.sample(self.nodes, len(killed) // 3):
                killed[index] += dice.choice([1, 2])
        for index in range(harmed):
            killed[index] += _poisson(dice, harm)
        return killed

    def rollout(self, *, harm: float, plain: bool = False) -> int | None:
        """Roll out in batches of 5 % that soak for an hour; return the changed nodes at the halt."""
        past = [self.hour() for _ in range(WEEK)]
        for changed in range(len(self.nodes) // 20, len(self.nodes), len(self.nodes) // 20):
            now = self.hour(harmed=changed, harm=harm)
            judged = [
                NodeKills(now[index], {hour: one[index] for hour, one in enumerate(past) if one[index]}, WEEK)
                for index in self.nodes
            ]
            of = {f"n{index:03}": one for index, one in enumerate(judged)}
            names = sorted(of)
            reached = {name: of[name] for name in names[:changed]}
            others = {name: of[name] for name in names[changed:]}
            if halts_plainly(reached, others) if plain else judge(changed=reached, others=others, minutes=60):
                return changed
        return None


def _poisson(dice: random.Random, mean: float) -> int:
    count, product = 0, dice.random()
    while product > math.exp(-mean):
        count += 1
        product *= dice.random()
    return count


def halts_plainly(changed: dict[str, NodeKills], others: dict[str, NodeKills]) -> bool:
    """Return whether a plain comparison of now and before halts: five at least, and improbable."""
    assert others
    count = sum(one.now for one in changed.values())
    past = sum(sum(one.before.values()) for one in changed.values())
    hours = sum(one.hours for one in changed.values())
    return count >= 5 and tail(count, count + past, len(changed) / (len(changed) + hours)) <= 0.001


def main() -> None:
    """Print the halted rollouts of each size and harm, and those of the plain comparison."""
    for nodes in (20, 60, 200):
        for harm in (0.0, 0.5, 1.0, 3.0):
            dice, runs = random.Random(7), 600 if harm == 0 and nodes < 200 else 150
            found = [SimulatedCluster(dice, nodes=nodes).rollout(harm=harm) for _ in range(runs)]
            halts = [changed / nodes for changed in found if changed is not None]
            at = f", median at {statistics.median(halts):.0%} of the nodes" if halts else ""
            print(f"{nodes} nodes, harm {harm}: {len(halts)} of {runs} halted{at}", flush=True)
    dice = random.Random(7)
    plain = [SimulatedCluster(dice, nodes=60).rollout(harm=0.0, plain=True) for _ in range(200)]
    halted = sum(changed is not None for changed in plain)
    print(f"60 nodes, no harm, plain comparison: {halted} of {len(plain)} halted")


if __name__ == "__main__":
    main()
