"""Read KubeletConfiguration files as kubelet merges them: the file of --config, then the drop-ins of
--config-dir.

Only top-level scalars and the hard eviction thresholds are taken, line by line: a YAML parser would be the
agent's largest dependency. A file whose protectKernelDefaults is written in a form that this does not read is
a problem that is reported, never a silent "false".

Order of drop-ins (kubelet's cmd/kubelet/app/server.go, mergeKubeletConfigurations()): every file whose name
ends in .conf, folder by folder in lexical order; each is a JSON merge patch (RFC 7386), in which null
removes.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oomkeeper.kernel.open_in_root import list_in_root, read_in_root

MAX_FILE_BYTES = 1 << 20
MAX_DROP_INS = 256
_MAX_DEPTH = 8

PROTECT = "protectKernelDefaults"
SINGLE_PROCESS = "singleProcessOOMKill"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# YAML 1.1, which kubelet reads its files with (sigs.k8s.io/yaml).
_BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "y": True,
    "false": False,
    "no": False,
    "off": False,
    "n": False,
}
_KEY_LINE = re.compile(r"^[\"']?([A-Za-z]\w*)[\"']?[ \t]*:(?:[ \t]+(.*))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigText:
    """What one file says."""

    scalars: Mapping[str, str | None] = field(default_factory=dict)
    """Top-level scalars as text; None for null, which in a drop-in removes an earlier value."""
    eviction_hard: Mapping[str, str] | None = None
    """None where the file has none."""
    problem: str | None = None
    """Why the file is not understood; None where it is."""


@dataclass(slots=True, kw_only=True)
class MergedConfig:
    """All files of one kubelet, in its order."""

    scalars: dict[str, str] = field(default_factory=dict)
    eviction_hard: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    """The first file that could not be read or understood, and why."""

    def add(self, name: str, text: ConfigText) -> None:
        """Merge one more file."""
        if text.problem is not None:
            self.note(f"{name}: {text.problem}")
        for key, value in text.scalars.items():
            if value is None:
                self.scalars.pop(key, None)
            else:
                self.scalars[key] = value
        if text.scalars.get("evictionHard", "") is None:
            self.eviction_hard.clear()
        self.eviction_hard.update(text.eviction_hard or {})

    def note(self, problem: str) -> None:
        """Remember the first problem."""
        self.problem = self.problem or problem

    def boolean(self, key: str) -> bool | None:
        """Return a setting; None where no file has it."""
        value = self.scalars.get(key)
        return None if value is None else _BOOLEANS.get(value.lower())


def read_files(root: Path, *, cwd: Path, config: str | None, config_dir: str | None) -> MergedConfig:
    """Read the files that a kubelet with this root was started with. Never raises: a file that cannot be read
    is a problem of the result. A relative `config` is below `cwd`, and may not lead out of it."""
    merged = MergedConfig()
    files = [(root if config.startswith("/") else cwd, config)] if config else []
    if config_dir:
        try:
            files += [(root, name) for name in drop_ins(root, config_dir)]
        except OSError as error:
            merged.note(f"{config_dir}: {error.strerror or error}")
    for base, name in files:
        try:
            data = read_in_root(base, name, max_bytes=MAX_FILE_BYTES)
        except OSError as error:
            merged.note(f"{name}: {error.strerror or error}")
            continue
        merged.add(name, read_config(data.decode(errors="replace")))
    return merged


def drop_ins(root: Path, folder: str, *, depth: int = _MAX_DEPTH) -> list[str]:
    """Return the drop-ins below a folder in kubelet's order. Raises OSError, also for a folder that is nested
    or filled beyond what anybody means."""
    if depth == 0:
        raise OSError(0, "folders nested too deep", folder)
    found: list[str] = []
    for name, is_folder in list_in_root(root, folder, max_entries=MAX_DROP_INS):
        path = f"{folder.rstrip('/')}/{name}"
        if is_folder:
            found += drop_ins(root, path, depth=depth - 1)
        elif name.endswith(".conf"):
            found.append(path)
    return found


def read_config(text: str) -> ConfigText:
    """Read a KubeletConfiguration in JSON or block YAML. Never raises."""
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        return _read_json(text)
    body, problem = _root_mapping(text)
    if problem is not None:
        return ConfigText(problem=problem)
    scalars = top_level_scalars(body)
    problem = None
    if PROTECT in scalars:
        value = scalars[PROTECT]
        if value is not None and value.lower() not in _BOOLEANS:
            problem = f"{PROTECT} is {value[:20]!r}, which is neither true nor false"
    elif PROTECT in body:
        problem = f"{PROTECT} is written in a form that is not read; write it as a line of its own"
    return ConfigText(scalars=scalars, eviction_hard=mapping_under(body, "evictionHard"), problem=problem)


def _read_json(text: str) -> ConfigText:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        return ConfigText(problem="begins as JSON and is none (YAML in braces is not read)")
    if not isinstance(config, dict):
        return ConfigText(problem="is not an object")
    protect = config.get(PROTECT)
    problem = None
    if not isinstance(protect, bool | None):
        problem = f"{PROTECT} is {str(protect)[:20]!r}, which is neither true nor false"
    scalars = {
        str(key): None if value is None else str(value)
        for key, value in config.items()
        if isinstance(value, str | int | float | bool | None)
    }
    eviction = config.get("evictionHard")
    thresholds = (
        {str(key): str(value) for key, value in eviction.items()} if isinstance(eviction, dict) else None
    )
    return ConfigText(scalars=scalars, eviction_hard=thresholds, problem=problem)


def _root_mapping(text: str) -> tuple[str, str | None]:
    """Return the text without comment lines and without the root's own indentation; and why it is not one
    mapping in block form, where it is not."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "%"))]
    if lines and re.match(r"---(?:\s|$)", lines[0]):
        rest = lines[0][3:].strip()
        if rest and not rest.startswith("#"):
            return "", "holds a document that begins on the line of its ---"
        lines = lines[1:]
    if not lines:
        return "", None
    if any(re.match(r"(?:---|\.\.\.)(?:\s|$)", line) for line in lines):
        return "", "holds more than one document"
    indent = len(lines[0]) - len(lines[0].lstrip(" "))
    if any(line[:indent].strip(" ") for line in lines):
        return "", "is indented in a way that is not read"
    body = "\n".join(line[indent:] for line in lines) + "\n"
    if _KEY_LINE.match(body) is None:
        return "", "is not a mapping in block form"
    return body, None


