"""What is known of one kubelet."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletFacts:
    """One running kubelet, or (k3s, microk8s) the process that contains it."""

    pid: int
    start_time: int
    """Clock ticks after boot (/proc/<pid>/stat field 22): a new value is a restart. 0, as `pid`, where the
    search for a kubelet did not end in time."""
    config_file: str | None = None
    protect_kernel_defaults: bool = False
    single_process_oom_kill: bool | None = None
    eviction_hard: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    """Why its settings are not known for certain; None where they are."""
