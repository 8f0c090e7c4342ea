"""The pages as a site: built strictly, complete, and without requests to other hosts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docs.pages import CHECKOUT

LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"(?:https?:)?//[^\"]+\"[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OOMKEEPER_REPOSITORY": ""}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    docs = CHECKOUT / "docs"
    pages = {page.relative_to(docs).with_suffix("") for page in docs.rglob("*.md")}
    built = {page.relative_to(site).with_suffix("") for page in site.rglob("*.html")}
    renamed = {page.with_name("index") if page.name == "README" else page for page in pages}
    assert renamed <= built


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    found = {
        str(page.relative_to(site)): tags
        for page in site.rglob("*.html")
        if (tags := [tag for tag in LOADED.findall(page.read_text()) if 'rel="canonical"' not in tag])
    }
    assert found == {}


def test_links_to_files_of_the_repository_keep_their_path(site: Path) -> None:
    text = (site / "panic-on-oom.html").read_text()
    assert "examples/audit-panic.yaml" in text
    assert 'href="../examples' not in text
