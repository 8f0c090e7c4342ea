"""Generated from `oomkeeper.api.adjustment` by `make crds`; edit the model, not this file."""

from collections.abc import Mapping
from typing import ClassVar

from .record import Bound, Record
from .selector import LabelSelector


class ProcessSelector(Record, frozen=True, kw_only=True):
    """Host processes by name."""

    comm: str
    """Exact /proc/PID/comm: at most 15 characters, as the kernel keeps no more. Any process can choose any
    comm."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "comm": Bound(max_length=15),
    }


class OOMScoreAdjustment(Record, frozen=True, kw_only=True):
    """One value for one target: pods, a systemd unit, or a process."""

    name: str
    """Name of the adjustment, unique in the policy; status and logs refer to it."""
    pod_selector: LabelSelector | None = None
    """Pods of the policy's nodes, by their labels. An empty selector means every pod."""
    namespace_selector: LabelSelector | None = None
    """Restricts podSelector to namespaces with these labels; absent means every namespace."""
    containers: tuple[str, ...] = ()
    """Restricts podSelector to containers of these names; empty means every container but the pause
    container."""
    systemd_unit: str | None = None
    """Every process in the cgroup of this systemd unit, such as sshd.service, except those of containers."""
    process: ProcessSelector | None = None
    """Host processes by their comm. Processes in containers are never selected: any pod could choose it."""
    value: int
    """oom_score_adj to set: -1000 never kill, 0 neutral, 1000 kill first."""

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "name": Bound(max_length=63),
        "containers": Bound(max_length=63, max_items=32),
        "systemd_unit": Bound(max_length=255),
        "value": Bound(minimum=-1000, maximum=1000),
    }
