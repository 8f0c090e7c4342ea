"""OOMNode.status from what the agent found. Pure: equal input gives equal output, so only a change is
written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oomkeeper import __version__
from oomkeeper.model.node import NodeFacts
from oomkeeper.resources.meta import Condition
from oomkeeper.resources.oomnode import (
    Counters,
    KernelFacts,
    KillHistory,
    NodePlan,
    ObservedAdjustment,
    OOMNodeStatus,
)
from oomkeeper.resources.oomnode import KubeletFacts as KubeletStatus

from .desired import Desired
from .kubelet import KubeletFacts
from .node_conditions import outcomes
from .publisher import NO_REJECTIONS, Rejections
from .records import PanicNote
from .store import Account
from .sysctl_enforcer import SysctlPass


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """Everything that OOMNode.status shows."""

    facts: NodeFacts
    kubelet: KubeletFacts | None
    kubelet_version: str | None
    desired: Desired
    sysctls: SysctlPass
    adjustments: Sequence[ObservedAdjustment]
    adjustments_problem: str | None
    """Why values of oom_score_adj cannot be restored; None where they can."""
    account: Account
    log_problem: str | None
    log_numbered: bool
    """Whether the records of the kernel log have sequence numbers."""
    """Why the kernel log cannot be read; None where it can."""
    trace_problem: str | None
    """Why kills are not traced; None where they are."""
    lost_trace_records: int
    panics: PanicNote
    history: KillHistory | None = None
    plan: NodePlan | None = None
    state_problem: str | None = None
    """Why the state is not on disk; None where it is."""
    state_dropped: int = 0
    """Rows dropped from the state in memory."""
    rejections: Rejections = NO_REJECTIONS
    """Documents that the API server does not take."""
    clock_skew_seconds: float | None = None
    """The API server's clock minus the node's; None where it is not known."""


def build_status(view: NodeView, *, before: OOMNodeStatus | None, now: str) -> OOMNodeStatus:
    """Return the status at `now` (RFC 3339). Conditions of `before` that have not changed keep their
    lastTransitionTime."""
    facts, account = view.facts, view.account
    return OOMNodeStatus(
        observed_generation=view.desired.generation,
        agent_version=__version__,
        kernel=KernelFacts(
            release=facts.kernel_release,
            boot_id=facts.boot_id,
            cgroup_version=facts.cgroup_version,
            page_size_bytes=facts.page_size_bytes,
            memory=f"{facts.memory_bytes // 1024}Ki",
            swap=f"{facts.swap_bytes // 1024}Ki",
            cpus=facts.cpus,
            numa_nodes=len(facts.online_nodes) or 1,
        ),
        kubelet=_kubelet(view),
        sysctls=view.sysctls.statuses,
        oom_score_adjustments=tuple(view.adjustments),
        counters=Counters(
            kernel_kills=account.vmstat_oom_kill,
            recorded=account.recorded,
            unattributed=account.unattributed,
            lost_log_records=account.lost_records,
            lost_trace_records=view.lost_trace_records,
            before_install=account.before_install,
            panics=view.panics.count,
            since=account.since,
        ),
        last_panic=view.panics.last,
        recent_panics=view.panics.times,
        history=view.history,
        plan=view.plan,
        conditions=_conditions(view, before=before.conditions if before else (), now=now),
    )


def _kubelet(view: NodeView) -> KubeletStatus | None:
    found = view.kubelet
    if found is None and view.kubelet_version is None:
        return None
    return KubeletStatus(
        version=view.kubelet_version,
        protect_kernel_defaults=found.protect_kernel_defaults if found else None,
        single_process_oom_kill=found.single_process_oom_kill if found else None,
        eviction_hard=dict(sorted(found.eviction_hard.items())) if found else None,
        config_file=found.config_file if found else None,
    )


def _conditions(view: NodeView, *, before: Iterable[Condition], now: str) -> tuple[Condition, ...]:
    old = {(one.type, one.status): one.last_transition_time for one in before}
    return tuple(
        Condition(
            type=kind,
            status=outcome.status,
            reason=outcome.reason,
            message=outcome.message,
            last_transition_time=old.get((kind, outcome.status), now),
            observed_generation=view.desired.generation,
        )
        for kind, outcome in outcomes(view).items()
    )
