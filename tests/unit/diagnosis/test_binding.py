"""Which counter was at its limit."""

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.model.cause import BindingCounter, Confidence, ContributorName, Remedy
from oomkeeper.model.memory import Counter, MemoryFacts

from .material import MIB, counter, memcg_kill, task


def memory(
    used: Counter | None = None,
    both: Counter | None = None,
    kmem: Counter | None = None,
    swap: Counter | None = None,
) -> MemoryFacts:
    return MemoryFacts(memory=used, memory_swap=both, kmem=kmem, swap=swap)


@pytest.mark.parametrize(
    ("facts", "counter_name", "limit_mib"),
    [
        (memory(counter(80, 80)), BindingCounter.MEMORY, 80),
        (memory(counter(79.9, 80)), BindingCounter.MEMORY, 80),
        (memory(counter(299.9, 300), counter(600, 600)), BindingCounter.MEMORY_SWAP, 600),
        (memory(counter(100, 300), counter(600, 600)), BindingCounter.MEMORY_SWAP, 600),
        (memory(counter(80, 80), counter(80, 80)), BindingCounter.MEMORY_SWAP, 80),
        (memory(counter(48, 48), counter(63.98, 64)), BindingCounter.MEMORY_SWAP, 64),
        (memory(counter(48, 48), counter(63, 64)), BindingCounter.MEMORY, 48),
        (memory(counter(80, 80), counter(400, None), counter(1, None)), BindingCounter.MEMORY, 80),
        (memory(counter(100, 300), counter(100, None), counter(50, 50)), BindingCounter.KMEM, 50),
        (memory(counter(0.13, 0.13)), BindingCounter.MEMORY, 0.13),
    ],
)
def test_counter_nearest_to_its_limit_binds(
    facts: MemoryFacts, counter_name: BindingCounter, limit_mib: float
) -> None:
    verdict = diagnose(memcg_kill("/a", "/a", memory=facts))
    assert (verdict.binding_counter, verdict.limit_bytes) == (counter_name, int(limit_mib * MIB))
    assert verdict.confidence is Confidence.HIGH


def test_counter_without_failed_charges_does_not_bind() -> None:
    never = Counter(usage_bytes=80 * MIB, limit_bytes=80 * MIB, failcnt=0)
    for facts, expected in (
        (memory(never, counter(80, 80)), BindingCounter.MEMORY_SWAP),
        (memory(counter(80, 80), never), BindingCounter.MEMORY),
    ):
        assert diagnose(memcg_kill("/a", "/a", memory=facts)).binding_counter is expected


def test_cgroup_without_a_limit_is_uncertain() -> None:
    verdict = diagnose(memcg_kill("/a", "/a", memory=memory(counter(40, None))))
    assert (verdict.binding_counter, verdict.limit_bytes, verdict.usage_bytes) == (None, None, 40 * MIB)
    assert verdict.confidence is Confidence.MEDIUM
    assert verdict.uncertain


def test_usage_far_below_the_limit_is_uncertain() -> None:
    verdict = diagnose(memcg_kill("/a", "/a", memory=memory(counter(100, 800))))
    assert verdict.limit_bytes == 800 * MIB
    assert any("below the limit" in sentence for sentence in verdict.uncertain)


def test_limit_follows_from_memory_and_swap_usage_without_the_memory_line() -> None:
    facts = memory(None, counter(64, None))
    known = diagnose(memcg_kill("/a", "/a", memory=facts, tasks=(task(42, 60),)))
    assert known.limit_bytes == 64 * MIB
    assert known.uncertain
    swapped = diagnose(memcg_kill("/a", "/a", memory=facts, tasks=(task(42, 60, swap_mib=4),)))
    assert swapped.limit_bytes is None


def test_swap_is_a_contributor_if_memory_and_swap_binds() -> None:
    facts = MemoryFacts(
        memory=counter(300, 310), memory_swap=counter(600, 600), stats_bytes={"cache": 0, "rss": 300 * MIB}
    )
    parts = {part.name: part.bytes for part in diagnose(memcg_kill("/a", "/a", memory=facts)).contributors}
    assert parts == {ContributorName.SWAP: 300 * MIB, ContributorName.ANONYMOUS: 300 * MIB}


def test_equal_memory_and_memsw_limit_is_called_the_memory_limit() -> None:
    verdict = diagnose(memcg_kill("/a", "/a", memory=memory(counter(80, 80), counter(80, 80))))
    assert "reached its memory limit of 80 MiB (memory+swap has the same limit)" in verdict.summary
    [fit] = [one.message for one in verdict.advice if one.remedy is Remedy.FIT_LIMIT]
    assert "(memory.memsw.limit_in_bytes, then memory.limit_in_bytes)" in fit

    apart = diagnose(memcg_kill("/a", "/a", memory=memory(counter(50, 80), counter(100, 100))))
    assert "reached its memory+swap limit of 100 MiB;" in apart.summary


def test_kernel_memory_limit_advice_names_its_file() -> None:
    verdict = diagnose(
        memcg_kill("/a", "/a", memory=memory(counter(100, 300), counter(200, None), counter(50, 50)))
    )
    [fit] = [one.message for one in verdict.advice if one.remedy is Remedy.FIT_LIMIT]
    assert "the kernel memory limit of /a (memory.kmem.limit_in_bytes) from 50 MiB to about 60 MiB" in fit
