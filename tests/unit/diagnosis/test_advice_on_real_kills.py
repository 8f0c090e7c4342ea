"""Advice with numbers, from reports that real kernels printed.

`6.18-v1-*`: this project's own kills in cgroups of known limits, raw /dev/kmsg. `6.1-v2-*`: a virtual machine
of two NUMA nodes of 256 MiB with Debian's cloud kernel, its console.
"""

import io
import re
from pathlib import Path

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import REMEDY_OF, Cause, Remedy
from oomkeeper.model.diagnosis import Diagnosis
from tests.kernel_lab.logs import load
from tests.unit.test_corpus import CORPUS

DATA = Path(__file__).parent / "data"
REPORTS = Path(__file__).parents[1] / "report" / "data"
CLASSIC = {Remedy.FIND_LEAK, Remedy.FIT_LIMIT, Remedy.GROW_NODE}


def verdicts(path: Path) -> list[Diagnosis]:
    with path.open("rb") as stream:
        return [diagnose(kill) for kill in parse_records(read_records(stream))]


def advice(path: Path, *, at: int = 0) -> dict[Remedy, str]:
    return {item.remedy: item.message for item in verdicts(path)[at].advice}


def corpus(number: str) -> Path:
    found = sorted(CORPUS.glob(f"{number}-*.log"))
    if not found:
        pytest.skip(f"no corpus at {CORPUS} (set OOMKEEPER_CORPUS)")
    return found[0]


# Fit the limit


def test_new_limit_is_usage_plus_20_percent_with_its_command() -> None:
    message = advice(DATA / "6.18-v1-go.kmsg")[Remedy.FIT_LIMIT]
    assert "from 96 MiB to about 120 MiB: usage at the limit (96 MiB) plus 20 %, rounded up." in message
    assert message.endswith("`echo 120M > /sys/fs/cgroup/memory/oomkeeper-try/memory.limit_in_bytes`")


def test_container_limit_advice_has_no_cgroup_command() -> None:
    for name in ("6.18-v1-container.log", "6.18-v1-pod.log"):
        assert "echo" not in advice(REPORTS / name)[Remedy.FIT_LIMIT]


def test_cgroup_named_like_a_shell_command_gets_no_command() -> None:
    text = (DATA / "6.18-v1-go.kmsg").read_bytes().replace(b"/oomkeeper-try", b"/$(reboot)")
    (kill,) = parse_records(read_records(io.BytesIO(text)))
    (message,) = [one.message for one in diagnose(kill).advice if one.remedy is Remedy.FIT_LIMIT]
    assert "To change it now" not in message


def test_swapped_out_memory_counts_towards_the_new_limit() -> None:
    message = advice(corpus("023"))[Remedy.FIT_LIMIT]
    assert "usage at the limit (512 MiB) and swapped-out memory (2020 MiB) plus 20 %" in message
    assert "to about 3072 MiB" in message


# Runtimes


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("java", "The JVM used 159 MiB of 160 MiB (without file pages). Keep its heap at or below 120 MiB"),
        ("node", "`--max-old-space-size=120` (MiB, in NODE_OPTIONS)"),
        (
            "go",
            (
                "telegraf, a Go program, used 95.6 MiB of 96 MiB (without file pages). Set "
                "`GOMEMLIMIT=86MiB`, 90 % of the limit"
            ),
        ),
    ],
)
def test_runtime_advice_has_the_value_to_set(log: str, said: str) -> None:
    assert said in advice(DATA / f"6.18-v1-{log}.kmsg")[Remedy.LOWER_HEAP]


def test_python_advice_counts_the_workers_that_fit() -> None:
    message = advice(DATA / "6.18-v1-python-workers.kmsg")[Remedy.LOWER_HEAP]
    # The fourth had just been forked, and their parent holds little.
    assert message.startswith("3 processes named python3 used 64 MiB of 64 MiB. At up to 21.3 MiB each")
    assert "room for 2 workers" in message


def test_unknown_program_gets_no_heap_advice() -> None:
    assert Remedy.LOWER_HEAP not in advice(REPORTS / "6.18-v1-own.log")


# What filled the memory


def test_memory_volume_advice_leaves_room_for_other_usage() -> None:
    (verdict,) = verdicts(REPORTS / "6.18-v1-tmpfs.log")
    (message,) = [one.message for one in verdict.advice if one.remedy is Remedy.MOVE_TMPFS]
    found = re.search(r"sizeLimit of at most ([\d.]+) MiB", message)
    assert found is not None
    assert verdict.limit_bytes is not None
    assert 0 < float(found[1]) * 2**20 < verdict.limit_bytes * 0.9


@pytest.mark.parametrize(
    ("number", "said"),
    [("016", "set memory.high to about 25.6 MiB"), ("019", "lower vm.dirty_bytes below 512 MiB")],
)
def test_slow_storage_advice_depends_on_the_cgroup_version(number: str, said: str) -> None:
    with_cache = [one for one in verdicts(corpus(number)) if one.contributors]
    messages = [item.message for item in with_cache[0].advice if item.remedy is Remedy.SLOW_STORAGE]
    assert messages
    assert said in messages[0]


