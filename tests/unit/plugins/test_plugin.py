"""The plugin as one file: it runs without this environment, and once per user unpacks itself."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from oomkeeper import __version__
from oomkeeper.cli.kubectl_oom import VERBS
from plugins.__main__ import build
from plugins.packages import CHECKOUT, names

ON_DEMAND = [
    "oomkeeper.api.policyfile",
    "oomkeeper.controller.decode",
    "oomkeeper.controller.policy_plan",
    "oomkeeper.reporting.cluster_report_html",
    "oomkeeper.reporting.explanation_html",
]
"""What verbs import when they need it."""
URL = "https://example.org/o/oomkeeper/releases/download/v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("dist")
    build(made, installed=True, url=URL)
    return made


def run(
    program: Path, *words: str, cache: Path, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """One run with neither the packages nor the settings of this environment."""
    env = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache), "HOME": str(home or cache)}
    return subprocess.run(
        [sys.executable, "-I", "-S", str(program), *words],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=120,
    )


def test_every_verb_is_in_the_file_with_what_it_needs(folder: Path, tmp_path: Path) -> None:
    plugin = folder / "kubectl-oom"
    assert plugin.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert plugin.stat().st_mode & stat.S_IXUSR
    done = run(plugin, "--version", cache=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"oomkeeper {__version__}\n", "")
    (unpacked,) = (tmp_path / "oomkeeper-plugin").iterdir()
    (native,) = (unpacked / "native").iterdir()
    modules = [f"oomkeeper.cli.{verb.module}" for verb in VERBS.values()] + ON_DEMAND
    program = (
        f"import sys; sys.path[:0] = [{str(unpacked / 'pure')!r}, {str(native)!r}]\n"
        f"import importlib; [importlib.import_module(name) for name in {modules!r}]"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_second_run_uses_the_unpacked_files(folder: Path, tmp_path: Path) -> None:
    plugin = folder / "kubectl-oom"
    run(plugin, "--version", cache=tmp_path)
    (unpacked,) = (tmp_path / "oomkeeper-plugin").iterdir()
    before = (unpacked / "pure").stat().st_mtime_ns
    assert run(plugin, "--version", cache=tmp_path).returncode == 0
    assert (unpacked / "pure").stat().st_mtime_ns == before
    assert stat.S_IMODE((tmp_path / "oomkeeper-plugin").stat().st_mode) == 0o700


def test_cache_that_others_may_write_is_not_used(folder: Path, tmp_path: Path) -> None:
    shared = tmp_path / "oomkeeper-plugin"
    shared.mkdir()
    shared.chmod(0o777)
    assert run(folder / "kubectl-oom", "--version", cache=tmp_path).returncode == 0
    assert [*shared.iterdir()] == []


def test_link_completes(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "kubectl_complete-oom"
    link.symlink_to(folder / "kubectl-oom")
    done = run(link, "inc", cache=tmp_path)
    assert done.stdout.splitlines() == [f"incidents\t{VERBS['incidents'].what}", ":4"]


def test_same_input_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    build(tmp_path, installed=True, url=URL)
    for name in ("kubectl-oom", f"kubectl-oom-{__version__}.tar.gz"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_manifest_names_the_archive_and_its_hash(folder: Path) -> None:
    archive = folder / f"kubectl-oom-{__version__}.tar.gz"
    document = yaml.safe_load((folder / "plugins" / "oom.yaml").read_text())
    assert document["metadata"]["name"] == "oom"
    assert document["spec"]["homepage"] == "https://example.org/o/oomkeeper"
    (platform,) = document["spec"]["platforms"]
    assert platform["uri"] == f"{URL}/{archive.name}"
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as held:
        assert held.getnames() == ["kubectl-oom", "LICENSE"]
        assert held.getmember("kubectl-oom").mode == 0o755


@pytest.mark.parametrize("name", names())
def test_packages_are_pinned_with_hashes(name: str) -> None:
    assert f"\n{name}==" in "\n" + (CHECKOUT / "requirements.lock").read_text()
