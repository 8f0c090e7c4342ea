"""oom_score_adj for processes selected by pod labels, a systemd unit or a process name."""

from typing import Annotated

from pydantic import Field

from .base import ApiModel
from .rules import Checked, ListSet, Rule
from .scalars import DnsLabel, OomScoreAdj, matching
from .selector import LabelSelector

_RESTRICTS = "restricts podSelector: write podSelector too ({} for every pod), or leave this out"


class ProcessSelector(ApiModel):
    """Host processes by name."""

    comm: Annotated[str, Field(min_length=1, max_length=15)]
    """Exact /proc/PID/comm: at most 15 characters, as the kernel keeps no more. Any process can choose any
    comm."""


class OOMScoreAdjustment(ApiModel):
    """One value for one target: pods, a systemd unit, or a process."""

    name: DnsLabel
    """Name of the adjustment, unique in the policy; status and logs refer to it."""
    pod_selector: LabelSelector | None = None
    """Pods of the policy's nodes, by their labels. An empty selector means every pod."""
    namespace_selector: LabelSelector | None = None
    """Restricts podSelector to namespaces with these labels; absent means every namespace."""
    containers: Annotated[tuple[DnsLabel, ...], Field(max_length=32), ListSet()] = ()
    """Restricts podSelector to containers of these names; empty means every container but the pause
    container."""
    systemd_unit: (
        Annotated[
            str,
            Field(max_length=255),
            Checked(
                matching(
                    r"^[-A-Za-z0-9:_.@]+\.(service|scope|slice)$",
                    "write the full name of a systemd unit, such as sshd.service",
                )
            ),
        ]
        | None
    ) = None
    """Every process in the cgroup of this systemd unit, such as sshd.service, except those of containers."""
    process: ProcessSelector | None = None
    """Host processes by their comm. Processes in containers are never selected: any pod could choose it."""
    value: OomScoreAdj
    """oom_score_adj to set: -1000 never kill, 0 neutral, 1000 kill first."""

    rules = (
        Rule(
            cel="[has(self.podSelector), has(self.systemdUnit), has(self.process)].filter(x, x).size() == 1",
            message="write exactly one of podSelector, systemdUnit and process",
            holds=lambda self: [self.pod_selector, self.systemd_unit, self.process].count(None) == 2,
        ),
        Rule(
            cel="has(self.podSelector) || !has(self.namespaceSelector)",
            message=_RESTRICTS,
            holds=lambda self: self.pod_selector is not None or self.namespace_selector is None,
            field=("namespaceSelector",),
        ),
        Rule(
            cel="has(self.podSelector) || size(self.?containers.orValue([])) == 0",
            message=_RESTRICTS,
            holds=lambda self: self.pod_selector is not None or not self.containers,
            field=("containers",),
        ),
    )
