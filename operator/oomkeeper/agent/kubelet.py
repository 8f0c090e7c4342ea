"""What the kubelet of this host is set to, read from its command line and configuration file.

Only top-level scalars of the file and the eviction thresholds are taken, line by line: a YAML parser would
be the agent's largest dependency. What cannot be read so stays None ("not known").
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TRUE = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletFacts:
    """One running kubelet."""

    pid: int
    start_time: int
    """Clock ticks after boot (/proc/<pid>/stat field 22): a new value is a restart."""
    config_file: str | None = None
    protect_kernel_defaults: bool = False
    single_process_oom_kill: bool | None = None
    eviction_hard: Mapping[str, str] = field(default_factory=dict)


def find_kubelet(*, proc: Path = Path("/proc")) -> KubeletFacts | None:
    """The kubelet that runs on this host (needs the host's pid namespace); None where none is seen."""
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if (folder / "comm").read_text().strip() != "kubelet":
                continue
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            start_time = process_start_time(int(folder.name), proc=proc)
        except OSError:
            continue
        if start_time is not None:
            return _facts(
                int(folder.name), start_time, [part.decode(errors="replace") for part in arguments], folder
            )
    return None


class KubeletFinder:
    """Finds the kubelet again only when the one known has ended, or every so many looks.

    One that has just ended is looked for each time: it is about to come back and to write its sysctls, and
    without it in sight nothing would be refused for its sake.
    """

    LOOKS = 12

    def __init__(self, *, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: KubeletFacts | None = None
        self._looks = 0
        self._missed = 0

    def look(self) -> KubeletFacts | None:
        known = self._known
        self._looks -= 1
        if (
            known is not None
            and process_start_time(known.pid, proc=self._proc) == known.start_time
            and self._looks > 0
        ):
            return known
        if known is None and self._looks > 0 and self._missed <= 0:
            return None
        self._known, self._looks = find_kubelet(proc=self._proc), self.LOOKS
        self._missed = self.LOOKS if known is not None else self._missed - 1
        return self._known


def process_start_time(pid: int, *, proc: Path = Path("/proc")) -> int | None:
    """Start of a process in clock ticks after boot: with the pid it names one process for ever. None when
    it is gone."""
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[19])


def _facts(pid: int, start_time: int, arguments: list[str], folder: Path) -> KubeletFacts:
    flags = _flags(arguments)
    config_file = flags.get("config")
    text = ""
    if config_file:
        # The file as kubelet sees it: its root may be another than ours.
        for path in (folder / "root" / config_file.lstrip("/"), folder / "cwd" / config_file):
            try:
                text = path.read_text(errors="replace")
                break
            except OSError:
                continue
    config, eviction_hard = read_config(text)
    protect = flags.get("protect-kernel-defaults", config.get("protectKernelDefaults", "false"))
    return KubeletFacts(
        pid=pid,
        start_time=start_time,
        config_file=config_file,
        protect_kernel_defaults=_TRUE.get(protect.lower(), False),
        single_process_oom_kill=_TRUE.get(config.get("singleProcessOOMKill", "").lower()),
        eviction_hard=eviction_hard,
    )


def read_config(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Top-level scalars as text, and evictionHard, of a KubeletConfiguration in JSON or YAML."""
    if text.lstrip().startswith("{"):
        try:
            config = json.loads(text)
        except ValueError:
            return {}, {}
        scalars = {
            key: str(value) for key, value in config.items() if isinstance(value, str | int | float | bool)
        }
        return scalars, {str(key): str(value) for key, value in (config.get("evictionHard") or {}).items()}
    return top_level_scalars(text), mapping_under(text, "evictionHard")


def _flags(arguments: list[str]) -> dict[str, str]:
    flags = {}
    for at, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            following = arguments[at + 1] if at + 1 < len(arguments) else ""
            flags[name] = (
                value if equals else ("true" if following.startswith("--") or not following else following)
            )
    return flags


def top_level_scalars(text: str) -> dict[str, str]:
    """`key: value` lines without indentation."""
    found = re.findall(r"^([A-Za-z]\w*):[ \t]+([^\s#{\[][^#\n]*)", text, re.MULTILINE)
    return {key: value.strip().strip("\"'") for key, value in found}


def mapping_under(text: str, key: str) -> dict[str, str]:
    """The scalars of a top-level mapping, in block or in one-line flow form."""
    flow = re.search(rf"^{key}:[ \t]*\{{(.*)\}}", text, re.MULTILINE)
    if flow:
        body = flow[1].replace(",", "\n")
    else:
        block = re.search(rf"^{key}:[ \t]*\n((?:[ \t]+.*\n?)+)", text, re.MULTILINE)
        body = block[1] if block else ""
    found = re.findall(r"^\s*[\"']?([\w.]+)[\"']?:\s*[\"']?([^\s\"'#]+)", body, re.MULTILINE)
    return dict(found)
