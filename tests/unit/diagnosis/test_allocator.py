"""The page allocator's causes: node, zone, NUMA, fragmentation."""

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.diagnosis.gfp import parse_request
from oomkeeper.diagnosis.nodes import nodes_with_memory, parse_nodes
from oomkeeper.model.cause import Cause, Confidence, ContributorName, Remedy, Scope
from oomkeeper.model.kill import Kill
from oomkeeper.model.memory import BuddyBlock, HugePages, MemoryFacts, SlabCache

from .material import KIB, MIB, VICTIM, global_kill, node, zone

MEM_INFO = ("active_anon", "inactive_anon", "active_file", "inactive_file", "free")
KERNEL = "0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)"
SMALL_BLOCKS = (
    BuddyBlock(free=900, size_bytes=4 * KIB, types="UME"),
    BuddyBlock(free=900, size_bytes=8 * KIB, types="UE"),
    BuddyBlock(free=8, size_bytes=32 * KIB, types="CH"),
    BuddyBlock(free=9, size_bytes=64 * KIB, types="H"),
)


def cause(kill: Kill) -> tuple[Cause, Confidence]:
    verdict = diagnose(kill)
    return verdict.cause, verdict.confidence


def test_every_zone_below_its_minimum_is_node_memory() -> None:
    verdict = diagnose(global_kill(zone("DMA32", 20_000, 30_000), zone("Normal", 40_000, 50_000)))
    assert (verdict.cause, verdict.confidence, verdict.level) == (Cause.NODE_MEMORY, Confidence.HIGH, None)
    assert verdict.limit_bytes is None
    grow = next(advice for advice in verdict.advice if advice.remedy is Remedy.GROW_NODE)
    assert "19.5 MiB" in grow.message


def test_lowmem_reserve_counts_as_used() -> None:
    reserve = (0, 0, 9000, 9000)
    kill = global_kill(zone("DMA32", 60_000, 30_000, reserve_pages=reserve), zone("Normal", 40_000, 50_000))
    assert cause(kill) == (Cause.NODE_MEMORY, Confidence.HIGH)


def test_highatomic_reserve_is_not_usable() -> None:
    assert cause(global_kill(zone("Normal", 40_000, 38_000, reserved_highatomic=4096)))[1] is Confidence.HIGH


def test_zone_between_min_and_low_lowers_the_confidence() -> None:
    assert cause(global_kill(zone("Normal", 52_000, 50_000))) == (Cause.NODE_MEMORY, Confidence.MEDIUM)


def test_free_memory_above_the_marks_gives_low_confidence() -> None:
    verdict = diagnose(global_kill(zone("Normal", 500_000, 50_000)))
    assert (verdict.cause, verdict.confidence) == (Cause.NODE_MEMORY, Confidence.LOW)
    assert verdict.uncertain


def test_full_low_zone_beside_a_free_high_zone_is_zone_memory() -> None:
    zones = (zone("Normal", 4_300, 7_732), zone("HighMem", 1_048_740, 512))
    verdict = diagnose(global_kill(*zones, gfp="0x101cc0(GFP_USER|__GFP_WRITE)"))
    assert (verdict.cause, verdict.confidence) == (Cause.ZONE_MEMORY, Confidence.HIGH)
    assert "HighMem" in verdict.summary
    assert cause(global_kill(*zones))[0] is Cause.NODE_MEMORY  # a request that may use HighMem


def test_unmovable_request_cannot_use_cma() -> None:
    zones = (zone("Normal", 613_120, 91_584, free_cma=523_776),)
    assert cause(global_kill(*zones, gfp=KERNEL))[0] is Cause.ZONE_MEMORY
    assert "CMA" in diagnose(global_kill(*zones, gfp=KERNEL)).summary
    assert cause(global_kill(*zones))[0] is Cause.NODE_MEMORY


def test_zone_omitted_by_6_1_still_counts() -> None:
    pages = {"free": 300_000, "active_anon": 1}
    zones = (zone("DMA32", 20_000, 30_000),)
    assert (
        cause(global_kill(*zones, gfp="0xcc4(GFP_KERNEL|GFP_DMA32)", mem_info_pages=pages))[0]
        is Cause.ZONE_MEMORY
    )


