"""oomkeeper's part of the kernel's tracing: which instances there are, and whether they can be read.

Without tracefs (not mounted and not mountable, locked down, another agent of this kernel has it) all works as
on a kernel without it; `problem` says why.
"""

from pathlib import Path

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.instance import remove_instance
from oomkeeper.kernel.tracefs.location import Tracefs, TracefsUnavailableError
from oomkeeper.logformat import get_logger

from . import traced_cgroups
from .shared_kernel import SharedKernel
from .traced_cgroups import TracedCgroups

log = get_logger(__name__)


class KernelTracing:
    """Opens the instances of this agent."""

    def __init__(self, *, tracefs: Path | None, hierarchy: CgroupHierarchy, shared: SharedKernel) -> None:
        """`tracefs` None: the usual mount points."""
        self._where = tracefs
        self._hierarchy = hierarchy
        self._shared = shared
        self._tracefs: Tracefs | None = None
        self.problem: str | None = None
        self.cgroups: TracedCgroups | None = None

    def open(self) -> None:
        """Open what is not open; sets `cgroups` or `problem`."""
        try:
            if self._tracefs is None:
                self._tracefs = _find(self._where)
            self.cgroups = TracedCgroups(
                self._tracefs.root, namespace=CgroupNamespace(self._hierarchy), shared=self._shared
            )
        except TracefsUnavailableError as error:
            if self.problem is None:
                log.warning("kernel tracing unavailable", error=error)
            self.problem = str(error)
            return
        self.problem = None

    def close(self) -> None:
        """Stop reading; the instances stay and go on recording."""
        if self.cgroups is not None:
            self.cgroups.close()
        if self._tracefs is not None:
            self._tracefs.close()


def remove_trace_instances(*, tracefs: Path | None) -> None:
    """Remove the instances from the kernel. One that a running agent reads stays."""
    try:
        found = _find(tracefs)
    except TracefsUnavailableError:
        return  # then there are none
    try:
        remove_instance(found.root, traced_cgroups.INSTANCE)
    except TracefsUnavailableError as error:
        log.warning("trace instance not removed", error=error)
    finally:
        found.close()


def _find(where: Path | None) -> Tracefs:
    return Tracefs.find(*(() if where is None else (where,)))
