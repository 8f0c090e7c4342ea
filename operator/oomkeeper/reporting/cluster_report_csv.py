"""Render one list of a cluster report as CSV (RFC 4180) for a spreadsheet: raw numbers, one header line."""

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec

from .cluster_report import CauseRow, ClusterReport, NamespaceRow, NodeRow, WorkloadRow

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so is a formula for a spreadsheet (OWASP, CSV injection)."""
_ROWS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "workload": ("workloads", WorkloadRow),
    "namespace": ("namespaces", NamespaceRow),
    "cause": ("causes", CauseRow),
    "node": ("nodes", NodeRow),
}


def report_csv(report: ClusterReport, *, by: str) -> Iterator[str]:
    """Yield the lines of the list `by` (one of GROUPS)."""
    attribute, kind = _ROWS[by]
    yield _line(field.encode_name for field in msgspec.structs.fields(kind))
    for row in getattr(report, attribute):
        yield _line(_cell(value) for value in msgspec.to_builtins(row).values())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return _safe(" ".join(map(str, value)))
    return _safe(value) if isinstance(value, str) else str(value)


def _safe(text: str) -> str:
    """Return the text so that a spreadsheet takes it as text: names are chosen by tenants."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
