"""crds/ is what the models say, and a structural schema with a bound on everything that can grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from oomkeeper.api import KINDS, OOMReport
from oomkeeper.api.base import ApiModel
from oomkeeper.api.crd import SCHEMA_ANNOTATION, crd
from oomkeeper.api.document import BEGIN, END, page_name, with_tables
from oomkeeper.api.document import main as document
from oomkeeper.api.generate import DIRECTORIES, files, main
from oomkeeper.api.meta import ApiObject
from oomkeeper.api.scalars import Line
from oomkeeper.api.structural import SchemaError, structural_schema
from oomkeeper.model.cause import Cause
from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
OBJECT_BYTES = 64 * 1024
"""DESIGN.md: every object is bounded to 64 KiB."""


def schema_of(model: type[ApiObject]) -> dict[str, Any]:
    """The kind's openAPIV3Schema."""
    schema: dict[str, Any] = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from nodes(schema[keyword], f"{path}[{keyword}]")


@pytest.mark.parametrize("folder", DIRECTORIES, ids=str)
def test_the_committed_files_are_what_the_models_generate(folder: Path) -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in (ROOT / folder).iterdir()} == files()


def test_the_schema_annotation_changes_with_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """By it the chart knows a cluster whose CRDs are older than itself."""
    before = crd(OOMReport)["metadata"]["annotations"][SCHEMA_ANNOTATION]
    assert crd(OOMReport)["metadata"]["annotations"][SCHEMA_ANNOTATION] == before
    monkeypatch.setattr("oomkeeper.api.crd.CATEGORY", "other")
    assert crd(OOMReport)["metadata"]["annotations"][SCHEMA_ANNOTATION] != before


def test_generating_twice_gives_the_same_bytes() -> None:
    assert files() == files()


def test_check_tells_a_stale_file_and_leaves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    stale = tmp_path / "oomkeeper.dev_oomnodes.yaml"
    stale.write_text("kind: Other\n")
    capsys.readouterr()
    assert main(["--check", str(tmp_path)]) == 1
    assert "oomkeeper.dev_oomnodes.yaml: not what the models say" in capsys.readouterr().err
    assert stale.read_text() == "kind: Other\n"
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0


def test_a_directory_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "absent")])
    assert caught.value.code == 2
    assert "no such directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(files()))
def test_a_file_says_that_it_is_generated_and_is_one_plain_yaml_document(name: str) -> None:
    text = files()[name]
    assert text.startswith("# Generated from the models in operator/oomkeeper/api")
    assert "&id" not in text  # no YAML anchors
    assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.resource.kind)
def test_everything_that_can_grow_has_a_bound_and_nothing_is_a_float(model: type[ApiObject]) -> None:
    for path, schema in nodes(schema_of(model)):
        kind = schema.get("type")
        assert kind != "number", path
        if kind == "array":
            assert "maxItems" in schema, path
            assert schema["x-kubernetes-list-type"] in ("atomic", "map", "set"), path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path
        if kind == "string" and path not in (".apiVersion", ".kind"):
            assert "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time", path


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.resource.kind)
def test_every_field_of_the_schema_is_described(model: type[ApiObject]) -> None:
    for path, schema in nodes(schema_of(model)):
        for name, child in schema.get("properties", {}).items():
            assert child.get("description") or f"{path}.{name}" == ".metadata", f"{path}.{name}"


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.resource.kind)
def test_every_rule_says_what_to_write(model: type[ApiObject]) -> None:
    rules = [(p, r) for p, s in nodes(schema_of(model)) for r in s.get("x-kubernetes-validations", ())]
    assert rules
    for path, rule in rules:
        hint = ("write", "leave", "create")
        assert any(word in rule["message"] for word in hint), (path, rule)
        assert "\n" not in rule["message"]


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.resource.kind)
def test_the_largest_possible_status_stays_within_the_bound(model: type[ApiObject]) -> None:
    status = schema_of(model)["properties"]["status"]
    # The answer to a plan request is there for ten minutes at most.
    plan = status["properties"].get("plan")
    assert largest(status) - (largest(plan) if plan else 0) <= OBJECT_BYTES
    assert plan is None or largest(plan) <= OBJECT_BYTES // 2


