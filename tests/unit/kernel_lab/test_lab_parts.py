"""The parts of the lab that decide what counts as a result."""

import gzip
from pathlib import Path

from tests.kernel_lab.cases import cases
from tests.kernel_lab.logs import load, trimmed
from tests.kernel_lab.truth import Recording, Truth, read_talk
from tests.kernel_lab.verdict import differences
from tests.testbed.qemu import write_initramfs
from tests.testbed.qemu.console import crash, oom_panic

OOPS = """\
[    1.204512] BUG: unable to handle page fault for address: ffffffffffffffd8
[    1.204733] Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI
[    1.207001] Kernel panic - not syncing: Fatal exception
"""
MEMORY = """\
[    9.100000] memhog invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0
[    9.200000] Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled
"""
TALK = b"""\
LAB-UP 6.1.0 2.50\r
LAB-BEGIN own\r
LAB-FACT cause CgroupLimit\r
LAB-FACT victim 115:x,pid=1,uid=0\r
LAB-LOG\r
4,349,5834532,-;LAB-FACT cause NodeMemory\r
LAB-END own\r
LAB-BEGIN next\r
LAB-FACT order 3\r
"""


def test_oops_is_a_broken_machine_but_oom_panic_is_not() -> None:
    assert crash(OOPS) == "BUG: unable to handle page fault for address: ffffffffffffffd8"
    assert oom_panic(OOPS) is None
    assert crash(MEMORY) is None
    assert oom_panic(MEMORY) == "Out of memory: system-wide panic_on_oom is enabled"
    assert crash("[ 1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00") is not None


def test_guest_statements_are_separated_from_kernel_log() -> None:
    finished, left = read_talk(TALK)
    [own] = finished
    assert own.truth == Truth(facts={"cause": "CgroupLimit"}, victims=((115, "x,pid=1,uid=0"),))
    assert own.log == b"4,349,5834532,-;LAB-FACT cause NodeMemory\n"
    assert left is not None
    assert (left.name, left.truth.facts) == ("next", {"order": "3"})


def test_truth_survives_serialization() -> None:
    truth = Truth(facts={"kills": "2"}, victims=((1, "a:b"), (2, "c")))
    assert Truth.of_json(truth.as_json()) == truth


def test_every_wrong_statement_is_a_difference() -> None:
    recording = next(recording for recording in load("6.1-v2") if recording.name == "own")
    assert differences(recording.truth, recording.log) == []
    lies = {
        "cause": "NodeMemory",
        "level": "Ancestor",
        "outcome": "KilledGroup",
        "counter": "MemorySwap",
        "contributor": "SharedMemory",
        "oom_memcg": "/other",
        "task_memcg": "/other",
        "limit": "1",
        "kills": "2",
    }
    assert lies.keys() == recording.truth.facts.keys()
    for key, lie in lies.items():
        truth = Truth(facts={**recording.truth.facts, key: lie}, victims=recording.truth.victims)
        assert len(differences(truth, recording.log)) == 1, key
    other = Truth(facts=recording.truth.facts, victims=((1, "init"),))
    assert len(differences(other, recording.log)) == 1


def test_only_endless_repetition_is_removed_from_a_log() -> None:
    report = b"4,1,1,-;memhog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
    endless = Recording(name="x", truth=Truth(facts={}), log=report * 50)
    assert trimmed(endless).log == report * 2
    storm = Recording(name="x", truth=Truth(facts={}, victims=((1, "a"),)), log=report * 50)
    assert trimmed(storm).log == report * 50


def test_panicking_case_has_its_own_boot() -> None:
    by_name = {case.name: case for case in cases()}
    assert by_name["panic2-cgroup"].alone
    assert by_name["zone"].alone
    assert not by_name["own"].alone
    assert {case.name for case in cases(cgroups="v1")} ^ {case.name for case in cases(cgroups="v2")} == {
        "group",
        "swap",
        "swapless",
        "memsw",
        "memsw-equal",
    }
    assert all(case.says for case in cases())


def test_initramfs_is_reproducible_and_aligned(tmp_path: Path) -> None:
    files = {"init": b"#!/bin/sh\n", "lab/odd": b"x" * 13}
    first = write_initramfs(tmp_path / "a", files=files, links={"bin/sh": "busybox"}).read_bytes()
    assert first == write_initramfs(tmp_path / "b", files=files, links={"bin/sh": "busybox"}).read_bytes()
    archive = gzip.decompress(first)
    names, at = [], 0
    while True:
        size, name_size = (int(archive[at + 6 + 8 * field : at + 14 + 8 * field], 16) for field in (6, 11))
        assert archive[at : at + 6] == b"070701"
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        if name == "TRAILER!!!":
            break
        names.append(name)
        at += -(-(110 + name_size) // 4) * 4 + -(-size // 4) * 4
    assert names == ["bin", "dev", "lab", "proc", "sys", "tmp", "init", "lab/odd", "bin/sh"]
