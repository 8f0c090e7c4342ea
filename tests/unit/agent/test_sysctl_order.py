"""A node never panics without a reboot to follow, whichever write fails; and values that it cannot bear."""

from pathlib import Path

import pytest

from oomkeeper.agent.sysctl_capacity import refuse_beyond_capacity
from oomkeeper.agent.sysctl_order import apply_order, release_order
from oomkeeper.kernel.meminfo import NodeMemory, read_node_memory
from oomkeeper.kernel.sysctl import DROP_IN_NAME
from oomkeeper.resources.oomnode import DesiredSysctl

from .test_sysctl_enforcer import Host

PANIC_ON_OOM, PANIC = "vm.panic_on_oom", "kernel.panic"


def wanted(key: str, value: int, *, persistence: str = "Runtime") -> DesiredSysctl:
    acknowledge = ("KubeletConflict", "NodePanic")
    return DesiredSysctl(name=key, value=value, policy="p", persistence=persistence, acknowledge=acknowledge)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node whose kernel.panic was 0 and vm.panic_on_oom 0 before a policy came."""
    host = Host(tmp_path)
    host.put(PANIC, 0)
    host.put(PANIC_ON_OOM, 0)
    return host


def enforce(host: Host) -> None:
    host.pass_(wanted(PANIC_ON_OOM, 1), wanted(PANIC, 10))
    assert (host.value(PANIC_ON_OOM), host.value(PANIC)) == (1, 10)
    host.sysctls.written.clear()


def release(host: Host, *, by_restore: bool) -> None:
    if by_restore:
        host.enforcer().restore()
    else:
        host.pass_()


@pytest.mark.parametrize("by_restore", [True, False])
def test_panic_on_oom_is_released_before_kernel_panic(host: Host, by_restore: bool) -> None:
    enforce(host)
    release(host, by_restore=by_restore)
    assert host.sysctls.written == [(PANIC_ON_OOM, 0), (PANIC, 0)]


@pytest.mark.parametrize("by_restore", [True, False])
def test_kernel_panic_stays_while_panic_on_oom_cannot_be_released(host: Host, by_restore: bool) -> None:
    enforce(host)
    host.sysctls.refuses, host.sysctls.refused_keys = "Read-only file system", (PANIC_ON_OOM,)
    release(host, by_restore=by_restore)
    assert (host.value(PANIC_ON_OOM), host.value(PANIC)) == (1, 10)
    host.sysctls.refuses = None
    release(host, by_restore=by_restore)
    assert (host.value(PANIC_ON_OOM), host.value(PANIC)) == (0, 0)
    assert host.store.sysctls() == {}


def test_kernel_panic_alone_is_not_released_to_zero_while_the_node_panics(host: Host) -> None:
    enforce(host)
    host.pass_(wanted(PANIC_ON_OOM, 1))
    assert (host.value(PANIC_ON_OOM), host.value(PANIC)) == (1, 10)


def test_kernel_panic_of_zero_is_refused_while_panic_on_oom_is_in_force(host: Host) -> None:
    enforce(host)
    views = {view.name: view for view in host.pass_(wanted(PANIC_ON_OOM, 1), wanted(PANIC, 0)).statuses}
    assert (views[PANIC].state, views[PANIC].reason) == ("Refused", "KernelPanicHangs")
    assert (host.value(PANIC_ON_OOM), host.value(PANIC)) == (1, 10)


def test_both_become_zero_with_panic_on_oom_first(host: Host) -> None:
    enforce(host)
    views = host.pass_(wanted(PANIC, 0), wanted(PANIC_ON_OOM, 0)).statuses
    assert [view.state for view in views] == ["InSync", "InSync"]
    assert host.sysctls.written == [(PANIC_ON_OOM, 0), (PANIC, 0)]


@pytest.mark.parametrize("panic_persistence", [None, "Runtime"])
def test_persistent_panic_on_oom_brings_kernel_panic_into_the_drop_in(
    host: Host, panic_persistence: str | None
) -> None:
    """A boot begins with kernel.panic=0: systemd-sysctl would make a node that hangs."""
    others = [wanted(PANIC, 10, persistence=panic_persistence)] if panic_persistence else []
    host.put(PANIC, 10)
    host.pass_(wanted(PANIC_ON_OOM, 1, persistence="Persistent"), *others)
    text = (host.etc / "sysctl.d" / DROP_IN_NAME).read_text()
    assert "kernel.panic = 10\n" in text
    assert text.index("kernel.panic = 10") < text.index("vm.panic_on_oom = 1")


def test_drop_in_without_panic_on_oom_leaves_kernel_panic_out(host: Host) -> None:
    host.put(PANIC, 10)
    host.pass_(wanted("vm.swappiness", 10, persistence="Persistent"))
    assert PANIC not in (host.etc / "sysctl.d" / DROP_IN_NAME).read_text()


def test_strict_overcommit_gets_its_ratio_first_and_loses_it_last() -> None:
    memory, ratio = wanted("vm.overcommit_memory", 2), wanted("vm.overcommit_ratio", 90)
    assert apply_order([memory, ratio]) == [ratio, memory]
    assert release_order([ratio.name, memory.name]) == [memory.name, ratio.name]


# -- what a node can bear

GIB = 1 << 30
NODE = NodeMemory(total_bytes=8 * GIB, swap_bytes=0, huge_page_bytes=0, committed_bytes=5 * GIB)


@pytest.mark.parametrize(
    ("key", "largest"),
    [
        ("vm.min_free_kbytes", (8 << 20) * 5 // 100),
        ("vm.admin_reserve_kbytes", (8 << 20) // 10),
        ("vm.user_reserve_kbytes", (8 << 20) // 10),
    ],
)
def test_value_out_of_proportion_is_refused_with_the_largest_acceptable_one(key: str, largest: int) -> None:
    for value, refused in ((largest, False), (largest + 1, True), (67108864, True)):
        found = refuse_beyond_capacity(
            wanted(key, value), memory=NODE, overcommit_memory=1, overcommit_ratio=50
        )
        assert (found is not None) is refused
        if found is not None:
            assert found.reason == "TooLargeForNode"
            assert f"the largest acceptable value here is {largest}" in found.message


@pytest.mark.parametrize(
    ("key", "value", "mode", "ratio", "memory", "least"),
    [
        ("vm.overcommit_memory", 2, 1, 50, NODE, 66),
        ("vm.overcommit_memory", 2, 1, 66, NODE, None),
        ("vm.overcommit_memory", 2, 1, 50, NODE._replace(swap_bytes=2 * GIB), None),
        ("vm.overcommit_memory", 2, 1, 66, NODE._replace(huge_page_bytes=4 * GIB), 132),
        ("vm.overcommit_memory", 1, 0, 50, NODE, None),
        ("vm.overcommit_ratio", 50, 2, 90, NODE, 66),
        ("vm.overcommit_ratio", 0, 1, 90, NODE, None),
        ("vm.swappiness", 200, 2, 0, NODE, None),
    ],
)
def test_strict_overcommit_below_what_is_committed_is_refused(
    key: str, value: int, mode: int, ratio: int, memory: NodeMemory, least: int | None
) -> None:
    found = refuse_beyond_capacity(
        wanted(key, value), memory=memory, overcommit_memory=mode, overcommit_ratio=ratio
    )
    assert (found.reason if found else None) == ("CommitLimitTooLow" if least else None)
    if found is not None:
        assert found.message.endswith(f"here is {least}")


def test_refused_value_is_not_written(host: Host) -> None:
    host.put("vm.min_free_kbytes", 67584)
    view = host.view(wanted("vm.min_free_kbytes", 67108864))
    assert (view.state, view.reason, host.value("vm.min_free_kbytes")) == (
        "Refused",
        "TooLargeForNode",
        67584,
    )


def test_value_in_force_is_not_refused_when_more_is_committed_later(host: Host) -> None:
    host.put("vm.overcommit_memory", 1)
    host.put("vm.overcommit_ratio", 50)
    strict = wanted("vm.overcommit_memory", 2)
    assert host.view(strict).state == "InSync"
    host.memory = host.memory._replace(committed_bytes=7 * GIB)
    assert (host.view(strict).state, host.value("vm.overcommit_memory")) == ("InSync", 2)


def test_memory_that_cannot_be_read_refuses_what_depends_on_it(host: Host) -> None:
    def unreadable() -> NodeMemory:
        raise OSError(13, "Permission denied")

    host.put("vm.min_free_kbytes", 67584)
    enforcer = host.enforcer()
    enforcer._memory = unreadable
    assert enforcer._refusal(wanted("vm.min_free_kbytes", 70000), kubelet=None, in_force=False) is not None
    assert enforcer._refusal(wanted("vm.swappiness", 10), kubelet=None, in_force=False) is None


def test_memory_of_this_host_is_read() -> None:
    memory = read_node_memory()
    assert memory.total_bytes > 64 << 20
    assert memory.committed_bytes > 0
