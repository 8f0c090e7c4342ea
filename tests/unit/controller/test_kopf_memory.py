"""kopf keeps nothing of the objects that it has seen."""

import asyncio

from kopf import RawBody

from oomkeeper.controller.kopf_memory import NoMemories

BODY: RawBody = {"metadata": {"uid": "u-1", "name": "a"}}  # type: ignore[typeddict-item]


def test_nothing_is_kept_of_an_object() -> None:
    memories = NoMemories()
    first = asyncio.run(memories.recall(BODY, noticed_by_listing=True))
    assert first.noticed_by_listing
    assert asyncio.run(memories.recall(BODY)) is not first
    assert list(memories.iter_all_memories()) == []
    asyncio.run(memories.forget(BODY))
