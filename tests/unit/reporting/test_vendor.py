"""Code of others in the page: unchanged, with its licence, and part of the package."""

import re
from hashlib import sha256
from importlib.resources import files

VENDOR = files("oomkeeper.reporting").joinpath("vendor")


def test_vendored_files_have_the_hashes_of_the_table() -> None:
    table = VENDOR.joinpath("README.md").read_text()
    rows = re.findall(r"`(uplot/[\w.]+)` \| `([0-9a-f]{64})`", table)
    assert len(rows) == 2
    for name, expected in rows:
        assert sha256(VENDOR.joinpath(*name.split("/")).read_bytes()).hexdigest() == expected


def test_vendored_code_has_its_licence() -> None:
    assert "MIT License" in VENDOR.joinpath("uplot", "LICENSE").read_text()
