"""`python -m oomkeeper.api.document [--check] [DIR]`: write the tables of the custom resources' pages under
docs/.

A page is written by hand around its tables; what stands between `<!-- fields -->` and `<!-- end of fields
-->` comes from the models, so that no page names a field, a range or a default that is not so.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from oomkeeper.model.sysctl_allow_list import SYSCTLS

from .crd import crd
from .kinds import KINDS
from .meta import ApiObject, Condition
from .problems import model_in
from .rules import VALIDATIONS
from .selector import LabelSelector
from .structural import Schema
from .sysctl_schema import range_text

BEGIN = "<!-- fields -->"
END = "<!-- end of fields -->"

_SHARED: dict[type[BaseModel], str] = {LabelSelector: "LabelSelector", Condition: "Condition"}
"""Types with a table of their own, for they occur more than once."""


def tables(model: type[ApiObject]) -> str:
    """The generated part of one kind's page."""
    schema = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    resource = model.resource
    parts = []
    used: dict[type[BaseModel], Schema] = {}
    enums: dict[tuple[str, ...], str] = {}
    for part, writer in (("spec", resource.spec_writer), ("status", resource.status_writer)):
        inner = model_in(model.model_fields[part].annotation)
        if inner is None:
            raise TypeError(f"{resource.kind}.{part} is no model")
        rows = list(_rows(inner, schema["properties"][part], at=part, used=used, enums=enums))
        parts.append(f"### {part}, written by {writer}\n\n{_table(rows)}")
        rules = list(_rules(schema["properties"][part], at=part))
        if rules:
            parts.append(f"Rules over {part} that the table does not show:\n\n" + "\n".join(rules))
    if "sysctls" in schema["properties"]["spec"]["properties"]:
        parts.append(f"### The sysctls\n\nNo other is ever written.\n\n{_sysctls()}")
    for shared, its_schema in used.items():
        rows = list(_rows(shared, its_schema, at="", used={}, enums={}))
        parts.append(f"### {_SHARED[shared]}\n\n{shared.__doc__}\n\n{_table(rows)}")
    parts.append("### Columns of `kubectl get`\n\n" + _columns(model))
    return "\n\n".join(parts)


def _rows(
    model: type[BaseModel],
    schema: Schema,
    *,
    at: str,
    used: dict[type[BaseModel], Schema],
    enums: dict[tuple[str, ...], str],
) -> Iterator[tuple[str, str, str, str, str]]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        child = schema["properties"][key]
        path = f"{at}.{key}" if at else key
        inner = model_in(field.annotation)
        item = child["items"] if child.get("type") == "array" else child
        shared = inner is not None and inner in _SHARED
        kind = _type(child, of=_SHARED[inner] if inner is not None and shared else None)
        default = "required" if key in schema.get("required", ()) else _default(child)
        values = _values(child, path=path, enums=enums)
        yield f"`{path}`", kind, values, default, child["description"].split("\n")[0].removesuffix(":")
        if inner is not None and shared:
            used.setdefault(inner, item)
        elif inner is not None:
            yield from _rows(
                inner, item, at=f"{path}[]" if item is not child else path, used=used, enums=enums
            )


def _type(schema: Schema, *, of: str | None) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    match schema["type"]:
        case "array":
            return f"list of {of or _type(schema['items'], of=None)}"
        case "object" if "additionalProperties" in schema:
            return f"map of {_type(schema['additionalProperties'], of=None)}"
        case "string" if schema.get("format") == "date-time":
            return "time"
        case kind:
            return of or str(kind)


_LONG_ENUM = 6
"""An enum with more values is spelt out once on a page."""


def _values(schema: Schema, *, path: str, enums: dict[tuple[str, ...], str]) -> str:
    said = []
    enum = tuple(schema.get("enum", ())) or tuple(schema.get("items", {}).get("enum", ()))
    if len(enum) > _LONG_ENUM and enums.setdefault(enum, path) != path:
        said.append(f"as `{enums[enum]}`")
    elif enum:
        said.append(", ".join(f"`{value}`" for value in enum))
    if "minimum" in schema or "maximum" in schema:
        said.append(
            f"{schema.get('minimum', '')} to {schema['maximum']}" if "maximum" in schema else "0 and more"
        )
    if "maxLength" in schema and not schema.get("x-kubernetes-int-or-string"):
        said.append(f"at most {schema['maxLength']} characters")
    for keyword in ("maxItems", "maxProperties"):
        if keyword in schema:
            said.append(f"at most {schema[keyword]} entries")
    if schema.get("type") != "object":
        said.extend(rule["message"] for rule in schema.get(VALIDATIONS, ()))
    return "; ".join(said)


def _default(schema: Schema) -> str:
    default = schema.get("default")
    if default is None or default == {}:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _rules(schema: Schema, *, at: str) -> Iterator[str]:
    """Rules of objects and maps, whose messages find no room in a row; those of shared types stay with
    them."""
    if schema.get("type") == "object":
        for rule in schema.get(VALIDATIONS, ()):
            where = rule.get("fieldPath", "").replace("['", ".").replace("']", "")
            yield f"- `{at}{where}`: {rule['message']}"
    for name, child in schema.get("properties", {}).items():
        if not name.endswith("Selector") and name != "sysctls":
            yield from _rules(child, at=f"{at}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from _rules(schema["items"], at=f"{at}[]")


def _table(rows: list[tuple[str, str, str, str, str]]) -> str:
    lines = ["| field | type | values | default | meaning |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _sysctls() -> str:
    lines = ["| sysctl | range | kubelet writes | meaning |", "|---|---|---|---|"]
    for rule in SYSCTLS:
        kubelet = "" if rule.kubelet_value is None else str(rule.kubelet_value)
        lines.append(f"| `{rule.key}` | {range_text(rule)} | {kubelet} | {rule.what} |")
    return "\n".join(lines)


def _columns(model: type[ApiObject]) -> str:
    lines = ["| column | from | meaning |", "|---|---|---|"]
    for column in model.resource.columns:
        wide = " (`-o wide`)" if column.wide else ""
        lines.append(f"| {column.name}{wide} | `{column.path}` | {column.what} |")
    return "\n".join(lines)


def with_tables(page: str, model: type[ApiObject]) -> str:
    """The page with its generated part made anew. Raises ValueError where a marker is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{tables(model)}\n\n{END}{after}"


def page_name(model: type[ApiObject]) -> str:
    """Name of the kind's page under docs/."""
    return f"{model.resource.singular}.md"


def main(argv: list[str] | None = None) -> int:
    """Exit 0 when written or up to date, 1 when --check found a difference, 2 for a bad argument."""
    parser = argparse.ArgumentParser(
        prog="python -m oomkeeper.api.document", description="Write the tables of docs/ from the models."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page differs")
    parser.add_argument(
        "directory", nargs="?", default="docs", type=Path, metavar="DIR", help="default: docs"
    )
    options = parser.parse_args(argv)
    stale = 0
    for model in KINDS:
        path: Path = options.directory / page_name(model)
        try:
            page = path.read_text(encoding="utf-8")
            wanted = with_tables(page, model)
        except (OSError, ValueError) as error:
            parser.error(f"{path}: {error}")
        if page == wanted:
            continue
        stale += 1
        if options.check:
            print(f"{path}: not what the models say; run python -m oomkeeper.api.document", file=sys.stderr)
        else:
            path.write_text(wanted, encoding="utf-8")
            print(path)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