# The node, its NUMA nodes, zones and free blocks


def test_node_advice_has_the_shortfall_with_and_without_swap() -> None:
    plain = advice(DATA / "6.1-v2-global.log")[Remedy.GROW_NODE]
    assert plain.startswith(
        "Free memory was 108 KiB below the zones' min watermarks; the largest process, test2"
    )
    swapped = advice(corpus("001"))[Remedy.GROW_NODE]
    assert (
        "lacked at least 24 GiB: 48.6 MiB below the zones' min watermarks and 24 GiB swapped out" in swapped
    )


@pytest.mark.parametrize("log", ["numa-policy", "numa-cpuset"])
def test_numa_advice_names_the_full_node_and_free_memory_elsewhere(log: str) -> None:
    message = advice(DATA / f"6.1-v2-{log}.log")[Remedy.SPREAD_NUMA]
    assert "Node 1 had 1.2 MiB free of 220 MiB (min watermark 1.2 MiB)." in message
    assert re.search(r"22[58] MiB was free elsewhere", message)


def test_full_zone_beside_free_movable_memory_is_not_blamed_on_highmem() -> None:
    (verdict,) = verdicts(DATA / "6.1-v2-zone.log")
    assert verdict.cause is Cause.ZONE_MEMORY
    (message,) = [one.message for one in verdict.advice if one.remedy is Remedy.GROW_NODE]
    assert "284 MiB was free outside them" in message
    assert "movablecore=" in message
    assert "highmem" not in message


def test_fragmentation_advice_has_the_largest_block_and_min_free_kbytes() -> None:
    message = advice(DATA / "6.1-v2-fragmentation.log")[Remedy.COMPACT_MEMORY]
    assert (
        "requested 16 KiB in one block (order 2), and the largest free block it could use was 8 KiB"
        in message
    )
    # 88 + 1400 + 1252 KiB: each zone's minimum without its boost.
    assert "vm.min_free_kbytes from about 2740 to 5480" in message


# All of it


def test_every_remedy_maps_to_a_classic_remedy_or_none() -> None:
    assert set(REMEDY_OF) == set(Remedy)
    assert {one for one in REMEDY_OF.values() if one is not None} == CLASSIC
    assert all(REMEDY_OF[one] is one for one in CLASSIC)


@pytest.mark.parametrize("log", sorted(path.name for path in DATA.iterdir()))
def test_advice_is_printable_and_each_remedy_occurs_once(log: str) -> None:
    for verdict in verdicts(DATA / log):
        remedies = [item.remedy for item in verdict.advice]
        assert remedies
        assert len(set(remedies)) == len(remedies)
        assert all(item.message.isprintable() and len(item.message) < 1024 for item in verdict.advice)


# By the kernel lab's recordings, which are made anew from time to time: figures are looked for, not given


def lab(case: str, *, kernel: str = "6.1-v2") -> dict[Remedy, str]:
    [recording] = [one for one in load(kernel) if one.name == case]
    kill = next(iter(parse_records(read_records(io.BytesIO(recording.log)))))
    return {item.remedy: item.message for item in diagnose(kill).advice}


def test_slab_cache_is_named_if_slab_is_most_of_kernel_memory() -> None:
    message = lab("slab-node")[Remedy.FREE_KERNEL_MEMORY]
    assert re.match(
        r"\d+ MiB \(\d+ %\) is kernel memory, most of it \(\d+ MiB\) in slab cache kmalloc-", message
    )


def test_page_tables_are_not_blamed_on_a_slab_cache() -> None:
    message = lab("tables-node")[Remedy.FREE_KERNEL_MEMORY]
    found = re.match(r"(\d+) MiB \(\d+ %\) is kernel memory, (\d+) MiB of it page tables", message)
    assert found is not None
    assert int(found[2]) * 2 > int(found[1]) >= int(found[2])
    assert "slab" not in message


def test_unaccounted_memory_is_reported() -> None:
    message = lab("pipes-node")[Remedy.FREE_KERNEL_MEMORY]
    assert re.match(r"\d+ MiB \(\d+ %\) is not accounted for by any counter", message)


@pytest.mark.parametrize("kernel", ["5.10-v2", "6.1-v2"])
def test_numa_nodes_of_a_panic_are_taken_from_the_zones(kernel: str) -> None:
    message = lab("panic2-mbind", kernel=kernel)[Remedy.SPREAD_NUMA]
    assert re.search(r"Node 1 had [\d.]+ MiB free of \d+ MiB \(min watermark [\d.]+ MiB\)", message)
    assert "( of" not in message
    assert "numactl" in message
    assert "cpuset.mems" in message


def test_sysrq_is_recognised_on_kernels_that_print_order_0() -> None:
    [recording] = [one for one in load("5.10-v1") if one.name == "sysrq"]
    log = recording.log.replace(b"order=-1", b"order=0")
    verdicts = [diagnose(kill) for kill in parse_records(read_records(io.BytesIO(log)))]
    assert [verdict.cause for verdict in verdicts] == [Cause.MANUAL_TRIGGER]
