"""Take what must not leave the cluster out of objects and logs. Pure.

Credentials always: nothing is read from Secrets, but a log or an argument may hold one. Names on request:
each becomes a hash that is the same throughout one bundle, and that cannot be computed without its key."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from typing import Any

from oomkeeper.model.json_types import ForeignObject, JsonDocument

REDACTED = "REDACTED"
_CREDENTIALS = (
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), REDACTED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (
        re.compile(
            r"(?i)([\w.-]*(?:token|password|passwd|secret|api[_-]?key|authorization)[\w.-]*[\"']?\s*[=:]\s*)"
            r"(?!REDACTED|bearer|basic|true\b|false\b|null\b)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s\"',}]+)"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^/\s:@]+:[^/\s@]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.S), REDACTED),
)
_DROPPED_METADATA = ("managedFields", "selfLink")
_DROPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)
_LOG_FIELD = re.compile(r"([A-Za-z_][\w.]*)=(\"(?:[^\"\\]|\\.)*\"|\S*)")
_KEPT_LOG_FIELDS = frozenset({"time", "level", "logger", "msg"})
_PLAIN_VALUE = re.compile(r"-?[\d.]*|true|false|null|none", re.I)
_NAME_CHARACTER = r"[A-Za-z0-9_-]"


def without_credentials(text: str) -> str:
    """Return the text without tokens, passwords, keys and credentials in URLs."""
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


def redact_object(obj: ForeignObject) -> JsonDocument:
    """Return an object without credentials, values of environment variables, and fields of no use here."""
    made: JsonDocument = _redacted(obj)
    metadata = made.get("metadata")
    if isinstance(metadata, dict):
        for name in _DROPPED_METADATA:
            metadata.pop(name, None)
        for name in _DROPPED_ANNOTATIONS:
            (metadata.get("annotations") or {}).pop(name, None)
    return made


def _redacted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _redacted(part, name) for name, part in value.items()}
    if isinstance(value, list):
        if key == "env":
            return [
                {**_redacted(one), "value": REDACTED} if "value" in one else _redacted(one) for one in value
            ]
        return [_redacted(one) for one in value]
    return without_credentials(value) if isinstance(value, str) else value


class Names:
    """Replaces names by hashes."""

    def __init__(self, names: Iterable[tuple[str, str]], *, key: bytes) -> None:
        """`names`: (kind, name); the kind begins the replacement."""
        self._key = key
        self._known = {name: self._hash(kind, name) for kind, name in names if name}
        longest = sorted(self._known, key=len, reverse=True)
        self._pattern = (
            re.compile(f"(?<!{_NAME_CHARACTER})(?:{'|'.join(map(re.escape, longest))})(?!{_NAME_CHARACTER})")
            if longest
            else None
        )

    def _hash(self, kind: str, name: str) -> str:
        return f"{kind}-{hmac.new(self._key, name.encode(errors='replace'), hashlib.sha256).hexdigest()[:10]}"

    def text(self, text: str) -> str:
        """Return the text with all known names replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._known[match[0]], text)

    def value(self, value: Any) -> Any:
        """Return the object with all known names replaced in its texts; keys stay."""
        if isinstance(value, dict):
            return {key: self.value(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.value(one) for one in value]
        return self.text(value) if isinstance(value, str) else value

    def log(self, text: str) -> str:
        """Return a log with all values replaced but numbers, time, level, logger and message."""
        return "\n".join(map(self._log_line, text.split("\n")))

    def _log_line(self, line: str) -> str:
        if line.startswith("{"):
            try:
                fields = json.loads(line)
            except ValueError:
                return self._hash("text", line)
            kept = {key: self._field(key, value) for key, value in fields.items()}
            return json.dumps(kept, ensure_ascii=False)
        if not _LOG_FIELD.match(line):
            return self._hash("text", line) if line else line
        parts = (f"{key}={self._field(key, value)}" for key, value in _LOG_FIELD.findall(line))
        return " ".join(parts)

    def _field(self, key: str, value: Any) -> Any:
        if key in _KEPT_LOG_FIELDS or not isinstance(value, str) or _PLAIN_VALUE.fullmatch(value):
            return value if not isinstance(value, dict | list) else self._hash("text", json.dumps(value))
        known = self.text(value.strip('"'))
        return (
            known
            if known != value.strip('"') and known in self._known.values()
            else self._hash("text", value)
        )


def names_in(
    incidents: Iterable[ForeignObject],
    *,
    namespaces: Iterable[str] = (),
    nodes: Iterable[str] = (),
) -> set[tuple[str, str]]:
    """Return (kind, name) of everything that incidents and ContainerKills name."""
    found = {*(("namespace", name) for name in namespaces), *(("node", name) for name in nodes)}
    for one in incidents:
        metadata, spec, status = one.get("metadata") or {}, one.get("spec") or {}, one.get("status") or {}
        found |= {("object", metadata.get("name", "")), ("namespace", metadata.get("namespace", ""))}
        found |= {("node", spec.get("nodeName", "")), ("container", spec.get("container") or "")}
        found.add(("workload", (spec.get("workload") or {}).get("name", "")))
        found.add(("cgroup", spec.get("cgroup") or ""))
        for kill in (*(status.get("kills") or ()), *(status.get("ends") or ())):
            found |= {("pod", kill.get("pod") or ""), ("process", kill.get("comm") or "")}
        evidence = status.get("evidence") or {}
        for victim in evidence.get("victims") or ():
            found.add(("process", victim.get("comm") or ""))
        found.add(("process", (evidence.get("invoker") or {}).get("comm") or ""))
        for side in ("sender", "target"):
            task = evidence.get(side) or {}
            found |= {("process", task.get("comm") or ""), ("container", task.get("container") or "")}
            found |= {("file", task.get("exe") or ""), ("cgroup", task.get("cgroup") or "")}
            found |= {("pod", part) for part in str(task.get("pod") or "").split("/")}
    return {(kind, name) for kind, name in found if name}
