"""What goes into the packages for a single host: manual pages, dependencies, unit, policy."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib import metadata

import click
import pytest

from oomkeeper.api.policyfile import load_policy
from oomkeeper.cli.main import group
from oomkeeper.model.policy import Mode
from tests.testbed.hostpackages.manpage import pages
from tests.testbed.hostpackages.stage import HOST_PACKAGES, PACKAGING, PYTHONS, ROOT, host_requirements

UNIT = PACKAGING / "systemd" / "oomkeeper.service"


def test_every_option_of_a_verb_is_in_its_page() -> None:
    found = pages()
    top = group()
    context = click.Context(top, info_name="oomkeeper")
    for name, page in found.items():
        verb = name.removesuffix(".8").partition("-")[2]
        if not verb:
            continue
        command = top.get_command(context, verb)
        assert command is not None
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert option.replace("-", "\\-") in page, (name, option)
    assert all(f"oomkeeper\\-{name[10:-2]}" in found["oomkeeper.8"] for name in found if "-" in name)


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff")
@pytest.mark.parametrize("name", sorted(pages()))
def test_page_is_formatted_without_a_warning(name: str) -> None:
    command = ["groff", "-man", "-Tascii", "-ww", "-z"]
    done = subprocess.run(command, input=pages()[name], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def _name(requirement: str) -> str:
    return re.split(r"[ ;<>=!\[(]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def test_packages_have_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [*project["dependencies"], *project["optional-dependencies"]["agent"]]
    seen: set[str] = set()
    while waiting:
        name = _name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another version of Python
        waiting += [one for one in requires if "extra ==" not in one and "platform_system" not in one]
    assert seen == set(HOST_PACKAGES)


@pytest.mark.parametrize("python", PYTHONS)
def test_dependencies_are_pinned_with_hashes_and_without_markers(python: str) -> None:
    blocks = re.split(r"\n(?=[a-z])", host_requirements(python).strip())
    assert len(blocks) == len(HOST_PACKAGES) - (python == "3.14")
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==[\w.]+ +\\\n", block), block[:80]
        assert "--hash=sha256:" in block


def test_policy_as_installed_changes_nothing() -> None:
    policy = load_policy(PACKAGING / "etc" / "policy.yaml")
    assert policy.spec.mode == Mode.AUDIT
    assert not policy.spec.oom_score_adjustments


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_unit_stays_hardened() -> None:
    """docs/host-packages.md states the level."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-400:] + done.stderr
