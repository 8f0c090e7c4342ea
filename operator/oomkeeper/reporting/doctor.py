"""What is wrong with an installation, and the command that fixes or shows it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from oomkeeper import __version__
from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import ForeignObject, JsonDocument
from oomkeeper.model.times import parse_time
from oomkeeper.model.units import count_text
from oomkeeper.resources.oompolicy import OOMPolicy, OOMPolicyStatus
from oomkeeper.resources.oomreport import OOMReport, OOMReportStatus
from oomkeeper.resources.schemas import SCHEMA_ANNOTATION, SCHEMAS

from .incident_list import seconds_of
from .node_state import NodeState, bad_conditions, ready_condition
from .required_access import Access
from .table import age_text, table_lines

ERROR, WARNING, INFO = "Error", "Warning", "Info"
_ORDER = (ERROR, WARNING, INFO)
_CRDS_FIX = "helm show crds CHART | kubectl apply --server-side --force-conflicts -f -"
_EXAMPLES = 3
_LATE_SECONDS = 600
"""How much later than its interval a report may be refreshed before it seems that nothing refreshes it."""
_SEVERE_CONDITIONS = frozenset({"KernelLogReadable", "StateStored"})
_POLICY_PROBLEMS = {"Stalled": ERROR, "PanicBreaker": ERROR, "Degraded": WARNING, "Conflicted": WARNING,
                    "UnknownFields": WARNING}  # fmt: skip
"""Conditions of an OOMPolicy that are bad when True -> severity."""


class Finding(NamedTuple):
    """One problem."""

    severity: str
    check: str
    """What was checked, as one word."""
    subject: str
    message: str
    fix: str
    """A command."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was read. None: it may not be read, which is a finding of its own."""

    crds: Mapping[str, ForeignObject | None] | None
    """Name -> the CustomResourceDefinition, None where it does not exist."""
    nodes: Sequence[NodeState]
    policies: Sequence[OOMPolicy]
    reports: Sequence[OOMReport]
    controllers: Sequence[ForeignObject] | None
    """Pods of the controller."""
    denied: Mapping[str, Sequence[Access]] = field(default_factory=dict)
    """Service account (NAMESPACE:NAME) -> rights that it lacks."""
    unchecked: Sequence[str] = ()
    """What could not be checked, one sentence each."""
    now: float = 0.0


def findings(facts: Facts) -> list[Finding]:
    """Return the problems, the worst first."""
    found = [
        *_crds(facts),
        *_access(facts.denied),
        *_controller(facts),
        *(finding for node in facts.nodes for finding in _node(node)),
        *_versions(facts.nodes),
        *(finding for policy in facts.policies for finding in _policy(policy)),
        *(Finding(INFO, "Access", "you", sentence, "") for sentence in facts.unchecked),
    ]
    return sorted(found, key=lambda one: (_ORDER.index(one.severity), one.check, one.subject))


def has_problem(found: Iterable[Finding]) -> bool:
    """Return whether there is more than information."""
    return any(one.severity != INFO for one in found)


def _crds(facts: Facts) -> Iterator[Finding]:
    for name, crd in (facts.crds or {}).items():
        if crd is None:
            message = "the custom resource definition is not installed"
            yield Finding(ERROR, "CRD", name, message, _CRDS_FIX)
            continue
        schema = (crd.get("metadata", {}).get("annotations") or {}).get(SCHEMA_ANNOTATION)
        if schema != SCHEMAS[name]:
            message = f"the schema is not that of version {__version__}: {schema or 'unknown'}"
            yield Finding(WARNING, "CRD", name, message, _CRDS_FIX)
        conditions = (crd.get("status") or {}).get("conditions") or ()
        if not any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions):
            message = "the custom resource definition is not established"
            yield Finding(ERROR, "CRD", name, message, f"kubectl describe crd {name}")


def _access(denied: Mapping[str, Sequence[Access]]) -> Iterator[Finding]:
    for account, rights in denied.items():
        listed = ", ".join(map(str, rights[:_EXAMPLES]))
        more = f" and {len(rights) - _EXAMPLES} more" if len(rights) > _EXAMPLES else ""
        yield Finding(
            ERROR,
            "RBAC",
            account,
            f"the service account may not {listed}{more}",
            f"kubectl auth can-i --list --as=system:serviceaccount:{account}",
        )


def _controller(facts: Facts) -> Iterator[Finding]:
    """Yield whether anything maintains OOMNode.spec and the status of policies and reports."""
    pods = facts.controllers
    if pods is not None:
        ready = [pod for pod in pods if ready_condition(pod).get("status") == "True"]
        if not pods:
            yield Finding(
                ERROR,
                "Controller",
                "controller",
                "there is no controller: the status of policies and reports is not maintained any more",
                "kubectl get deploy -A -l app.kubernetes.io/component=controller",
            )
        elif not ready:
            meta, since = pods[0]["metadata"], ready_condition(pods[0]).get("lastTransitionTime")
            yield Finding(
                ERROR,
                "Controller",
                f"{meta.get('namespace')}/{meta['name']}",
                f"the controller has not been ready since {since or 'its start'}: the status of policies and "
                "reports is not maintained",
                f"kubectl logs -n {meta.get('namespace')} {meta['name']} --all-containers --previous",
            )
    for report in facts.reports:
        status = report.status or OOMReportStatus()
        refreshed, every = parse_time(status.refresh_time), seconds_of(report.spec.refresh_interval)
        if refreshed is None or every is None:
            continue
        late = facts.now - refreshed - every
        if late > _LATE_SECONDS:
            yield Finding(
                ERROR,
                "Controller",
                f"oomreport/{report.metadata.name}",
                f"refreshed {age_text(facts.now - refreshed)} ago instead of every "
                f"{report.spec.refresh_interval}: the controller does not work",
                "kubectl get pods -A -l app.kubernetes.io/component=controller",
            )
    for policy in facts.policies:
        observed = (policy.status or OOMPolicyStatus()).observed_generation or 0
        if observed < (policy.metadata.generation or 0):
            yield Finding(
                WARNING,
                "Controller",
                f"oompolicy/{policy.metadata.name}",
                f"the status is of generation {observed}, the spec of {policy.metadata.generation}",
                "kubectl get pods -A -l app.kubernetes.io/component=controller",
            )


