"""A plan as plain text and as Markdown. Names of processes, pods and messages are escaped."""

from collections.abc import Iterator, Sequence

from oomkeeper.model.escaping import printable
from oomkeeper.model.policy import OOMChoice
from oomkeeper.model.units import bytes_text
from oomkeeper.resources.oomnode import PlannedProcess, PlannedSysctl

from .explanation_markdown import escape
from .plan import Group, Plan, groups, is_refused

_NAMED = 5
_CHOICES = {
    OOMChoice.HIGHEST_SCORE: "the process with the highest oom_score is killed",
    OOMChoice.ALLOCATING_TASK: "the process that asks for memory is killed",
    OOMChoice.PANIC: "the node panics",
}
_HEADER = ("NOW", "AFTER", "OOM_SCORE", "OOM_SCORE_ADJ", "MEMORY", "PROCESS", "WHERE")


def plan_text(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan for a terminal."""
    yield from _head(plan)
    for group in groups(plan.results):
        yield ""
        yield f"{_nodes(group.nodes)}:"
        for line in _facts(group, plan.policy):
            yield f"  {line}"
        if group.plan.processes:
            yield f"  Killed first on {group.nodes[0]} when it is out of memory:"
            rows = [_HEADER, *map(_row, group.plan.processes)]
            widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
            for row in rows:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                yield f"    {'  '.join(cells)}".rstrip()


def plan_markdown(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan as Markdown, for a comment on a change."""
    first, *more = _head(plan)
    yield f"### {escape(first)}"
    for line in more:
        yield ""
        yield escape(line)
    for group in groups(plan.results):
        yield ""
        yield f"#### {escape(_nodes(group.nodes))}"
        yield ""
        for line in _facts(group, plan.policy):
            yield f"- {escape(line)}"
        if group.plan.processes:
            yield ""
            yield escape(f"Killed first on {group.nodes[0]} when it is out of memory:")
            yield ""
            yield f"| {' | '.join(name.lower() for name in _HEADER)} |"
            yield f"|{'---|' * len(_HEADER)}"
            for process in group.plan.processes:
                yield f"| {' | '.join(map(escape, _row(process)))} |"


def _head(plan: Plan) -> Iterator[str]:
    what = "values change" if plan.changes else "no value changes"
    refused = ", a part is refused" if plan.refuses else ""
    yield f"OOMPolicy {printable(plan.policy)} on {plan.target}: {what}{refused}; nothing was applied"
    if plan.batch_nodes is not None:
        soak = f", which soak for {plan.soak_seconds} s" if plan.soak_seconds else ""
        first = f"; first {_nodes(plan.first)}" if plan.first else ""
        yield f"Rolled out in batches of {plan.batch_nodes}{soak}{first}"
    for sysctl, (by, nodes) in plan.overridden.items():
        count = "1 node" if nodes == 1 else f"{nodes} nodes"
        yield f"{sysctl} is decided by policy {printable(by)} on {count}"
    yield from map(printable, plan.notes)


def _facts(group: Group, policy: str) -> Iterator[str]:
    if group.unanswered is not None:
        yield f"not asked on the node: {printable(group.unanswered)}"
    if group.plan.problem is not None:
        yield f"not understood by the agent: {printable(group.plan.problem)}"
    for sysctl in group.plan.sysctls:
        yield _sysctl(sysctl, policy)
    for entry in group.adjustments:
        name = entry.name if entry.policy == policy else f"{entry.policy}/{entry.name}"
        overridden = f", {entry.overridden} decided by another entry" if entry.overridden else ""
        why = f"; {entry.reason}: {printable(entry.message or '')}" if entry.reason else ""
        verb = "differ (mode Audit)" if entry.state == "Audited" else "change"
        if entry.state == "Refused":
            verb = "would change, refused"
        yield (
            f"oom_score_adj {printable(name)}: {entry.selected} processes selected, "
            f"{entry.changing} {verb}{overridden}{why}"
        )
    if group.restored:
        yield f"oom_score_adj: {group.restored} processes get their original value back"
    before, after = group.plan.choice_before, group.plan.choice_after
    if after is not None and before != after:
        now = _CHOICES.get(OOMChoice(before)) if before else "unknown"
        yield f"out of memory: {_CHOICES[OOMChoice(after)]} (now: {now})"
    elif after == OOMChoice.PANIC:
        yield f"out of memory: {_CHOICES[OOMChoice.PANIC]}, as now"


def _sysctl(one: PlannedSysctl, policy: str) -> str:
    before = "unknown" if one.before is None else str(one.before)
    after = "unknown" if one.after is None else str(one.after)
    text = (
        f"{one.name}: {before} -> {after}" if one.before != one.after else f"{one.name}: {before}, unchanged"
    )
    if is_refused(one):
        text = f"{one.name}: {before}, {one.state or 'not changed'}"
    if one.policy is None and one.after is None:
        text = f"{one.name}: {before} -> the original value"
    elif one.policy is None and one.before is not None:
        text += " (no policy sets it any more)" if one.before == one.after else " (original value)"
    elif one.policy not in (None, policy):
        text += f" (policy {printable(one.policy or '')} decides)"
    if one.state == "Audited":
        text += " (mode Audit)"
    if one.reason is not None or one.message is not None:
        text += f"; {one.reason or ''}: {printable(one.message or '')}"
    return text


def _row(process: PlannedProcess) -> tuple[str, ...]:
    return (
        str(process.rank_before or "-"),
        str(process.rank_after or "-"),
        _pair(process.score_before, process.score_after),
        _pair(process.adj_before, process.adj_after),
        bytes_text(process.memory_bytes),
        f"{printable(process.comm)} ({process.pid})",
        printable(process.where or "-"),
    )


def _pair(before: int, after: int) -> str:
    return str(before) if before == after else f"{before} -> {after}"


def _nodes(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} nodes: {', '.join(names[:_NAMED])}{more}"
