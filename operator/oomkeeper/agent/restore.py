"""Restore what an earlier run changed on this host: `oomkeeper node --restore`."""

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.facts import read_node_facts
from oomkeeper.kernel.meminfo import read_node_memory
from oomkeeper.kernel.sysctl import Sysctls
from oomkeeper.resources.oomnode import ObservedSysctl

from .enforcement import SYSCTLS_NOTE
from .host_paths import HostPaths
from .oomscoreadj.enforcer import OomScoreAdjEnforcer
from .oomscoreadj.targets import Targets
from .store import Store
from .sysctl_enforcer import SysctlEnforcer
from .tracing import remove_trace_instances


def restore_node(*, store: Store, host: HostPaths) -> dict[str, int]:
    """Restore every sysctl and oom_score_adj that an earlier run changed; return sysctl -> value now in
    force."""
    hierarchy = CgroupHierarchy.find(root=host.cgroup, proc=host.proc)
    facts = read_node_facts(proc=host.proc, sys=host.sys, cgroup_root=host.cgroup)
    targets = Targets(hierarchy=hierarchy, cgroup_root=host.cgroup, pods=None, proc=host.proc)
    OomScoreAdjEnforcer(store=store, targets=targets, boot_id=facts.boot_id, proc=host.proc).restore()
    enforcer = SysctlEnforcer(
        store=store,
        sysctls=Sysctls(root=host.sysctl_root),
        boot_id=facts.boot_id,
        memory=lambda: read_node_memory(proc=host.proc),
        etc=host.etc,
    )
    restored = enforcer.restore()
    remove_trace_instances(tracefs=host.tracefs)
    # What is restored is no longer desired either; what could not be restored stays visible.
    held = store.sysctls()
    observed = store.note(SYSCTLS_NOTE, tuple[ObservedSysctl, ...]) or ()
    store.put_note(SYSCTLS_NOTE, [one for one in observed if one.name in held])
    return restored
