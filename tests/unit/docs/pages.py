"""The pages of docs/causes as the tests read them."""

import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[3]
CAUSES = CHECKOUT / "docs" / "causes"
_LOG = re.compile(r"<!-- log -->\n```text\n(.*?)```", re.DOTALL)
_TRY = re.compile(r"<!-- try: ([\w-]+) -->\n```sh\n(.*?)```", re.DOTALL)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_REMEDY = re.compile(r"\*\*`(\w+)`\*\*")


class Try(NamedTuple):
    """A block that makes the cause happen."""

    where: str
    """`memcg`: this kernel will do; `text`: needs no kernel; `vm...`: a virtual machine only."""
    script: str


class Page:
    """One page."""

    def __init__(self, name: str) -> None:
        self.path = CAUSES / f"{name}.md"
        self.name = name

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def logs(self) -> list[str]:
        """Excerpts marked as what `explain` must understand."""
        return _LOG.findall(self.text)

    @property
    def tries(self) -> list[Try]:
        return [Try(where, script) for where, script in _TRY.findall(self.text)]

    @property
    def sections(self) -> list[str]:
        return _SECTION.findall(self.text)

    @property
    def remedies(self) -> list[str]:
        """Named as such under What to do."""
        return _REMEDY.findall(self.text)


def names() -> list[str]:
    """Pages by their names, the index aside."""
    return sorted(path.stem for path in CAUSES.glob("*.md") if path.stem != "README")
