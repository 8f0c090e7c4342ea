"""`oomkeeper plan`: what a policy would change on this host, and whom the kernel would kill first."""

from pathlib import Path

import click

from oomkeeper.agent.database import DATABASE_NAME
from oomkeeper.agent.kubelet import KubeletFinder
from oomkeeper.agent.plan.planner import Planner
from oomkeeper.agent.shared_kernel import SharedKernel
from oomkeeper.agent.store import StateError, Store
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.facts import read_node_facts
from oomkeeper.reporting.plan import NodeResult, Plan

from .errors import BadInput
from .host import FILE, host_path_options, host_paths, state_dir_option
from .plan_output import DETAILED_EPILOG, detailed_option, on_disk, plan_output_option, report

_EPILOG = f"""\
Reads this host and the state of `oomkeeper node`, where there is one; changes nothing. Needs no root, except
where /proc hides the processes of others.

{DETAILED_EPILOG}"""


@click.command(epilog=_EPILOG)
@click.option(
    "-f", "--filename", "file", metavar="FILE", type=FILE, required=True, help="An OOMPolicy as YAML."
)
@state_dir_option
@plan_output_option
@detailed_option
@host_path_options
def command(file: str, state_dir: Path, output: str, detailed_exitcode: bool, **paths: Path) -> int:
    """Show what a policy would change on this host, without applying it: values, refusals, and the processes
    that the kernel would kill first, now and then."""
    from oomkeeper.api.policyfile import PolicyFileError, load_policy

    from .policy import desired_of_policy

    try:
        with on_disk(file) as path:
            policy = load_policy(path)
    except PolicyFileError as error:
        raise BadInput(str(error)) from error
    host = host_paths(paths)
    facts = read_node_facts(proc=host.proc, sys=host.sys, cgroup_root=host.cgroup)
    kubelets = KubeletFinder(proc=host.proc)
    store = _store(state_dir)
    try:
        planner = Planner(
            store=store,
            facts=facts,
            host=host,
            hierarchy=CgroupHierarchy.find(root=host.cgroup, proc=host.proc),
            pods=None,
            shared=SharedKernel.detect(proc=host.proc, in_cluster=False),
            kubelet=kubelets.look,
        )
        found = planner.evaluate(desired_of_policy(policy), id="", expires="")
    finally:
        if store is not None:
            store.close()
    name = (host.proc / "sys/kernel/hostname").read_text().strip()
    notes = ("The policy is suspended: it applies to no node",) if policy.spec.suspend else ()
    plan = Plan(
        policy=policy.metadata.name or "policy",
        target="this host",
        selected=1,
        results=[NodeResult(node=name, plan=found)],
        notes=notes,
    )
    return report(plan, output=output, detailed_exitcode=detailed_exitcode)


def _store(folder: Path) -> Store | None:
    """Return the state; None where oomkeeper has not run here."""
    try:
        if not (folder / DATABASE_NAME).exists():
            return None
        return Store.open(folder, create=False)
    except PermissionError:
        return None
    except StateError as error:
        raise BadInput(str(error)) from error
