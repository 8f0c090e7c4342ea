"""The image of oomkeeper: what it is made of, and when it is made again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.testbed.operatorimage import making, operator_image

CHECKOUT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)[^\\]*\\\n((?:\s+--hash=\S+(?: \\)?\n)+)", re.MULTILINE)


def pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Package -> its version and the hashes of its files."""
    found = PIN.findall((CHECKOUT / name).read_text())
    return {package: (version, frozenset(hashes.split())) for package, version, hashes in found}


def test_image_has_the_same_package_versions_as_the_tests() -> None:
    image, tested = pins("requirements-image.lock"), pins("requirements.lock")
    assert "kopf" in image
    assert image.items() <= tested.items()


def test_image_has_no_kubernetes_client() -> None:
    assert "kubernetes" not in pins("requirements-image.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the image is made of."""
    copy = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "operator", copy / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", ".dockerignore", "requirements-image.lock", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, copy)
    return copy


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("OOMKEEPER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.usefixtures("cache")
def test_existing_image_is_not_built_again(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError("nothing is to be built")

    monkeypatch.setattr(making, "choose_builder", refuse)
    there = making._image(checkout, base=making._local_base())
    there.archive.touch()
    assert operator_image(checkout=checkout) == there
    (checkout / "operator" / "oomkeeper" / "__pycache__").mkdir()
    (checkout / "operator" / "oomkeeper" / "__pycache__" / "x.pyc").touch()
    assert operator_image(checkout=checkout) == there


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    "changed", ["Dockerfile", "requirements-image.lock", "operator/oomkeeper/__main__.py"]
)
def test_changed_content_changes_the_name(checkout: Path, changed: str) -> None:
    before = making._image(checkout, base="x")
    with (checkout / changed).open("a") as file:
        file.write("# more\n")
    after = making._image(checkout, base="x")
    assert after.archive != before.archive
    assert after.tag != before.tag
    assert after.repository == before.repository
