"""What a report does not know: nodes without an agent, kills without a record, dropped incidents, and objects
that the reader may not read."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from oomkeeper.model.names import wire_name
from oomkeeper.model.units import count_text
from oomkeeper.resources.meta import Condition
from oomkeeper.resources.oomnode import OOMNode, OOMNodeStatus
from oomkeeper.resources.oomreport import OOMReport

from .counted_kills import NodeAccount, hourly_kills

_NAMED = 5
"""Nodes that a sentence names; the others are counted."""
_SINCE = "since the agents were installed"


class ClusterFacts(NamedTuple):
    """What the cluster's own objects tell about all incidents together."""

    nodes: Sequence[OOMNode] | None = None
    """None: they could not be read."""
    reports: Sequence[OOMReport] | None = None
    """None: they could not be read."""
    not_read: tuple[str, ...] = ()
    """Why, one sentence each."""

    def accounts(self) -> list[NodeAccount]:
        """Return what each node recorded by the hour."""
        return [
            NodeAccount(name=node.metadata.name or "", history=hourly_kills(node.status.history))
            for node in self.nodes or ()
            if node.status is not None
        ]


class Coverage(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """How complete the report is."""

    complete: bool | None
    """None: objects that would tell could not be read."""
    unattributed: int | None = None
    """Kills that the kernels counted and no record explains, since the agents were installed."""
    lost_log_records: int | None = None
    nodes: int | None = None
    """Nodes that oomkeeper manages."""
    silent_nodes: tuple[str, ...] = ()
    """Nodes whose agent has not answered yet."""
    without_incident: int = 0
    sentences: tuple[str, ...] = ()
    """The same for people, the gravest first."""


def coverage_of(
    facts: ClusterFacts,
    *,
    namespace: str | None,
    selector: str | None,
    without_incident: int,
    malformed: int,
) -> Coverage:
    """Return what is not known, in numbers and sentences. `malformed`: incidents that could not be read."""
    counters = [
        (node.metadata.name or "", node.status.counters)
        for node in facts.nodes or ()
        if node.status is not None and node.status.counters is not None
    ]
    unattributed = {name: one.unattributed for name, one in counters if one.unattributed}
    lost = {name: one.lost_log_records for name, one in counters if one.lost_log_records}
    silent = sorted(node.metadata.name or "" for node in facts.nodes or () if _has_no_answer(node))
    conditions = _conditions(facts.reports or ())
    gaps = [
        *_unmanaged(facts),
        *_silent(silent),
        *_of_report(conditions, silent=bool(silent)),
        *_unattributed(unattributed),
        *_lost(lost),
        *_malformed(malformed),
    ]
    return Coverage(
        complete=False if gaps else None if facts.not_read else True,
        unattributed=sum(unattributed.values()) if facts.nodes is not None else None,
        lost_log_records=sum(lost.values()) if facts.nodes is not None else None,
        nodes=len(facts.nodes) if facts.nodes is not None else None,
        silent_nodes=tuple(silent),
        without_incident=without_incident,
        sentences=(
            *gaps,
            *facts.not_read,
            *_dropped(without_incident),
            *_scope(namespace, selector),
            *_no_gap(gaps, facts),
        ),
    )


def _has_no_answer(node: OOMNode) -> bool:
    return not (node.status or OOMNodeStatus()).observed_generation


def _conditions(reports: Sequence[OOMReport]) -> dict[str, Condition]:
    """Return the conditions of a report over the whole cluster; none where there is no such report."""
    for report in sorted(reports, key=lambda one: one.metadata.name or ""):
        spec = report.spec
        if report.status is not None and not (spec and (spec.node_selector or spec.namespace_selector)):
            return {condition.type: condition for condition in report.status.conditions}
    return {}


def _unmanaged(facts: ClusterFacts) -> Iterator[str]:
    if facts.nodes is not None and not facts.nodes:
        yield "No node is known to oomkeeper (there is no OOMNode), so kills may be missing everywhere."


def _silent(names: Sequence[str]) -> Iterator[str]:
    if names:
        has = "has" if len(names) == 1 else "have"
        yield (
            f"{count_text(len(names), 'node')} {has} no agent that has answered yet, so kills there are not "
            f"in this report: {_names(names)}."
        )


def _of_report(conditions: dict[str, Condition], *, silent: bool) -> Iterator[str]:
    complete, clocks = conditions.get("Complete"), conditions.get("ClocksAgree")
    if complete is not None and complete.reason == "NodesSilent" and not silent:
        yield f"Silent nodes: {complete.message}."
    if clocks is not None and clocks.status == "False":
        yield f"Times of some kills are off: {clocks.message}."


def _unattributed(by_node: dict[str, int]) -> Iterator[str]:
    if total := sum(by_node.values()):
        yield f"{count_text(total, 'kill')} without a record, {_SINCE}: {_counts(by_node)}."


def _lost(by_node: dict[str, int]) -> Iterator[str]:
    if total := sum(by_node.values()):
        yield f"{count_text(total, 'kernel log record')} overwritten unread, {_SINCE}: {_counts(by_node)}."


def _counts(by_node: dict[str, int]) -> str:
    """Return the nodes with their counts, the largest first."""
    ranked = sorted(by_node.items(), key=lambda one: (-one[1], one[0]))
    return _names([f"{name} ({count:,})" for name, count in ranked])


def _malformed(count: int) -> Iterator[str]:
    if count:
        is_left_out = "is left out" if count == 1 else "are left out"
        yield f"{count_text(count, 'OOMIncident')} could not be read and {is_left_out}."


def _dropped(count: int) -> Iterator[str]:
    if count:
        have = "has no incident" if count == 1 else "have no incidents"
        yield (
            f"{count_text(count, 'kill')} {have} any more (dropped by a bound, or deleted with the "
            "namespace): counted in the total and by node only."
        )


def _scope(namespace: str | None, selector: str | None) -> Iterator[str]:
    if namespace is not None:
        yield f"Only kills of workloads in namespace {namespace} are counted, and of these only OOM kills."
    if selector is not None:
        yield f"Only incidents with the labels {selector} are counted."


def _no_gap(gaps: Sequence[str], facts: ClusterFacts) -> Iterator[str]:
    if not gaps and not facts.not_read:
        nodes = len(facts.nodes or ())
        yield f"Every OOM kill that the kernels of {count_text(nodes, 'node')} counted has a record."


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
