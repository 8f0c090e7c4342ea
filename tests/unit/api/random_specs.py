"""OOMPolicy specs at random, most of them wrong somewhere: for comparing two judges of the same text."""

from __future__ import annotations

from random import Random
from typing import Any

from oomkeeper.model.sysctl_allow_list import SYSCTLS

_WORDS: list[Any] = [
    *("a", "a/b", "a.b/c", "A", "-a", "a-", "", "a_b", "é", "a b", "x" * 63, "x" * 64, "a/" + "x" * 63),
    *("/a", "a/", "a/b/c", "0", "a\n", "a..b", None, 1, True),
]
_DURATIONS: list[Any] = [
    *("1h", "24h", "168h", "169h", "0h1h", "1h0m", "60m", "3600s", "59s", "1m", "", "s", "1H", " 1h", "1h "),
    *("01h", "+1h", "1h1h", "9" * 20 + "h", "1ms", "1us", "1h30m10s", "1h\n", 1, None),
]
_UNITS: list[Any] = [
    *(
        "a.service",
        "a",
        "a.slice",
        "@.scope",
        "a b.service",
        "a\\x2d.service",
        ".service",
        "a.service\n",
        None,
    ),
]
_CONCURRENT: list[Any] = [
    *(1, 0, -1, 100000, 100001, 10**20, "1%", "100%", "101%", "0%", "00%", "05%", "5", "%", "1.5%", "1%\n"),
    *(True, None),
]
_ACKNOWLEDGE = ["KubeletConflict", "NodePanic", "ContainerLimitPanicsNode"]


def random_spec(random: Random) -> dict[str, Any]:
    """The spec of an OOMPolicy. Whole floats are left out: the API server takes 1.0 for 1, the models do
    not."""
    fields = {
        "priority": lambda: _number(random, -1_000_000, 1_000_000),
        "nodeSelector": lambda: _selector(random),
        "mode": lambda: random.choice(["Enforce", "Audit", "audit", None, 1]),
        "suspend": lambda: random.choice([True, False, None, "yes", 0]),
        "sysctls": lambda: _sysctls(random),
        "oomScoreAdjustments": lambda: [_adjustment(random) for _ in range(random.randint(0, 2))],
        "rollout": lambda: random.choice(
            [
                None,
                {},
                {"maxConcurrent": random.choice(_CONCURRENT)},
                {"soakSeconds": _number(random, 0, 86400)},
                {"unknown": 1},
            ]
        ),
        "panicSafety": lambda: {
            "acknowledge": random.sample(_ACKNOWLEDGE, random.randint(0, 3)),
            "window": random.choice(["1h", "1h", *_DURATIONS]),
        },
    }
    return {name: make() for name, make in fields.items() if random.random() < 0.3}


def _number(random: Random, low: int, high: int) -> Any:
    return random.choice([low - 1, low, high, high + 1, (low + high) // 2, None, "1", 1.5, True, 10**30])


def _selector(random: Random) -> Any:
    if random.random() < 0.1:
        return random.choice([None, {}, [], "x", {"matchLabels": None}, {"x": 1}])
    labels = {str(random.choice(_WORDS)): random.choice(_WORDS) for _ in range(random.randint(0, 2))}
    expressions = [
        {
            "key": random.choice(["a", "a", *_WORDS]),
            "operator": random.choice(["In", "NotIn", "Exists", "DoesNotExist", "in", None]),
            "values": random.choice([[], ["a"], ["a", "a"], [random.choice(_WORDS)], None, "a"]),
        }
        for _ in range(random.randint(0, 1))
    ]
    return {"matchLabels": labels, "matchExpressions": expressions}


def _sysctls(random: Random) -> Any:
    chosen: dict[str, Any] = {}
    for rule in random.sample(SYSCTLS, random.randint(0, 3)):
        likely = random.randint(rule.minimum, min(rule.maximum, rule.minimum + 2))
        chosen[rule.key] = likely if random.random() < 0.8 else _number(random, rule.minimum, rule.maximum)
    if random.random() < 0.05:
        chosen[random.choice(["vm.x", "", "vm/swappiness"])] = 1
    return chosen


def _adjustment(random: Random) -> dict[str, Any]:
    optional = {
        "podSelector": lambda: _selector(random),
        "systemdUnit": lambda: random.choice(_UNITS),
        "process": lambda: random.choice(
            [{"comm": "a"}, {}, {"comm": ""}, {"comm": "x" * 16}, {"comm": "é" * 15}]
        ),
        "containers": lambda: random.choice([[], ["a"], ["a", "a"], ["A"], None]),
        "namespaceSelector": lambda: _selector(random),
    }
    return {
        "name": random.choice(["a", "b", "c", "A", "-", "x" * 63, "x" * 64, "a.b", None]),
        "value": _number(random, -1000, 1000) if random.random() < 0.2 else 5,
    } | {name: make() for name, make in optional.items() if random.random() < 0.3}