def top_level_scalars(text: str) -> dict[str, str | None]:
    """Return the `key: value` lines without indentation; None for a value that is null, or absent with
    nothing indented below."""
    lines = text.splitlines()
    found: dict[str, str | None] = {}
    for number, line in enumerate(lines):
        match = _KEY_LINE.match(line)
        if match is None:
            continue
        value = re.split(r"(?:^|[ \t])#", match[2] or "", maxsplit=1)[0].strip()
        if value.startswith(("{", "[", "|", ">", "&", "*", "!")):
            continue
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if value in _NULLS:
            if not (value == "" and following.startswith((" ", "\t", "- "))):
                found[match[1]] = None
        else:
            found[match[1]] = value.strip("\"'")
    return found


def mapping_under(text: str, key: str) -> dict[str, str] | None:
    """Return the scalars of a top-level mapping, in block or in one-line flow form; None where it is not
    there."""
    flow = re.search(rf"^{key}:[ \t]*\{{(.*)\}}", text, re.MULTILINE)
    if flow:
        body = flow[1].replace(",", "\n")
    else:
        block = re.search(rf"^{key}:[ \t]*(?:#.*)?\n((?:[ \t]+.*\n?)+)", text, re.MULTILINE)
        if block is None:
            return None
        body = block[1]
    found = re.findall(r"^\s*[\"']?([\w.]+)[\"']?:\s*[\"']?([^\s\"'#]+)", body, re.MULTILINE)
    return dict(found)
