"""A plan request: the annotation of an OOMNode, written by a person's `kubectl oom plan`.

It changes nothing on the node, and is answered in OOMNode.status.plan until it expires
(docs/decisions/114-plans-are-answered-by-the-agents.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from oomkeeper.model.names import PLAN_ANNOTATION
from oomkeeper.model.times import parse_time
from oomkeeper.resources.oomnode import NodePlan
from oomkeeper.resources.record import max_length

from ..desired import Desired, parse_desired

MAX_BYTES = 64 * 1024
"""Longest annotation that is read: the longest OOMNode.spec of usual names."""
LONGEST_SECONDS = 600.0
"""Longest life of an answer, whatever the request says."""
_ID_LENGTH = max_length(NodePlan, "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What is asked."""

    id: str
    expires: float
    """Seconds since the epoch."""
    desired: Desired
    """What OOMNode.spec would hold."""


def request_text(obj: Mapping[str, object]) -> str | None:
    """Return the annotation of an OOMNode object; None where there is none."""
    meta = obj.get("metadata")
    annotations = meta.get("annotations") if isinstance(meta, Mapping) else None
    text = annotations.get(PLAN_ANNOTATION) if isinstance(annotations, Mapping) else None
    return text if isinstance(text, str) else None


def parse_request(text: str) -> PlanRequest | None:
    """Return the request; None for what is none. Never raises."""
    if len(text) > MAX_BYTES:
        return None
    try:
        raw = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    id, expires = raw.get("id"), parse_time(raw.get("expires"))
    if not isinstance(id, str) or not 0 < len(id) <= _ID_LENGTH or not id.isprintable() or expires is None:
        return None
    return PlanRequest(id=id, expires=expires, desired=parse_desired({"spec": raw.get("spec")}))
