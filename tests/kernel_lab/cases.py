"""The cases: one shell script each under guest/cases/, whose head says what kind of boot it needs.

#: cgroups: v2                 only there (the other version has no such thing)
#: append: movablecore=160M    kernel arguments of a boot of its own
#: panics: TEXT                ends the boot in this panic; its log is the console's
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

GUEST = Path(__file__).parent / "guest"
_DIRECTIVE = re.compile(r"^#: (\w+): (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"^# (.+(?:\n# .+)*)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    says: str
    """What it does, in the script's own words."""
    cgroups: tuple[str, ...]
    append: str
    panics: str | None

    @property
    def alone(self) -> bool:
        """Whether it needs a boot of its own."""
        return bool(self.append) or self.panics is not None


def cases(*, cgroups: str | None = None) -> list[Case]:
    """Every case, or those that a cgroup version (`v1`, `v2`) can show; by name."""
    found = [_read(path) for path in sorted((GUEST / "cases").glob("*.sh"))]
    return [case for case in found if cgroups is None or cgroups in case.cgroups]


def _read(path: Path) -> Case:
    text = path.read_text()
    directives = dict(_DIRECTIVE.findall(text))
    unknown = directives.keys() - {"cgroups", "append", "panics"}
    comment = _COMMENT.search(text)
    if unknown or comment is None:
        raise ValueError(
            f"{path.name}: no such directive: {unknown}" if unknown else f"{path.name}: no comment"
        )
    return Case(
        name=path.stem,
        says=comment[1].replace("\n# ", " "),
        cgroups=tuple(directives.get("cgroups", "v1 v2").split()),
        append=directives.get("append", ""),
        panics=directives.get("panics"),
    )
