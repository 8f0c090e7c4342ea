"""`kubectl oom plan`: what a policy would change on each node, and whom the kernel would kill first."""

import time
from collections.abc import Mapping
from typing import Any

import click

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.times import format_time
from oomkeeper.reporting.plan import NodeResult, Plan
from oomkeeper.resources.oomnode import NodePlan, OOMNodeSpec, PlannedSysctl

from .cluster import Target, cluster_options, connected, get_if_exists, list_raw
from .cluster_client import ClusterClient
from .errors import BadInput, CliError
from .host import FILE
from .plan_output import DETAILED_EPILOG, detailed_option, plan_output_option, report

_INVALID = (400, 422)
_EPILOG = f"""\
The API server checks the policy as for an apply (dry run), where you may create and update policies; nothing
is applied. Agents of the nodes that would change are asked through an annotation of their OOMNode, and answer
in its status for about a minute: the values really in force, what they would refuse, and the processes that
would be killed first. That needs the rights of the ClusterRole oomkeeper-plan, and shows names of processes
to those who may read OOMNodes meanwhile.

{DETAILED_EPILOG}"""


@click.command(epilog=_EPILOG)
@click.option(
    "-f", "--filename", "file", metavar="FILE", type=FILE, required=True, help="An OOMPolicy as YAML."
)
@click.option(
    "--ask/--no-ask", default=True, help="Ask the nodes' agents, or compare only what the API server has."
)
@click.option(
    "--max-nodes",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="Nodes to ask.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 300),
    default=20,
    show_default=True,
    help="How long to wait for the agents.",
)
@cluster_options(namespaced=False)
@plan_output_option
@detailed_option
def command(
    *,
    file: str,
    ask: bool,
    max_nodes: int,
    timeout: int,
    target: Target,
    output: str,
    detailed_exitcode: bool,
) -> int:
    """Show what a policy would change on each node, without applying it.

    Per group of equal nodes: the values that change, those that a node refuses, the policies that win, and
    the processes that the kernel would kill first, now and then.
    """
    obj = _policy_file(file)
    with connected(target) as client:
        plan = _plan(client, target, obj, file=file, ask=ask, max_nodes=max_nodes, timeout_seconds=timeout)
    return report(plan, output=output, detailed_exitcode=detailed_exitcode)


def _policy_file(file: str) -> dict[str, Any]:
    """Return a policy file as the object that is applied. Raises BadInput."""
    from oomkeeper.api.policyfile import PolicyFileError, load_policy

    from .plan_output import on_disk

    try:
        with on_disk(file) as path:
            policy = load_policy(path)
    except PolicyFileError as error:
        raise BadInput(str(error)) from error
    if not policy.metadata.name:
        raise BadInput(f"{file}: metadata.name is missing: a plan needs the name of the policy")
    return policy.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"status"})


def _plan(
    client: ClusterClient,
    target: Target,
    obj: dict[str, Any],
    *,
    file: str,
    ask: bool,
    max_nodes: int,
    timeout_seconds: int,
) -> Plan:
    checked, unchecked = _checked(client, obj, file=file)

    from oomkeeper.controller.decode import decode_node, decode_oomnode, decode_policy
    from oomkeeper.controller.policy_plan import plan_policy

    from .plan_request import ask_agents

    planned = decode_policy(checked)
    if planned.spec is None or planned.invalid is not None:
        raise BadInput(f"{file}: {planned.invalid}")
    policies = [decode_policy(one) for one in list_raw(client, resource_path("oompolicies"))]
    nodes = {node.name: node for node in map(decode_node, list_raw(client, "/api/v1/nodes"))}
    states = map(decode_oomnode, list_raw(client, resource_path("oomnodes")))
    oomnodes = {state.name: state for state in states}
    found = plan_policy(planned, policies=policies, nodes=nodes, oomnodes=oomnodes, now=time.time())
    wanted = {change.node: change.after for change in found.changes}
    asked = {name: spec for name, spec in list(wanted.items())[:max_nodes] if ask and name in oomnodes}
    answers = ask_agents(target.config, client, asked, timeout_seconds=timeout_seconds) if asked else {}
    results = []
    for change in found.changes:
        answer = answers.get(change.node)
        relevant = _relevant(change.before, change.after, policy=planned.name)
        if isinstance(answer, NodePlan):
            plan, why = _only(answer, relevant), None
        else:
            state = oomnodes.get(change.node)
            actual = {name: one.actual for name, one in state.sysctls.items()} if state else {}
            plan = _from_api(change.before, change.after, relevant, actual=actual)
            why = answer or _why_not_asked(ask=ask, known=state is not None)
        results.append(NodeResult(node=change.node, plan=plan, unanswered=why))
    spec = planned.spec
    notes = ["The policy selects no Linux node"] if not found.matched else []
    if unchecked is not None:
        notes.append(f"The API server did not check the policy: {unchecked}")
    if spec.suspend:
        notes.append("The policy is suspended: it applies to no node")
    return Plan(
        policy=planned.name,
        target=f"{len(results)} of {len(found.matched)} selected nodes" if results else "every node",
        selected=len(found.matched),
        results=results,
        batch_nodes=found.batch_nodes,
        first=found.first,
        soak_seconds=spec.rollout.soak_seconds,
        overridden={
            override.sysctl: (override.by, count.nodes)
            for override, count in sorted(found.overrides.items())
            if count.differing
        },
        notes=tuple(notes),
    )


