"""Kills that only the trace has survive kill -9 between their reading and the settling of the account."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.kill_of_trace import kill_of_trace
from oomkeeper.agent.records import UNLOGGED_NOTE, UnloggedNote
from oomkeeper.agent.store import Store
from oomkeeper.agent.unlogged_kills import STORE_SECONDS, UnloggedKillsStore
from oomkeeper.kernel.tracefs.events import VictimMarked

from .kill_samples import recorded


def marked(time_ns: int, pid: int) -> VictimMarked:
    return VictimMarked(time_ns, 1, pid, b"\xff[31m", 0, 1, 2, 3, 4, 5, 6)


class Tracing:
    """The part of KernelTracing that is used."""

    def __init__(self) -> None:
        self.unlogged: tuple[VictimMarked, ...] = ()

    def restore_unlogged(self, kills: Iterable[VictimMarked]) -> None:
        self.unlogged += tuple(kills)


class Node:
    """`start` is the agent's start, also after kill -9."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder)
        self.now = 0.0
        self.start()

    def start(self, *, boot: str = "boot", lost: int = 0) -> None:
        self.tracing = Tracing()
        self.kept = UnloggedKillsStore(
            store=self.store,
            boot_id=boot,
            tracing=self.tracing,  # type: ignore[arg-type]
            lost=lost,
            clock=lambda: self.now,
        )

    def stored(self) -> int | None:
        note = self.store.note(UNLOGGED_NOTE, UnloggedNote)
        return len(note.kills) if note is not None else None


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.store.close()


def test_nothing_is_written_while_the_log_loses_nothing(node: Node) -> None:
    node.tracing.unlogged = (marked(1, 7),)
    node.kept.tick(lost=0)
    assert node.stored() is None


def test_kills_beside_a_gap_in_the_log_are_found_by_the_next_run(node: Node) -> None:
    node.tracing.unlogged = (marked(1, 7), marked(2, 8))
    node.kept.tick(lost=100)
    node.start(lost=100)
    assert node.tracing.unlogged == (marked(1, 7), marked(2, 8))
    # What the next run reads beside them is stored as well.
    node.tracing.unlogged += (marked(3, 9),)
    node.kept.tick(lost=100)
    assert node.stored() == 3


def test_kills_of_another_boot_are_left_out(node: Node) -> None:
    node.tracing.unlogged = (marked(1, 7),)
    node.kept.tick(lost=1)
    node.start(boot="next")
    assert node.tracing.unlogged == ()


def test_writes_are_a_second_apart(node: Node) -> None:
    node.kept.tick(lost=1)
    node.tracing.unlogged = (marked(1, 7),)
    node.kept.tick(lost=1)
    assert node.stored() == 0
    node.now += STORE_SECONDS
    node.kept.tick(lost=1)
    assert node.stored() == 1


def test_settled_account_forgets_them(node: Node) -> None:
    node.tracing.unlogged = (marked(1, 7),)
    node.kept.tick(lost=1)
    node.kept.settled()
    assert node.stored() is None
    node.now += STORE_SECONDS
    node.kept.tick(lost=1)
    assert node.stored() is None


def test_kills_whose_line_an_earlier_agent_read_are_known_from_the_state(node: Node) -> None:
    now_ns = time.monotonic_ns()
    first, earlier, other = marked(now_ns, 7), marked(now_ns - 60 * 10**9, 7), marked(now_ns, 8)
    assert node.kept.recorded([first, earlier, other]) == set()
    node.store.put_kill(
        kill_id="boot-1",
        incident=None,
        container_id=None,
        time=rfc3339(time.time()),
        record=recorded("boot-1", kill_of_trace(first, path=None)),
    )
    assert node.kept.recorded([first, earlier, other]) == {first}
    assert node.kept.recorded([]) == set()
    # Where the log's clock is a minute behind, the record is of a kill a minute later.
    assert node.kept.recorded([first, earlier, other], 60 * 10**9) == set()
