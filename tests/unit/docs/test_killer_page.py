"""docs/what-killed-my-container.md explains every killer and every certainty, and shows what is printed."""

import copy
import re

from oomkeeper.model.killer import Certainty, Killer
from oomkeeper.reporting.why import ends_of_pod, why_text
from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.record import read
from tests.unit.api.objects import CONTAINER_KILL

from .pages import CHECKOUT

PAGE = (CHECKOUT / "docs" / "what-killed-my-container.md").read_text()


def _first_cells(heading: str) -> list[str]:
    section = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    return [
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]


def test_every_killer_is_explained() -> None:
    assert sorted(_first_cells("The answers")) == sorted(Killer)


def test_every_certainty_is_explained() -> None:
    assert sorted(_first_cells("How sure that is")) == sorted(Certainty)


def test_example_is_what_kubectl_oom_why_prints() -> None:
    example = PAGE.partition("$ kubectl oom why ")[2].partition("\n\n")[0].splitlines()[1:]
    obj = copy.deepcopy(CONTAINER_KILL)
    obj["metadata"]["namespace"] = "shop"
    summary = example[2].strip()
    status = obj["status"]
    status["ends"][0]["summary"] = status["summary"] = summary
    status["uncertain"] = []
    sender = {"pid": 4242, "comm": "runc", "cgroup": "/system.slice/containerd.service", "place": "Runtime"}
    status["evidence"] = {
        "signalTime": status["evidence"]["signalTime"],
        "sender": sender,
        "target": status["evidence"]["target"],
        "event": status["evidence"]["event"],
        "trace": "Complete",
    }
    pod = status["ends"][0]["pod"]
    body = {"metadata": {"uid": status["ends"][0]["podUID"]}, "spec": {"nodeName": "n1"}}
    found = ends_of_pod([read(ContainerKill, obj)], pod=pod, namespace="shop", obj=body)
    assert [*why_text(found)] == example