def _node(node: NodeState) -> Iterator[Finding]:
    subject, agent = f"node/{node.name}", node.agent
    logs = f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}"
    if agent.pod is not None:
        namespace, _, pod = agent.pod.partition("/")
        logs = f"kubectl logs -n {namespace} {pod}"
    if agent.state == "Silent":
        problem = f" ({agent.problem})" if agent.problem else ""
        message = f"the agent has not been ready since {agent.since or 'its start'}{problem}"
        yield Finding(ERROR, "Agent", subject, message, logs)
    elif agent.state == "Missing":
        message = "no agent runs there: check nodeSelector and tolerations of the agents' DaemonSet"
        yield Finding(
            WARNING,
            "Agent",
            subject,
            message,
            "kubectl get ds -A -l app.kubernetes.io/name=oomkeeper -o yaml",
        )
    elif node.exists and node.stale and agent.state == "Ready":
        message = "the agent has not reported on the newest settings yet"
        yield Finding(WARNING, "Agent", subject, message, logs)
    if agent.state != "Missing" and not node.exists:
        yield Finding(
            WARNING,
            "Agent",
            subject,
            "there is no OOMNode: the controller has not created it",
            "kubectl get oomn",
        )
    for one in bad_conditions(node.status.conditions):
        severity = ERROR if one.type in _SEVERE_CONDITIONS else WARNING
        message = f"{one.reason}: {one.message}" if one.message else one.reason
        yield Finding(severity, one.type, subject, message, f"kubectl oom explain node/{node.name}")
    if unattributed := node.counters.unattributed:
        yield Finding(
            WARNING,
            "Unattributed",
            subject,
            f"no record of {count_text(unattributed, 'kill')} that the kernel counted",
            f"kubectl oom explain node/{node.name}",
        )
    if node.lost:
        message = f"{node.lost} records of the kernel's log or trace were overwritten before they were read"
        yield Finding(INFO, "Lost", subject, message, f"kubectl oom explain node/{node.name}")


def _versions(nodes: Sequence[NodeState]) -> Iterator[Finding]:
    versions: dict[str, list[str]] = {}
    for node in nodes:
        if node.status.agent_version:
            versions.setdefault(node.status.agent_version, []).append(node.name)
    if len(versions) > 1:
        counts = ", ".join(f"{version} on {len(names)}" for version, names in sorted(versions.items()))
        yield Finding(
            WARNING,
            "Version",
            "agents",
            f"agents have different versions: {counts} nodes",
            "kubectl get ds -A -l app.kubernetes.io/name=oomkeeper -o wide",
        )
    elif versions and __version__ not in versions:
        yield Finding(
            INFO,
            "Version",
            "agents",
            f"agents have version {next(iter(versions))}, this plugin {__version__}",
            "",
        )


def _policy(policy: OOMPolicy) -> Iterator[Finding]:
    subject, status = f"oompolicy/{policy.metadata.name}", policy.status or OOMPolicyStatus()
    show = f"kubectl oom policy {policy.metadata.name}"
    for one in status.conditions:
        if one.status == "True" and one.type in _POLICY_PROBLEMS:
            message = f"{one.reason}: {one.message}" if one.message else one.reason
            yield Finding(_POLICY_PROBLEMS[one.type], one.type, subject, message, show)
    for lost in status.overridden:
        nodes = "1 node" if lost.nodes == 1 else f"{lost.nodes} nodes"
        message = f"policy {lost.by} overrides {lost.sysctl} on {nodes}"
        yield Finding(WARNING, "Conflict", subject, message, show)
    ready = next((one for one in status.conditions if one.type == "Ready"), None)
    if ready is not None and ready.status == "False" and ready.reason == "NoNodesMatch":
        yield Finding(WARNING, "Policy", subject, "the policy selects no node", show)


def findings_text(found: Sequence[Finding], *, checked: str) -> Iterator[str]:
    """Yield the lines for a terminal."""
    if found:
        rows = [(one.severity, one.check, one.subject, one.message) for one in found]
        yield from table_lines(("SEVERITY", "CHECK", "SUBJECT", "PROBLEM"), rows)
        fixes = list(dict.fromkeys((one.subject, one.fix) for one in found if one.fix))
        if fixes:
            yield ""
            yield "What to run:"
            room = max(len(subject) for subject, _ in fixes)
            yield from (printable(f"  {subject:<{room}}  {fix}") for subject, fix in fixes)
        yield ""
    errors, warnings, infos = (sum(one.severity == severity for one in found) for severity in _ORDER)
    counts = f"{count_text(errors, 'error')}, {count_text(warnings, 'warning')}, {infos} for information"
    yield f"{counts}; checked {checked}."


def finding_records(found: Iterable[Finding]) -> list[JsonDocument]:
    """Return the findings as JSON-ready values."""
    return [one._asdict() | {"fix": one.fix or None} for one in found]
