"""The state file: whole after any end, one agent at a time."""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from oomkeeper.agent.kill_history import count_in_hour
from oomkeeper.agent.store import DATABASE_NAME, KEPT_KILLS, StateError, Store, hold_state

from .kill_samples import host_incident, recorded

BOOT = "boot"


def start(store: Store, *, cursor: int = 10) -> None:
    store.start_boot(boot_id=BOOT, since="2026-01-01T00:00:00Z", cursor=cursor, vmstat_base=5, counters={})


def put(store: Store, kill_id: str, *, incident: str | None = "key", container: str | None = None) -> None:
    store.put_kill(
        kill_id=kill_id, incident=incident, container_id=container, time="t", record=recorded(kill_id)
    )


def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    start(store)

    def half() -> None:
        with store.transaction():
            store.add_kill_lines(BOOT, (11, 12))
            put(store, "a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert store.kills() == []
    assert store.account().recorded == 0
    assert store.add_kill_lines(BOOT, (11,)) == 1


def _die_within(folder: Path) -> None:
    store = Store.open(folder)
    with store.transaction():
        store.add_kill_lines(BOOT, (12,))
        put(store, "lost")
        os.kill(os.getpid(), signal.SIGKILL)


def test_process_killed_within_a_transaction_leaves_the_state_before_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    start(store)
    with store.transaction():
        store.add_kill_lines(BOOT, (11,))
        put(store, "kept")
    store.close()
    process = multiprocessing.get_context("spawn").Process(target=_die_within, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    store = Store.open(tmp_path)
    assert [kill.id for kill in store.kills()] == ["kept"]
    assert store.account().recorded == 1
    assert store.add_kill_lines(BOOT, (12,)) == 1


def test_log_record_is_counted_once_until_the_cursor_has_passed_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    start(store)
    assert store.add_kill_lines(BOOT, (11, 12, 13)) == 3
    assert store.add_kill_lines(BOOT, (12, 13, 14)) == 1
    store.move_cursor(BOOT, 14, lost=2)
    store.move_cursor(BOOT, 9, lost=9)
    boot = store.boot(BOOT)
    assert boot is not None
    assert (boot.cursor, boot.lost, boot.recorded) == (14, 2, 4)


def test_commits_are_visible_to_other_connections(tmp_path: Path) -> None:
    one, two = Store.open(tmp_path), Store.open(tmp_path)
    first = host_incident(count=1)
    one.put_incident("key", first)
    [older] = two.unpublished()
    assert two.newest_version("key") == (older.version, first)
    one.put_incident("key", host_incident(count=2))
    two.mark_published(older.key, older.version)
    # What was published was the older version.
    [newer] = two.unpublished()
    assert two.newest_version("key") == (newer.version, host_incident(count=2))
    two.mark_published("key", newer.version)
    assert one.unpublished() == []


def test_kill_stays_in_the_incident_that_counted_it_first(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    put(store, "a", incident=None, container="c")
    put(store, "a", incident="first", container="c")
    put(store, "a", incident="second", container="c")
    kill = store.kill("a")
    assert kill is not None
    assert kill.incident == "first"
    assert store.incident_of_container("c") == ["first"]


def test_oldest_kills_are_dropped_beyond_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oomkeeper.agent.store.KEPT_KILLS", 3)
    store = Store.open(tmp_path)
    for number in range(5):
        put(store, str(number))
    assert [kill.id for kill in store.kills()] == ["2", "3", "4"]
    assert [kill.id for kill in store.kills(limit=1)] == ["4"]
    assert KEPT_KILLS == 10_000


def test_state_folder_is_held_by_one_agent(tmp_path: Path) -> None:
    def hold_again() -> None:
        with hold_state(tmp_path):
            pytest.fail("held twice")

    with hold_state(tmp_path), pytest.raises(StateError, match="another oomkeeper agent is using it"):
        hold_again()
    with hold_state(tmp_path):
        pass


def test_unusable_state_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no state database"):
        Store.open(tmp_path, create=False)
    (tmp_path / DATABASE_NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(StateError, match=DATABASE_NAME):
        Store.open(tmp_path)
    newer = tmp_path / "newer"
    Store.open(newer).close()
    with sqlite3.connect(newer / DATABASE_NAME) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(StateError, match="newer release"):
        Store.open(newer)


def test_counters_of_an_earlier_boot_are_forgotten(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    start(store)
    store.put_counter(BOOT, "/a", kills=3, inode=7)
    store.put_counter(BOOT, "/b", kills=1, inode=None)
    assert store.counters(BOOT) == {"/a": (3, 7), "/b": (1, None)}
    store.keep_counters(BOOT, ["/a"])
    assert store.counters(BOOT) == {"/a": (3, 7)}
    store.start_boot(boot_id="next", since="t", cursor=0, vmstat_base=0, counters={"/c": (2, 9)})
    assert store.counters(BOOT) == {}
    assert store.counters("next") == {"/c": (2, 9)}


def test_only_what_is_published_counts_as_a_change(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    start(store)
    store.put_incident("key", host_incident(count=1))
    with store.transaction():
        store.move_cursor(BOOT, 14, lost=2)
    store.set_unattributed(BOOT, 3)
    before = store.changes
    with store.transaction():
        store.move_cursor(BOOT, 15, lost=2)
        store.move_cursor(BOOT, 16, lost=None)
    store.set_unattributed(BOOT, 3)
    store.put_incident("key", host_incident(count=1))
    store.put_note("offset", 1)
    store.probe("now")
    put(store, "a", incident="key", container="c")
    store.mark_published("key", 1)
    assert store.changes == before
    changes = []
    steps: tuple[Callable[[], object], ...] = (
        lambda: store.move_cursor(BOOT, 17, lost=3),
        lambda: store.set_unattributed(BOOT, 4),
        lambda: store.add_kill_lines(BOOT, (20,)),
        lambda: store.add_traced_kill(BOOT),
        lambda: store.redate_boot(BOOT, "2026-01-02T00:00:00Z"),
        lambda: store.put_incident("key", host_incident(count=2)),
        lambda: count_in_hour(store, "2026-01-01T00:00:00Z"),
    )
    for change in steps:
        before = store.changes
        change()
        changes.append(store.changes - before)
    assert changes == [1] * 7