def largest(schema: dict[str, Any]) -> int:
    """Bytes of the longest JSON that the schema allows, of ASCII that needs no escape.

    Names of objects, which may have 253 characters, count as 63: a list of 50 names that are all longer is
    not met.
    """
    match schema.get("type"):
        case "object" if "properties" in schema:
            return 2 + sum(len(k) + 4 + largest(v) for k, v in schema["properties"].items())
        case "object":
            # Keys have no bound in a schema; these are short names such as memory.available.
            return 2 + schema["maxProperties"] * (largest(schema["additionalProperties"]) + 40)
        case "array":
            return 2 + _most_items(schema) * (largest(schema["items"]) + 1)
        case "boolean":
            return 5
        case "integer":
            return len(str(schema["maximum"])) if "maximum" in schema else 19
        case "string" if "enum" in schema:
            return 2 + max(map(len, schema["enum"]))
        case "string" if schema.get("format") == "date-time":
            return 2 + len("2026-11-23T09:00:00.123456Z")
        case "string":
            return 2 + (63 if schema["maxLength"] == 253 else int(schema["maxLength"]))
    raise AssertionError(schema)


def _most_items(schema: dict[str, Any]) -> int:
    """A list map whose only key is an enum has at most one item for each of its values."""
    fields = schema["items"].get("properties", {})
    keys = schema.get("x-kubernetes-list-map-keys", ())
    enums = [len(fields[key]["enum"]) for key in keys if "enum" in fields[key]]
    return min([schema["maxItems"], *(enums if len(keys) == 1 else ())])


def test_the_incident_names_every_cause_of_the_model() -> None:
    incident = next(model for model in KINDS if model.resource.kind == "OOMIncident")
    spec = schema_of(incident)["properties"]["spec"]["properties"]
    assert spec["cause"]["enum"] == [str(cause) for cause in Cause]


def test_the_description_of_sysctls_names_every_key() -> None:
    policy = next(model for model in KINDS if model.resource.kind == "OOMPolicy")
    text = schema_of(policy)["properties"]["spec"]["properties"]["sysctls"]["description"]
    assert all(f"\n{key} (" in text for key in SYSCTL_RULES)


class _Float(ApiModel):
    value: float


class _Unbounded(ApiModel):
    value: tuple[Line, ...]


class _Endless(ApiModel):
    value: str


class _Either(ApiModel):
    value: bool | int


class _Unheard(ApiModel):
    value: Annotated[int, Field(multiple_of=3)]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (_Float, "_Float.value: floats do not survive"),
        (_Unbounded, "_Unbounded.value: needs maxItems"),
        (_Endless, "_Endless.value: needs maxLength"),
        (_Either, "_Either.value: a value needs exactly one type"),
        (_Unheard, "_Unheard.value: no structural form for multipleOf"),
    ],
)
def test_a_model_without_a_structural_form_is_refused_rather_than_half_written(
    model: type[ApiModel], says: str
) -> None:
    with pytest.raises(SchemaError, match=says):
        structural_schema(model)


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.resource.kind)
def test_a_page_names_every_field_with_what_the_models_say(model: type[ApiObject]) -> None:
    page = (DOCS / page_name(model)).read_text(encoding="utf-8")
    assert with_tables(page, model) == page
    for part in ("spec", "status"):
        for name in schema_of(model)["properties"][part]["properties"]:
            assert f"`{part}.{name}`" in page


def test_a_stale_page_is_told_and_a_page_without_its_markers_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in KINDS:
        (tmp_path / page_name(model)).write_text(f"# Mine\n\n{BEGIN}\n{END}\nAfter.\n", encoding="utf-8")
    assert document(["--check", str(tmp_path)]) == 1
    assert document([str(tmp_path)]) == 0
    assert document(["--check", str(tmp_path)]) == 0
    text = (tmp_path / "oomnode.md").read_text(encoding="utf-8")
    assert text.startswith("# Mine\n")
    assert text.endswith("\nAfter.\n")
    (tmp_path / "oomnode.md").write_text("# Mine\n", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        document([str(tmp_path)])
    assert caught.value.code == 2
    assert "oomnode.md: no <!-- fields -->" in capsys.readouterr().err