def test_missing_header_does_not_hide_a_restricted_request() -> None:
    verdict = diagnose(global_kill(zone("Normal", 4_300, 7_732), zone("HighMem", 1_048_740, 512), gfp=None))
    assert (verdict.cause, verdict.confidence) == (Cause.ZONE_MEMORY, Confidence.MEDIUM)
    assert verdict.uncertain


def test_free_memory_without_a_large_block_is_fragmentation() -> None:
    verdict = diagnose(global_kill(zone("Normal", 106_384, 40_864, buddy=SMALL_BLOCKS), gfp=KERNEL, order=3))
    assert (verdict.cause, verdict.confidence) == (Cause.FRAGMENTATION, Confidence.HIGH)
    assert "32 KiB (order 3)" in verdict.summary
    assert [advice.remedy for advice in verdict.advice] == [Remedy.COMPACT_MEMORY]


def test_zone_just_above_its_mark_has_no_room_for_a_block() -> None:
    whole = (BuddyBlock(free=1, size_bytes=64 * KIB, types="U"),)
    dma = zone("DMA", 1_216, 32, reserve_pages=(0, 290, 290, 290), buddy=whole)
    full = zone("DMA32", 106_384, 40_864, buddy=SMALL_BLOCKS)
    assert cause(global_kill(dma, full, gfp=KERNEL, order=3)) == (Cause.FRAGMENTATION, Confidence.HIGH)
    again = zone("DMA", 1_224, 32, reserve_pages=(0, 290, 290, 290), buddy=whole)
    assert cause(global_kill(again, full, gfp=KERNEL, order=3)) == (Cause.FRAGMENTATION, Confidence.MEDIUM)


@pytest.mark.parametrize(
    ("types", "gfp", "expected"),
    [
        ("U", KERNEL, Cause.NODE_MEMORY),
        ("M", KERNEL, Cause.NODE_MEMORY),
        ("C", KERNEL, Cause.FRAGMENTATION),
        ("C", "0x140dca(GFP_HIGHUSER_MOVABLE)", Cause.NODE_MEMORY),
        ("H", "0x140dca(GFP_HIGHUSER_MOVABLE)", Cause.FRAGMENTATION),
        ("I", KERNEL, Cause.FRAGMENTATION),
        ("", KERNEL, Cause.NODE_MEMORY),
    ],
)
def test_usable_block_types(types: str, gfp: str, expected: Cause) -> None:
    blocks = (BuddyBlock(free=1, size_bytes=64 * KIB, types=types),)
    assert cause(global_kill(zone("Normal", 106_384, 40_864, buddy=blocks), gfp=gfp, order=3))[0] is expected


def test_fragmentation_needs_the_free_lists() -> None:
    assert cause(global_kill(zone("Normal", 106_384, 40_864), gfp=KERNEL, order=3))[0] is Cause.NODE_MEMORY


def test_shortage_at_a_higher_order_is_not_fragmentation() -> None:
    kill = global_kill(zone("Normal", 30_000, 40_864, buddy=SMALL_BLOCKS), gfp=KERNEL, order=3)
    assert cause(kill)[0] is Cause.NODE_MEMORY


def test_printed_numa_constraint_decides() -> None:
    full = zone("Normal", 10_000, 20_000, node=1)
    policy = global_kill(full, constraint="CONSTRAINT_MEMORY_POLICY", nodemask="1", mems_allowed="0-1")
    cpuset = global_kill(full, constraint="CONSTRAINT_CPUSET", mems_allowed="1")
    assert cause(policy) == (Cause.NUMA_MEMORY_POLICY, Confidence.HIGH)
    assert cause(cpuset) == (Cause.NUMA_CPUSET, Confidence.HIGH)
    assert "NUMA node 1" in diagnose(policy).summary
    assert diagnose(policy).advice[-1].remedy is Remedy.SPREAD_NUMA


def test_excerpt_with_some_zones_lowers_the_confidence() -> None:
    verdict = diagnose(global_kill(zone("DMA32", 22_324, 44_676), mem_info_pages={}))
    assert (verdict.cause, verdict.confidence) == (Cause.NODE_MEMORY, Confidence.MEDIUM)
    assert "every zone in the log" in verdict.summary


