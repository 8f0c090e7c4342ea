"""`python -m oomkeeper.api.generate [--check] [DIR ...]`: write the CRDs and the Structs from the models, or
check that they are current.

The CRDs are in crds/ for kubectl and in the chart, which cannot link to a folder outside it; the Structs are
package `resources`. The output depends on nothing but the models.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from . import structs
from .crd import SCHEMA_ANNOTATION, crd, file_name
from .kinds import KINDS
from .meta import ApiObject

HEADER = (
    "# Generated from the models in operator/oomkeeper/api by `python -m oomkeeper.api.generate`.\n"
    "# Do not edit: change the model, run the command, and commit both.\n"
    "---\n"
)
"""`helm show crds` prints the files one after the other, without a line between them."""


DIRECTORIES = (Path("crds"), Path("charts/oomkeeper/crds"))
STRUCTS = Path(__file__).parents[1] / "resources"


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, lists indented under their key."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def render(model: type[ApiObject]) -> str:
    """The text of one kind's file."""
    body = yaml.dump(crd(model), Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)
    return f"{HEADER}{body}"


def files() -> dict[str, str]:
    """Every file under crds/: name -> text."""
    return {file_name(model.resource): render(model) for model in KINDS}


def schemas() -> str:
    """The module with the schemas' versions, by which `kubectl oom doctor` compares a cluster's."""
    lines = [
        '"""Generated from `oomkeeper.api` by `make crds`; edit the models, not this file."""',
        "",
        f"SCHEMA_ANNOTATION = {json.dumps(SCHEMA_ANNOTATION)}",
        "SCHEMAS: dict[str, str] = {",
        *(
            f"    {json.dumps(one['metadata']['name'])}: "
            f"{json.dumps(one['metadata']['annotations'][SCHEMA_ANNOTATION])},"
            for one in map(crd, KINDS)
        ),
        "}",
        '"""Name of a CustomResourceDefinition -> the value of its annotation."""',
    ]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Exit 0 when written or up to date, 1 when --check found a difference, 2 for a bad argument."""
    parser = argparse.ArgumentParser(
        prog="python -m oomkeeper.api.generate", description="Write crds/ and the Structs from the models."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    parser.add_argument(
        "directories",
        nargs="*",
        default=list(DIRECTORIES),
        type=Path,
        metavar="DIR",
        help=f"default: {' '.join(map(str, DIRECTORIES))}",
    )
    options = parser.parse_args(argv)
    for directory in options.directories:
        if not directory.is_dir():
            parser.error(f"{directory}: no such directory")
    wanted = {directory / name: text for directory in options.directories for name, text in files().items()}
    wanted |= {STRUCTS / name: text for name, text in structs.files().items()}
    wanted[STRUCTS / "schemas.py"] = schemas()
    stale = [
        (path, text)
        for path, text in wanted.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if options.check:
            print(f"{path}: not what the models say; run python -m oomkeeper.api.generate", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(path)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
