"""`oomkeeper node` on a host that has been through an OOM panic: told once, whatever ends it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.kernel.harness import Node, oomkeeper
from tests.unit.kernel.panic_samples import panic_lines, parts, write_erst
from tests.waiting import eventually


def test_panic_is_printed_and_stored_once_despite_sigkill(node: Node, tmp_path: Path) -> None:
    # Copies lie in the archive; with a day of their own the record is none too old.
    write_erst(tmp_path / "pstore", parts(panic_lines(), cuts=(9,)), written=time.time() - 60)
    where = ("--pstore", tmp_path / "pstore", "--pstore-archive", tmp_path / "none")
    node.start(*where)
    eventually(lambda: [kill for kill in node.printed if kill["outcome"] == "Panicked"])
    node.kill()
    node.start(*where)
    assert node.stop() == 0
    assert [kill["outcome"] for kill in node.printed].count("Panicked") == 1
    stored = json.loads(oomkeeper("kills", "--state-dir", node.state, "--output", "json").stdout)["kills"]
    [panic] = [kill for kill in stored if kill["outcome"] == "Panicked"]
    assert panic["id"].startswith("pstore-")
    assert panic["cause"] == "PodLimit"
    assert panic["beforeInstall"] is True
