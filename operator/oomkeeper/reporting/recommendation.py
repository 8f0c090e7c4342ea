"""Which memory limit and request the OOM kills of a workload's containers ask for, and when none helps. Pure.

The figure is that of the advice on one kill (diagnosis/advice/limit.py), over all kills of a container on
all nodes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oomkeeper.model.cause import Cause, ContributorName, Remedy
from oomkeeper.model.headroom import with_headroom
from oomkeeper.model.json_types import JsonDocument
from oomkeeper.model.units import bytes_text, count_text, round_up, share_text
from oomkeeper.resources.oomincident import Evidence

from .display_names import cause_title
from .growth import unbounded_growth
from .incident_list import Read
from .workload_template import ContainerSettings, quantity

RAISE, ENOUGH, REFUSED = "Raise", "Enough", "Refused"
_SHARED_SHARE = 0.3
_DIRTY_SHARE = 0.5
"""As in diagnosis/advice/content.py and limit.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What one container needs."""

    container: str | None
    verdict: str
    """Raise; Enough: the limit has been raised already; Refused: see `reason`."""
    reason: str
    """Why, as one CamelCase word."""
    message: str
    """Why, with numbers."""
    kills: int
    first_seen: str | None
    last_seen: str | None
    incidents: tuple[str, ...]
    peak_bytes: int | None = None
    """Largest usage at a kill; the real peak is unknown, because the limit cut it off."""
    current_limit_bytes: int | None = None
    current_request_bytes: int | None = None
    limit_bytes: int | None = None
    """The recommended limit."""
    request_bytes: int | None = None
    uncertain: tuple[str, ...] = ()


def recommendations(
    incidents: Sequence[Read], *, template: Sequence[ContainerSettings] | None
) -> list[Recommendation]:
    """Return one recommendation per container with kills, by name. `template`: the containers of the
    workload's template; None where it cannot be read."""
    groups: dict[str | None, list[Read]] = {}
    for one in incidents:
        groups.setdefault(one.incident.spec.container, []).append(one)
    settings = {one.name: one for one in template or ()}
    return [
        _Container(
            name,
            groups[name],
            settings.get(name or ""),
            alone=template is not None and len(template) == 1,
            known=template is not None,
        ).recommend()
        for name in sorted(groups, key=lambda name: name or "")
    ]