def test_free_memory_outside_the_allowed_nodes_is_reported() -> None:
    kill = global_kill(
        zone("DMA32", 34_068, 32_016, node=1),
        constraint="CONSTRAINT_MEMORY_POLICY",
        nodemask="1",
        mems_allowed="0-1",
        mem_info_pages={"free": 226_231},
    )
    assert "850 MiB was free elsewhere" in diagnose(kill).summary


def test_allowed_nodes_decide_on_kernels_without_a_constraint() -> None:
    kill = global_kill(zone("Normal", 10_000, 20_000), constraint=None, nodemask=None, mems_allowed="0")
    assert cause(kill)[0] is Cause.NODE_MEMORY
    assert diagnose(kill, node=node((0, 1))).cause is Cause.NUMA_CPUSET
    bound = global_kill(zone("Normal", 10_000, 20_000), constraint=None, nodemask="0", mems_allowed="0-1")
    assert diagnose(bound, node=node((0, 1))).cause is Cause.NUMA_MEMORY_POLICY


def test_node_with_huge_pages_of_two_sizes_counts_once() -> None:
    kill = global_kill(zone("Normal", 10_000, 20_000), constraint=None, nodemask=None)
    huge = tuple(HugePages(node=0, total=0, free=0, size_bytes=size) for size in (2 * MIB, 1024 * MIB))
    facts = MemoryFacts(zones=kill.memory.zones, huge_pages=huge)
    both = Kill(
        scope=kill.scope,
        invoker=kill.invoker,
        mems_allowed="0",
        memory=facts,
        victims=(VICTIM,),
        kill_lines=1,
    )
    assert diagnose(both).cause is Cause.NODE_MEMORY


def test_kill_line_alone_is_node_memory_with_low_confidence() -> None:
    verdict = diagnose(Kill(scope=global_kill().scope, victims=(VICTIM,), kill_lines=1))
    assert (verdict.cause, verdict.confidence) == (Cause.NODE_MEMORY, Confidence.LOW)
    assert verdict.uncertain


def test_empty_report_is_unknown() -> None:
    verdict = diagnose(Kill(scope=global_kill().scope, complete=False))
    assert verdict.cause is Cause.UNKNOWN
    assert len(verdict.uncertain) == 2


def test_slab_cache_that_filled_the_node_is_named() -> None:
    slab = SlabCache(name="kmemleak_object", used_bytes=800 * MIB, total_bytes=900 * MIB)
    facts = MemoryFacts(
        zones=(zone("Normal", 10_000, 20_000),),
        mem_info_pages={"active_anon": 1000, "slab_unreclaimable": 400_000, "free": 2500},
        ram_pages=500_000,
        reserved_pages=0,
        slabs=(slab,),
        slab_dumped=True,
    )
    kill = global_kill()
    verdict = diagnose(
        Kill(scope=kill.scope, invoker=kill.invoker, constraint="CONSTRAINT_NONE", memory=facts)
    )
    assert verdict.contributors[0].name is ContributorName.KERNEL_SLAB
    assert verdict.contributors[0].detail == "kmemleak_object"
    assert "1562 MiB (80 %) of it kernel memory (900 MiB in slab cache kmemleak_object)" in verdict.summary
    [advice] = [one.message for one in verdict.advice if one.remedy is Remedy.FREE_KERNEL_MEMORY]
    assert "most of it (900 MiB) in slab cache kmemleak_object" in advice


def test_largest_cache_is_not_reported_as_all_kernel_memory() -> None:
    facts = MemoryFacts(
        mem_info_pages={"active_anon": 1000, "slab_reclaimable": 200_000, "slab_unreclaimable": 200_000},
        ram_pages=500_000,
        slabs=(SlabCache(name="dentry", used_bytes=300 * MIB, total_bytes=300 * MIB),),
        slab_dumped=True,
    )
    verdict = diagnose(Kill(scope=global_kill().scope, constraint="CONSTRAINT_NONE", memory=facts))
    [advice] = [one.message for one in verdict.advice if one.remedy is Remedy.FREE_KERNEL_MEMORY]
    assert "300 MiB of it in dentry, the largest slab cache that cannot be reclaimed" in advice


