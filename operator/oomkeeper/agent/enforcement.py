"""When the node's sysctls and processes are looked at, and what they should be: the desired state and its
timing."""

import math
import time
from collections.abc import Callable

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.meminfo import read_node_memory
from oomkeeper.kernel.sysctl import Sysctls
from oomkeeper.resources.oomnode import ObservedAdjustment

from .desired import Desired, parse_desired
from .host_paths import HostPaths
from .kubelet import KubeletFacts, KubeletFinder
from .oomscoreadj.enforcer import OomScoreAdjEnforcer
from .oomscoreadj.targets import NamespaceLabels, Targets
from .panic_breaker import PanicBreaker
from .pods import PodTable
from .records import DesiredNote
from .shared_kernel import SharedKernel
from .store import Store
from .sysctl_enforcer import SysctlEnforcer, SysctlPass

ENFORCE_SECONDS = 5.0
"""Between two looks at the sysctls: /proc/sys notifies no one when it is written."""
ADJUST_SPACING_SECONDS = 0.5
"""Least time between two looks at the processes, however fast the node's pods change."""
ABSENT_SECONDS = 30.0
"""After this time without an OOMNode, no policy sets anything on this node."""

DESIRED_NOTE = "oomnode"
"""Name in the store of the DesiredNote."""
SYSCTLS_NOTE = "observed sysctls"
"""Name in the store of the last pass's ObservedSysctls, for `oomkeeper status`."""


class Enforcement:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        boot_id: str,
        host: HostPaths,
        hierarchy: CgroupHierarchy,
        pods: PodTable | None,
        shared: SharedKernel,
        namespaces: NamespaceLabels,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """In a cluster (`pods`), begins with the OOMNode that an earlier run has stored."""
        self._store = store
        self._in_cluster = pods is not None
        self._shared = shared
        self._clock = clock
        self._sysctls = SysctlEnforcer(
            store=store,
            sysctls=Sysctls(root=host.sysctl_root),
            boot_id=boot_id,
            memory=lambda: read_node_memory(proc=host.proc),
            etc=host.etc,
            clock=clock,
            wall=wall,
        )
        self._breaker = PanicBreaker(store=store, wall=wall)
        self._adjustments = OomScoreAdjEnforcer(
            store=store,
            targets=Targets(
                hierarchy=hierarchy,
                cgroup_root=host.cgroup,
                pods=pods,
                proc=host.proc,
                namespaces=namespaces,
                clock=clock,
            ),
            boot_id=boot_id,
            proc=host.proc,
            clock=clock,
        )
        self.kubelets = KubeletFinder(proc=host.proc, clock=clock)
        self.kubelet: KubeletFacts | None = None
        self.desired: Desired | None = None
        """None until it is known: nothing is applied, and nothing released, before."""
        self.sysctls = SysctlPass()
        self.adjustments: tuple[ObservedAdjustment, ...] = ()
        self._absent_since: float | None = None
        self._enforce_at = -math.inf
        self._adjust_at, self._adjusted_at = math.inf, -math.inf
        if self._in_cluster and (note := store.note(DESIRED_NOTE, DesiredNote)) is not None:
            self._set(parse_desired({"metadata": {"generation": note.generation}, "spec": note.spec}))

    @property
    def adjustments_problem(self) -> str | None:
        """Why values of oom_score_adj cannot be restored; None where they can."""
        return self._adjustments.problem

    def set_desired(self, desired: Desired, *, stored_as: DesiredNote | None) -> None:
        """Enforce this from now on, beginning immediately; and after a restart without the API server."""
        self._absent_since = None
        if stored_as is not None:
            self._store.put_note(DESIRED_NOTE, stored_as)
        self._set(desired)

    def note_absence(self) -> None:
        """Note that the API server has no OOMNode of this node."""
        if self._absent_since is None:
            self._absent_since = self._clock()

    def adjust_soon(self) -> None:
        """Look at the processes before it is time: pods or the labels of a namespace have changed."""
        if self.desired is not None and self.desired.adjustments:
            self._adjust_at = min(self._adjust_at, self._adjusted_at + ADJUST_SPACING_SECONDS)

    def tick(self) -> bool:
        """Do what is due; return whether a pass was made."""
        now = self._clock()
        if self._absent_since is not None and now - self._absent_since >= ABSENT_SECONDS:
            self._absent_since = None
            self._store.drop_note(DESIRED_NOTE)
            self._set(Desired())
        if self.desired is None:
            return False
        if now >= self._enforce_at:
            self._enforce_at = now + ENFORCE_SECONDS
            self.kubelet = self.kubelets.look()
            self.sysctls = self._breaker.report(
                self._sysctls.reconcile(
                    self._breaker.apply(self.desired),
                    kubelet=self.kubelets.recent(),
                    kubelet_expected=self._in_cluster,
                )
            )
            self._store.put_note(SYSCTLS_NOTE, self.sysctls.statuses)
        elif now < self._adjust_at:
            return False
        self.adjustments = self._adjustments.reconcile(
            self.desired.adjustments, host=self._shared.owns_host_processes
        )
        self._adjusted_at, self._adjust_at = self._clock(), math.inf
        return True

    def wait_seconds(self) -> float:
        """Return the time until `tick` has something to do."""
        now = self._clock()
        waits = [ENFORCE_SECONDS]
        if self.desired is not None:
            waits.append(min(self._enforce_at, self._adjust_at) - now)
        if self._absent_since is not None:
            waits.append(self._absent_since + ABSENT_SECONDS - now)
        return min(waits)

    def _set(self, desired: Desired) -> None:
        if desired == self.desired:
            return  # such as after our own write of the status
        self.desired = desired
        self._shared.publishes_host_kills = desired.host_kills
        self._enforce_at = -math.inf
