"""docs/security.md and docs/reliability.md name tests that exist, and docs/oomnode.md every reason of a
refusal."""

import ast
import re

import pytest

from .pages import CHECKOUT

UNIT_FOLDERS = (
    "tests/unit/agent",
    "tests/unit/kernel",
    "tests/unit/diagnosis",
    "tests/cluster",
    "tests/kernel",
)


def page(name: str) -> str:
    return (CHECKOUT / "docs" / name).read_text()


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`((?:tests/)?[\w/]+\.py)(?:::(\w+))?`", page("security.md"))
    named = [(path, test) for path, test in named if "test_" in path]
    assert len(named) > 20
    for path, test in named:
        files = [CHECKOUT / path, *(CHECKOUT / folder / path for folder in UNIT_FOLDERS)]
        [file] = [one for one in files if one.is_file()]
        assert not test or f"def {test}(" in file.read_text(), f"{path}::{test}"


@pytest.mark.parametrize("name", ["security.md", "reliability.md"])
def test_every_path_that_a_page_names_exists(name: str) -> None:
    paths = re.findall(r"(?<![\w./])(tests/[\w/.]+?)(?=[`\s]|::)", page(name))
    assert paths
    for path in paths:
        assert (CHECKOUT / path.rstrip("/.")).exists(), path


def test_every_reason_of_a_refusal_is_explained() -> None:
    agent = CHECKOUT / "operator" / "oomkeeper" / "agent"
    reasons = {
        call.args[0].value
        for path in agent.glob("sysctl_*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Refusal"
        and isinstance(call.args[0], ast.Constant)
    }
    assert "ProtectKernelDefaults" in reasons
    section = page("oomnode.md").partition("## Why a sysctl is refused")[2].partition("\n## ")[0]
    assert reasons == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
