"""The account: vmstat's kills against those recorded, with what the trace adds."""

import itertools
from pathlib import Path

import pytest

from oomkeeper.agent import kill_accounting
from oomkeeper.agent.kill_accounting import SETTLE_SECONDS, Account, open_boot
from oomkeeper.agent.records import BEFORE_INSTALL_NOTE, BeforeInstallNote
from oomkeeper.agent.store import Store
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError

from .loop_harness import FakeLog, FakeReader


class Node:
    """A kernel that counts kills, and an account of them."""

    def __init__(self, folder: Path, *, in_trace: int = 0) -> None:
        self._proc = folder
        self.store = Store.open(folder / "state")
        boot = self.store.start_boot(
            boot_id="boot", since="2026-01-01T00:00:00Z", cursor=0, vmstat_base=0, counters={}
        )
        self.now = 0.0
        self.asked: list[int] = []
        self.settled = 0
        self._in_trace = in_trace
        self.count(0)
        self.account = Account(
            store=self.store,
            boot=boot,
            proc=folder,
            clock=lambda: self.now,
            recover=self._recover,
            settled=self._settle,
        )

    def count(self, kills: int) -> None:
        (self._proc / "vmstat").write_text(f"oom_kill {kills}\n")

    def settle(self, *, after: float = 0.0) -> tuple[int, int]:
        self.now += after
        self.account.settle()
        account = self.store.account()
        return account.recorded, account.unattributed

    def trace_ends(self, *, in_trace: int = 0) -> None:
        """From now on so many kills are in the trace whenever it is asked."""
        self._in_trace = in_trace

    def _recover(self, missing: int) -> None:
        self.asked.append(missing)
        for _ in range(min(missing, self._in_trace)):
            self.store.add_traced_kill("boot")

    def _settle(self) -> None:
        self.settled += 1


def test_kill_without_a_record_is_unattributed_after_a_while(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.count(1)
    assert node.settle() == (0, 0)
    assert node.account.open
    assert node.settle(after=SETTLE_SECONDS) == (0, 1)


def test_trace_is_asked_for_what_the_log_lacks(tmp_path: Path) -> None:
    node = Node(tmp_path, in_trace=2)
    node.count(3)
    assert node.settle() == (2, 0)
    assert node.asked == [3]
    node.trace_ends()
    assert node.settle(after=SETTLE_SECONDS) == (2, 1)
    assert node.asked == [3, 1]


def test_trace_is_asked_while_kills_never_stop(tmp_path: Path) -> None:
    """No difference between counts lasts as long as one must that is published as unattributed."""
    node = Node(tmp_path)
    for kills in range(1, 40):
        node.count(kills)
        assert node.settle(after=SETTLE_SECONDS / 4) == (0, 0)
    assert node.asked == [*range(1, 40)]
    node.trace_ends(in_trace=39)
    assert node.settle() == (39, 0)


def test_account_is_settled_when_all_is_recorded_or_known_to_be_missing(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.settle()
    assert node.settled == 1
    node.count(1)
    node.settle()
    assert node.settled == 1
    node.settle(after=SETTLE_SECONDS)
    node.settle()
    assert node.settled == 2


def unreadable(_after: int) -> KmsgReader:
    raise KmsgUnreadableError("/dev/kmsg: Operation not permitted")


class Growing:
    """A log with one record more each time it is opened."""

    def __init__(self) -> None:
        self.log = FakeLog()

    def open(self, after: int) -> FakeReader:
        self.log.append("Killed process")
        return FakeReader(self.log, after)


def test_what_is_read_apart_ends_before_the_account_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill counted since the account's beginning is in it, though its line is before the cursor."""
    counts = iter([5, 6, 6, 7, *[7] * 10])
    log = Growing()
    monkeypatch.setattr(kill_accounting, "read_oom_kills", lambda **_: next(counts))
    store = Store.open(tmp_path / "state")
    hierarchy = CgroupHierarchy(mount=tmp_path, version=2, proc=tmp_path)
    boot = open_boot(store, boot_id="boot", hierarchy=hierarchy, open_log=log.open)  # type: ignore[arg-type]
    note = store.note(BEFORE_INSTALL_NOTE, BeforeInstallNote)
    assert note is not None
    assert (note.until, boot.cursor, boot.vmstat_base) == (2, 2, 7)

    monkeypatch.setattr(kill_accounting, "ATTEMPTS", 2)
    counts = iter(range(100))
    store = Store.open(tmp_path / "storm")
    boot = open_boot(store, boot_id="boot", hierarchy=hierarchy, open_log=log.open)  # type: ignore[arg-type]
    note = store.note(BEFORE_INSTALL_NOTE, BeforeInstallNote)
    assert note is not None
    assert boot.vmstat_base == 6
    assert note.until == boot.cursor - 1
    assert not note.done


def test_account_begins_although_kills_never_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kills of that moment are counted from its beginning on: they are recorded or unattributed."""
    counts = itertools.count(100)
    monkeypatch.setattr(kill_accounting, "read_oom_kills", lambda **_: next(counts))
    monkeypatch.setattr(kill_accounting.time, "sleep", lambda _seconds: None)
    store = Store.open(tmp_path / "state")
    hierarchy = CgroupHierarchy(mount=tmp_path, version=2, proc=tmp_path)
    boot = open_boot(store, boot_id="boot", hierarchy=hierarchy, open_log=unreadable)
    assert boot.vmstat_base < next(counts) - 1
    assert boot.since_ns > 0
    assert store.boot("boot") is not None
