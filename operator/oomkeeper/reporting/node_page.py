"""One node's page: agent, kill accounting, settings, conditions, and its incidents."""

from collections.abc import Iterator, Sequence

from oomkeeper.model.escaping import printable

from .explanation_markdown import escape, markdown_table
from .incident_list import COLUMNS as INCIDENT_COLUMNS
from .incident_list import Read, incident_rows
from .node_state import NodeState, bad_conditions
from .policy_list import WIDE_COLUMNS, Setting, setting_rows
from .table import table_lines

_INCIDENTS = ("NAMESPACE", *INCIDENT_COLUMNS)


def node_text(
    one: NodeState, *, settings: Sequence[Setting], incidents: Sequence[Read], now: float
) -> Iterator[str]:
    """Yield the lines for a terminal."""
    facts = _facts(one)
    room = max(len(label) for label, _ in facts)
    for label, value in facts:
        yield printable(f"{label + ':':<{room + 1}}  {value}")
    for title, columns, rows in _tables(one, settings=settings, incidents=incidents, now=now):
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in table_lines(columns, rows))
    yield ""
    yield "Next: kubectl oom explain NAME -n NAMESPACE" if incidents else "No OOM incident of this node."


def node_markdown(
    one: NodeState, *, settings: Sequence[Setting], incidents: Sequence[Read], now: float
) -> Iterator[str]:
    """Yield the lines of a Markdown document."""
    yield f"## Node {escape(printable(one.name))}"
    yield ""
    yield from markdown_table(("", ""), [(label, printable(value)) for label, value in _facts(one)[1:]])
    for title, columns, rows in _tables(one, settings=settings, incidents=incidents, now=now):
        yield ""
        yield f"### {title}"
        yield ""
        yield from markdown_table(columns, [tuple(map(printable, row)) for row in rows])


def _facts(one: NodeState) -> list[tuple[str, str]]:
    counters, kernel, kubelet = one.counters, one.status.kernel, one.status.kubelet
    agent = one.agent.state + (f" since {one.agent.since}" if one.agent.since else "")
    agent += f", version {one.status.agent_version}" if one.status.agent_version else ""
    agent += f" ({one.agent.problem})" if one.agent.problem else ""
    facts = [("Node", one.name), ("Agent", agent)]
    if not one.exists:
        return [*facts, ("OOMNode", "none: nothing is recorded of this node")]
    if kernel is not None:
        facts.append(
            (
                "Kernel",
                f"{kernel.release}, cgroup v{kernel.cgroup_version}, {kernel.memory} memory, "
                f"{kernel.swap} swap",
            )
        )
    if kubelet is not None:
        whole = {True: "one process", False: "the whole container", None: "not known"}
        facts.append(("An OOM kill ends", whole[kubelet.single_process_oom_kill]))
    facts.append(
        (
            "Kills",
            f"{counters.kernel_kills or 0} counted by the kernel since {counters.since or 'unknown'}: "
            f"{counters.recorded or 0} recorded, {counters.unattributed or 0} without a record",
        )
    )
    facts.append(
        (
            "Lost records",
            f"{counters.lost_log_records or 0} of the log, {counters.lost_trace_records or 0} of the trace",
        )
    )
    if counters.before_install:
        facts.append(("Before install", f"{counters.before_install} kills"))
    panic = one.status.last_panic
    if panic is not None:
        facts.append(("Panics", f"{counters.panics or 0}, the last one at {panic.time} ({panic.cause})"))
    facts.append(("Settings in sync", f"{one.in_sync} of {one.settings}"))
    return facts


def _tables(
    one: NodeState, *, settings: Sequence[Setting], incidents: Sequence[Read], now: float
) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    bad = bad_conditions(one.status.conditions)
    if bad:
        yield (
            "Problems",
            ("CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"),
            [(each.type, each.status, each.reason, each.last_transition_time, each.message) for each in bad],
        )
    if settings:
        rows = [row[1:] for row in setting_rows(settings, wide=True)]
        yield "Settings", WIDE_COLUMNS[1:], rows
    if incidents:
        yield "Incidents", _INCIDENTS, incident_rows(incidents, now=now, namespaces=True)