def _two_nodes(*huge_nodes: int) -> MemoryFacts:
    """Node 1 of two with 2 GiB each, as the report of a request that was bound to it shows them."""
    return MemoryFacts(
        zones=(zone("Normal", 10_000, 20_000, node=1, present=2 << 20),),
        mem_info_pages={**dict.fromkeys(MEM_INFO, 0), "active_anon": 100_000, "free": 5000},
        ram_pages=1 << 20,
        reserved_pages=0,
        huge_pages=tuple(HugePages(node=one, total=700, free=0, size_bytes=2 * MIB) for one in huge_nodes),
    )


def test_filtered_huge_page_lines_do_not_list_all_nodes() -> None:
    assert nodes_with_memory(_two_nodes(0, 1), None) == {0, 1}
    assert nodes_with_memory(_two_nodes(1), None) is None


@pytest.mark.parametrize(("shown", "unaccounted"), [((0, 1), True), ((1,), False)])
def test_huge_pages_of_a_hidden_node_are_not_unaccounted(shown: tuple[int, ...], unaccounted: bool) -> None:
    kill = Kill(
        scope=global_kill().scope,
        constraint="CONSTRAINT_CPUSET",
        mems_allowed="1",
        memory=_two_nodes(*shown),
        victims=(VICTIM,),
        kill_lines=1,
    )
    names = {part.name for part in diagnose(kill).contributors}
    assert (ContributorName.UNACCOUNTED in names) is unaccounted


def test_sysrq_is_recognised_by_its_call_trace() -> None:
    asked = global_kill(zone("Normal", 900_000, 20_000))._replace(sysrq=True)
    assert cause(asked) == (Cause.MANUAL_TRIGGER, Confidence.HIGH)


def test_unaccounted_memory_is_a_contributor() -> None:
    facts = MemoryFacts(
        mem_info_pages={**dict.fromkeys(MEM_INFO, 0), "active_anon": 100_000, "free": 1000},
        ram_pages=500_000,
        reserved_pages=100_000,
    )
    parts = {part.name: part for part in diagnose(Kill(scope=global_kill().scope, memory=facts)).contributors}
    assert parts[ContributorName.UNACCOUNTED].bytes == 299_000 * 4096
    assert parts[ContributorName.UNACCOUNTED].share == pytest.approx(0.7475)


@pytest.mark.parametrize("missing", MEM_INFO)
def test_memory_is_not_unaccounted_if_a_counter_is_missing(missing: str) -> None:
    pages = {name: 10 for name in MEM_INFO if name != missing}
    facts = MemoryFacts(mem_info_pages=pages, ram_pages=500_000)
    parts = {part.name for part in diagnose(Kill(scope=global_kill().scope, memory=facts)).contributors}
    assert ContributorName.UNACCOUNTED not in parts


@pytest.mark.parametrize(("nodemask", "found"), [("1", True), ("2-3", True), ("0", False), ("0-1", False)])
def test_nodemask_without_node_0_restricts_the_allocation(nodemask: str, found: bool) -> None:
    kill = Kill(scope=Scope.GLOBAL, nodemask=nodemask, victims=(VICTIM,), kill_lines=1)
    assert (diagnose(kill).cause is Cause.NUMA_MEMORY_POLICY) is found


@pytest.mark.parametrize(
    ("gfp", "highest", "movable"),
    [
        ("0xcc0(GFP_KERNEL)", "Normal", False),
        ("0xd0", "Normal", False),
        ("0x201da", "Movable", True),
        ("0x500cc2(GFP_HIGHUSER|__GFP_ACCOUNT)", "HighMem", False),
        ("0xcc4(GFP_KERNEL|GFP_DMA32)", "DMA32", False),
        ("0xcc1(GFP_KERNEL|GFP_DMA)", "DMA", False),
        ("0x0()", "Normal", False),
    ],
)
def test_zones_of_a_request(gfp: str, highest: str, movable: bool) -> None:
    request = parse_request(gfp)
    assert request is not None
    assert (request.highest_zone, request.movable) == (highest, movable)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("0", {0}),
        ("0-1,4", {0, 1, 4}),
        ("(null)", None),
        ("", None),
        (None, None),
        ("3-1", None),
        ("0-99999", None),
        ("x", None),
    ],
)
def test_node_lists(text: str | None, nodes: set[int] | None) -> None:
    assert parse_nodes(text) == (None if nodes is None else frozenset(nodes))