def _why_not_asked(*, ask: bool, known: bool) -> str:
    if not ask:
        return "--no-ask"
    return "more nodes than --max-nodes" if known else "the node has no OOMNode yet"


def _checked(client: ClusterClient, obj: dict[str, Any], *, file: str) -> tuple[dict[str, Any], str | None]:
    """Return the policy as the API server would store it, and why it was not asked. Raises BadInput where it
    refuses the content."""
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    name = obj["metadata"]["name"]
    path = resource_path("oompolicies", name=name)
    present = get_if_exists(client, path)
    # The file's spec in place of the present one, as kubectl apply or a GitOps tool would make it.
    wanted = obj if present is None else {**present, "spec": obj.get("spec") or {}}
    try:
        if present is None:
            return client.create(resource_path("oompolicies"), wanted, **query), None
        return client.replace(path, wanted, **query), None
    except ApiError as error:
        if error.status == 403:
            return _stored(wanted, present), str(error)
        if error.status in _INVALID:
            raise BadInput(f"{file}: {error}") from error
        if error.status == 409:
            raise CliError(f"oompolicy/{name} was changed in the same moment: run it again") from error
        raise


def _stored(wanted: dict[str, Any], present: dict[str, Any] | None) -> dict[str, Any]:
    """Return the object with the metadata that the API server would give it."""
    metadata = wanted["metadata"]
    if present is None:
        created = format_time(time.time())
        return {
            **wanted,
            "metadata": {**metadata, "generation": 1, "creationTimestamp": created, "uid": "new"},
        }
    if wanted.get("spec") == present.get("spec"):
        return wanted
    return {**wanted, "metadata": {**metadata, "generation": (metadata.get("generation") or 0) + 1}}


def _relevant(before: OOMNodeSpec, after: OOMNodeSpec, *, policy: str) -> set[str]:
    """Return the sysctls that the policy sets before or after, or that change hands."""
    one, other = ({entry.name: entry for entry in spec.sysctls} for spec in (before, after))
    return {
        name
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
        or policy in {entry.policy for entry in (one.get(name), other.get(name)) if entry is not None}
    }


def _only(plan: NodePlan, relevant: set[str]) -> NodePlan:
    from msgspec.structs import replace

    return replace(plan, sysctls=tuple(one for one in plan.sysctls if one.name in relevant))


def _from_api(
    before: OOMNodeSpec, after: OOMNodeSpec, relevant: set[str], *, actual: Mapping[str, int | None]
) -> NodePlan:
    """Return what is known without the agent."""
    entries = {entry.name: entry for entry in after.sysctls}
    held = {entry.name: entry for entry in before.sysctls}
    planned = []
    for name in sorted(relevant):
        entry = entries.get(name)
        value = actual.get(name) if name in actual else (held[name].value if name in held else None)
        audits = entry is not None and entry.mode == "Audit"
        planned.append(
            PlannedSysctl(
                name=name,
                before=value,
                after=value if audits else entry.value if entry is not None else None,
                policy=entry.policy if entry is not None else None,
                state="Audited" if audits else None,
            )
        )
    return NodePlan(id="", expires="", sysctls=tuple(planned))