class _Container:
    """The kills of one container, and what its template sets."""

    def __init__(
        self,
        name: str | None,
        incidents: Sequence[Read],
        settings: ContainerSettings | None,
        *,
        alone: bool,
        known: bool,
    ) -> None:
        self._name, self._all, self._settings = name, incidents, settings
        self._known = known
        own = {Cause.CONTAINER_LIMIT, Cause.POD_LIMIT} if alone else {Cause.CONTAINER_LIMIT}
        self._limited = [one for one in incidents if one.incident.spec.cause in own]

    def recommend(self) -> Recommendation:
        refused = self._refusal()
        if refused is not None:
            return self._made(REFUSED, *refused)
        highest = max((limit for one in self._limited for limit in _limits(one)), default=0)
        used = max((_used(one) for one in self._limited), default=0)
        peak = max(highest, used)
        if peak == 0:
            return self._made(REFUSED, "NoEvidence", "The incidents show neither a limit nor a usage.")
        wanted = with_headroom(peak)
        current = self._current_limit()
        spent = bytes_text(peak)
        if current is not None and current >= wanted:
            return self._made(
                ENOUGH,
                "RaisedAlready",
                f"The limit is {bytes_text(current)} now; the kills were at up to {spent}, which asks for "
                f"{bytes_text(wanted)}. --verify tells whether they stopped.",
                peak=peak,
            )
        request = self._request(wanted, used=peak)
        return self._made(
            RAISE,
            "LimitReached",
            f"{count_text(self._kills(self._limited), 'kill')} at up to {spent}. {bytes_text(wanted)} is "
            "that plus 20 %, rounded up; the real peak is unknown, because the limit cut it off. "
            f"{self._request_reason(wanted, request)}",
            peak=peak,
            limit=wanted,
            request=request,
        )

    def _refusal(self) -> tuple[str, str] | None:
        """Return why no limit is recommended: a word and a sentence; None where one is."""
        if self._known and self._settings is None and self._name is not None:
            return "ContainerGone", "The workload's template has no container of this name any more."
        if self._name is None:
            return "NoContainer", "The kernel's records do not show in which container the kills were."
        if not self._limited:
            causes = ", ".join(sorted({one.incident.spec.cause for one in self._all}))
            if causes == Cause.POD_LIMIT:
                return (
                    "PodLimit",
                    "The pod as a whole reached its limit: its containers and memory volumes count together, "
                    "so the limit of this container may not be the one to raise. kubectl oom explain shows "
                    "which used most.",
                )
            title = cause_title(causes) if "," not in causes else causes
            return (
                "OtherCause",
                f"The container's limit was not reached ({title}): another limit does not prevent these "
                "kills. kubectl oom explain tells what does.",
            )
        for one in self._limited:
            if (growth := unbounded_growth(one.status.kills)) is not None:
                return (
                    "Leak",
                    f"{growth}. That is typical of a leak, where a higher limit only delays the next kill: "
                    "compare a heap profile taken soon after its start with one taken later. If this usage "
                    "is normal, set the limit yourself.",
                )
        for one in self._limited:
            if (share := _share(one, ContributorName.SHARED_MEMORY)) >= _SHARED_SHARE:
                return "SharedMemory", _advice(one, Remedy.MOVE_TMPFS) or (
                    f"{share_text(share)} of the memory is files in tmpfs or shared memory, which stay until "
                    "they are deleted: give the volume a sizeLimit, or store them on disk."
                )
            if (share := _share(one, ContributorName.DIRTY_PAGE_CACHE)) >= _DIRTY_SHARE:
                return "SlowStorage", _advice(one, Remedy.SLOW_STORAGE) or (
                    f"{share_text(share)} of the memory is page cache waiting to be written to disk: the "
                    "storage is slower than the writer, which would fill any limit."
                )
        if self._settings is not None and self._settings.heap_follows is not None:
            return (
                "HeapFollowsLimit",
                f"The heap follows the limit ({self._settings.heap_follows}): with a higher limit the heap "
                "grows as well. Leave more room beside the heap, or set a fixed size.",
            )
        return None

    def _current_limit(self) -> int | None:
        if self._settings is not None:
            return self._settings.limit_bytes
        newest = max(self._limited, key=lambda one: one.last_seen)
        return (newest.status.evidence or Evidence()).spec_limit_bytes

    def _request(self, limit: int, *, used: int) -> int:
        """Return the request: the limit where both are equal now, else what was in use, at least as now."""
        settings = self._settings
        if settings is not None and settings.limit_bytes is not None:
            # Without a request, Kubernetes sets it to the limit.
            if settings.request_bytes in (None, settings.limit_bytes):
                return limit
            return min(limit, max(settings.request_bytes or 0, round_up(used)))
        return min(limit, round_up(used))

    def _request_reason(self, limit: int, request: int) -> str:
        if request == limit:
            return "The request equals the limit, as it does now." if self._settings else ""
        return "The request is what was in use, so that the scheduler plans with it."

    def _made(
        self,
        verdict: str,
        reason: str,
        message: str,
        *,
        peak: int | None = None,
        limit: int | None = None,
        request: int | None = None,
    ) -> Recommendation:
        seen = [one.status for one in self._all]
        uncertain = (
            ()
            if self._known
            else (
                "The workload's template could not be read: whether its heap follows the limit is not known.",
            )
        )
        return Recommendation(
            container=self._name,
            verdict=verdict,
            reason=reason,
            message=message.strip(),
            kills=self._kills(self._all),
            first_seen=min((one.first_seen for one in seen if one.first_seen), default=None),
            last_seen=max((one.last_seen for one in seen if one.last_seen), default=None),
            incidents=tuple(one.name for one in self._all),
            peak_bytes=peak,
            current_limit_bytes=self._current_limit() if self._settings or self._limited else None,
            current_request_bytes=self._settings.request_bytes if self._settings else None,
            limit_bytes=limit,
            request_bytes=request,
            uncertain=uncertain if verdict == RAISE else (),
        )

    @staticmethod
    def _kills(incidents: Iterable[Read]) -> int:
        return sum(one.status.count or 0 for one in incidents)


def _limits(one: Read) -> Iterable[int]:
    """Return the limits that were in force at the last kills."""
    evidence = one.status.evidence or Evidence()
    found = [evidence.limit_bytes, *(kill.limit_bytes for kill in one.status.kills)]
    return [limit for limit in found if limit]


def _used(one: Read) -> int:
    """Return what was in use at the last kill, with what was swapped out."""
    evidence = one.status.evidence or Evidence()
    swapped = sum(part.bytes for part in evidence.contributors if part.name == ContributorName.SWAP)
    usage = max(evidence.usage_bytes or 0, evidence.limit_bytes or 0)
    return usage + swapped


def _share(one: Read, name: ContributorName) -> float:
    evidence = one.status.evidence or Evidence()
    return sum(part.share_percent for part in evidence.contributors if part.name == name) / 100


def _advice(one: Read, remedy: Remedy) -> str | None:
    return next((item.message for item in one.status.advice if item.remedy == remedy), None)


def recommendation_record(one: Recommendation) -> JsonDocument:
    """Return the recommendation as JSON-ready values."""
    recommended = None
    if one.limit_bytes is not None and one.request_bytes is not None:
        recommended = {
            "limits": {"memory": quantity(one.limit_bytes)},
            "requests": {"memory": quantity(one.request_bytes)},
        }
    return {
        "container": one.container,
        "verdict": one.verdict,
        "reason": one.reason,
        "message": one.message,
        "resources": recommended,
        "limitBytes": one.limit_bytes,
        "requestBytes": one.request_bytes,
        "currentLimitBytes": one.current_limit_bytes,
        "currentRequestBytes": one.current_request_bytes,
        "peakBytes": one.peak_bytes,
        "kills": one.kills,
        "firstSeen": one.first_seen,
        "lastSeen": one.last_seen,
        "incidents": [*one.incidents],
        "uncertain": [*one.uncertain],
    }
