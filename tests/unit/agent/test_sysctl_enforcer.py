"""The sysctl enforcer on a /proc/sys of its own: errors, reboots, drift fights, and what is restored."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from oomkeeper.agent.desired import Desired
from oomkeeper.agent.drift import DRIFT_WINDOW_SECONDS, MAX_DRIFTS
from oomkeeper.agent.kubelet import KubeletFacts
from oomkeeper.agent.store import Store
from oomkeeper.agent.sysctl_enforcer import SysctlEnforcer
from oomkeeper.kernel.meminfo import NodeMemory
from oomkeeper.kernel.sysctl import DROP_IN_NAME, SysctlError, Sysctls
from oomkeeper.resources.oomnode import DesiredSysctl

SWAPPINESS = "vm.swappiness"
FOUND = 60


class Stubborn(Sysctls):
    """A kernel that rejects or changes what is written, as a real one does without rights."""

    refuses: str | None = None
    refused_keys: tuple[str, ...] = ()
    """Empty for every key."""

    def __init__(self, *, root: Path) -> None:
        super().__init__(root=root)
        self.written: list[tuple[str, int]] = []

    def write(self, key: str, value: int) -> None:
        self.written.append((key, value))
        if self.refuses is not None and (not self.refused_keys or key in self.refused_keys):
            raise SysctlError(key, self.refuses)
        super().write(key, value)


class Host:
    """One node: its sysctls, its state, its clock."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "sys"
        (self.root / "vm").mkdir(parents=True)
        (self.root / "kernel").mkdir()
        self.etc = folder / "etc"
        self.etc.mkdir()
        self.sysctls = Stubborn(root=self.root)
        self.now = 100.0
        self.wall = 1_000_000.0
        self.boot = "boot-1"
        self.kubelet: KubeletFacts | None = None
        self.memory = NodeMemory(
            total_bytes=8 << 30, swap_bytes=0, huge_page_bytes=0, committed_bytes=1 << 30
        )
        self.put(SWAPPINESS, FOUND)
        self.put("kernel.panic", 10)
        self.store = Store.open(folder / "state")

    def put(self, key: str, value: int) -> None:
        self.root.joinpath(*key.split(".")).write_text(f"{value}\n")

    def value(self, key: str = SWAPPINESS) -> int:
        return int(self.root.joinpath(*key.split(".")).read_text())

    def enforcer(self) -> SysctlEnforcer:
        return SysctlEnforcer(
            store=self.store,
            sysctls=self.sysctls,
            boot_id=self.boot,
            memory=lambda: self.memory,
            etc=self.etc,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    def pass_(self, *wanted: DesiredSysctl):
        return self.enforcer().reconcile(Desired(sysctls=wanted), kubelet=self.kubelet)

    def view(self, *wanted: DesiredSysctl):
        [view] = self.pass_(*wanted).statuses
        return view


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


TEN = DesiredSysctl(name=SWAPPINESS, value=10, policy="ten")


def test_rejected_write_is_reported_and_is_no_drift(host: Host) -> None:
    host.sysctls.refuses = "cannot set it to 10: Read-only file system"
    for _ in range(MAX_DRIFTS + 2):
        view = host.view(TEN)
        assert (view.state, view.reason, view.drift_count) == ("Drifted", "WriteFailed", 0)
        assert "Read-only file system" in (view.message or "")
    host.sysctls.refuses = None
    view = host.view(TEN)
    assert (view.state, view.actual, view.original, view.drift_count) == ("InSync", 10, FOUND, 0)
    host.pass_()
    assert host.value() == FOUND


def test_missing_sysctl_is_reported_unsupported(host: Host) -> None:
    wanted = DesiredSysctl(name="vm.watermark_scale_factor", value=100, policy="p")
    view = host.view(wanted)
    assert (view.state, view.actual) == ("Unsupported", None)


def test_default_value_after_a_reboot_is_no_drift(host: Host) -> None:
    host.pass_(TEN)
    host.boot = "boot-2"
    host.put(SWAPPINESS, FOUND)
    view = host.view(TEN)
    assert (view.state, view.drift_count, view.original, host.value()) == ("InSync", 0, FOUND, 10)


def test_changed_desired_value_is_no_drift_and_keeps_the_original(host: Host) -> None:
    host.pass_(TEN)
    view = host.view(replace(TEN, value=20))
    assert (view.actual, view.drift_count, view.original) == (20, 0, FOUND)


def test_enforcement_pauses_in_a_drift_fight_and_resumes_after_its_window(host: Host) -> None:
    host.pass_(TEN)
    for number in range(MAX_DRIFTS - 1):
        host.put(SWAPPINESS, 77)
        view = host.view(TEN)
        assert (view.state, view.drift_count, host.value()) == ("InSync", number + 1, 10)
    host.put(SWAPPINESS, 77)
    for _ in range(3):
        view = host.view(TEN)
        assert (view.state, view.reason) == ("Drifted", "FightingForeignWriter")
        assert (view.drift_count, host.value()) == (MAX_DRIFTS, 77)
    host.now += DRIFT_WINDOW_SECONDS + 1
    view = host.view(TEN)
    assert (view.state, host.value()) == ("InSync", 10)


def test_restarted_kubelet_is_named_as_the_writer(host: Host) -> None:
    host.put("vm.overcommit_memory", 1)
    host.kubelet = KubeletFacts(pid=5, start_time=100)
    wanted = DesiredSysctl(name="vm.overcommit_memory", value=2, policy="p", acknowledge=("KubeletConflict",))
    host.pass_(wanted)
    host.kubelet = KubeletFacts(pid=9, start_time=200)
    host.put("vm.overcommit_memory", 1)
    view = host.view(wanted)
    assert view.suspected_writer == "kubelet (restarted, pid 9)"
    assert (view.drift_count, host.value("vm.overcommit_memory")) == (1, 2)


def test_kubelet_found_before_it_wrote_is_the_suspect(host: Host) -> None:
    """It writes some seconds after its start; and only then."""
    host.put("vm.overcommit_memory", 1)
    host.kubelet = KubeletFacts(pid=5, start_time=100)
    wanted = DesiredSysctl(name="vm.overcommit_memory", value=2, policy="p", acknowledge=("KubeletConflict",))
    host.pass_(wanted)
    host.kubelet = KubeletFacts(pid=9, start_time=200)
    host.pass_(wanted)
    host.put("vm.overcommit_memory", 1)
    assert host.view(wanted).suspected_writer == "kubelet (restarted, pid 9)"
    host.put("vm.overcommit_memory", 1)
    assert host.view(wanted).suspected_writer == "kubelet or another writer of its value"


def test_sysctl_that_becomes_refused_is_restored(host: Host) -> None:
    host.put("vm.overcommit_memory", 1)
    wanted = DesiredSysctl(
        name="vm.overcommit_memory", value=2, policy="p", on_release="Keep",
        acknowledge=("KubeletConflict",),
    )  # fmt: skip
    host.kubelet = KubeletFacts(pid=5, start_time=100)
    host.pass_(wanted)
    host.kubelet = KubeletFacts(pid=6, start_time=200, protect_kernel_defaults=True)
    view = host.view(wanted)
    assert (view.state, view.reason, view.actual) == ("Refused", "ProtectKernelDefaults", 1)
    assert host.value("vm.overcommit_memory") == 1


@pytest.mark.parametrize(("on_release", "left"), [("Restore", FOUND), ("Keep", 10)])
def test_released_sysctl_follows_on_release(host, on_release, left) -> None:
    host.pass_(replace(TEN, on_release=on_release))
    kept = host.pass_()
    assert (kept.statuses, kept.released, host.value()) == ((), {SWAPPINESS: left}, left)
    assert host.pass_().released == {}


def test_audit_restores_the_value_set_by_enforce(host: Host) -> None:
    host.pass_(TEN)
    view = host.view(replace(TEN, mode="Audit"))
    assert (view.state, view.actual, host.value()) == ("Audited", FOUND, FOUND)


def test_value_that_cannot_be_restored_stays_in_the_status_until_it_is(host: Host) -> None:
    host.pass_(TEN)
    host.sysctls.refuses = "cannot set it: Read-only file system"
    [status] = host.pass_().statuses
    assert (status.name, status.actual, status.original) == (SWAPPINESS, 10, FOUND)
    assert (status.state, status.reason, status.policy) == ("Pending", "NotRestored", "ten")
    host.sysctls.refuses = None
    assert host.pass_().statuses == ()
    assert host.value() == FOUND


def test_unwritable_drop_in_is_reported_and_the_value_is_in_force(host: Host) -> None:
    (host.etc / "sysctl.d").write_text("a file where a folder should be")
    kept = host.pass_(replace(TEN, persistence="Persistent"))
    assert "sysctl.d" in (kept.persistent_problem or "")
    assert kept.wants_persistence
    assert (kept.statuses[0].persisted, host.value()) == (False, 10)


def test_drop_in_that_is_not_text_is_replaced(host: Host) -> None:
    (host.etc / "sysctl.d").mkdir()
    (host.etc / "sysctl.d" / DROP_IN_NAME).write_bytes(b"\xff\xfe")
    assert host.pass_(replace(TEN, persistence="Persistent")).persistent_problem is None
    assert f"{SWAPPINESS} = 10\n" in (host.etc / "sysctl.d" / DROP_IN_NAME).read_text()


def test_wall_clock_set_back_does_not_prolong_a_drift_fight(host: Host) -> None:
    host.pass_(TEN)
    for _ in range(MAX_DRIFTS + 1):
        host.put(SWAPPINESS, 77)
        host.pass_(TEN)
    assert host.view(TEN).reason == "FightingForeignWriter"
    host.wall -= 86400
    host.now += DRIFT_WINDOW_SECONDS + 1
    assert host.view(TEN).state == "InSync"


def test_drift_fight_outlives_a_restart_of_the_agent_but_not_a_reboot(host: Host) -> None:
    host.pass_(TEN)
    for _ in range(MAX_DRIFTS + 1):
        host.put(SWAPPINESS, 77)
        host.pass_(TEN)
    assert host.view(TEN).reason == "FightingForeignWriter"
    host.boot, host.now = "boot-2", 5.0
    assert host.view(TEN).state == "InSync"


def test_original_after_a_reboot_is_the_value_of_that_boot(host: Host) -> None:
    host.pass_(TEN)
    host.boot = "boot-2"
    host.put(SWAPPINESS, 30)
    assert host.view(TEN).original == 30
    host.pass_()
    assert host.value() == 30


def test_value_of_the_new_boot_is_not_overwritten_when_the_policy_went_before_it(host: Host) -> None:
    host.pass_(TEN)
    host.boot = "boot-2"
    host.put(SWAPPINESS, 30)
    host.pass_()
    assert host.value() == 30


def test_original_stays_known_where_the_drop_in_set_the_value_at_boot(host: Host) -> None:
    persistent = replace(TEN, persistence="Persistent")
    host.pass_(persistent)
    host.boot = "boot-2"
    assert host.view(persistent).original == FOUND
    host.pass_()
    assert host.value() == FOUND


def test_drift_fight_of_an_earlier_boot_does_not_count(host: Host) -> None:
    host.pass_(TEN)
    for _ in range(MAX_DRIFTS + 1):
        host.put(SWAPPINESS, 77)
        host.pass_(TEN)
    host.boot, host.now = "boot-2", host.now + 1
    assert (host.view(TEN).state, host.value()) == ("InSync", 10)


def test_kernel_panic_stays_set_while_panic_on_oom_cannot_be_restored(host: Host) -> None:
    host.put("kernel.panic", 0)
    host.put("vm.panic_on_oom", 0)
    wanted = (
        DesiredSysctl(name="kernel.panic", value=10, policy="p"),
        DesiredSysctl(name="vm.panic_on_oom", value=1, policy="p", acknowledge=("NodePanic",)),
    )
    host.pass_(*wanted)
    assert (host.value("kernel.panic"), host.value("vm.panic_on_oom")) == (10, 1)
    host.sysctls.refuses = "cannot set it to 0: Operation not permitted"
    host.sysctls.refused_keys = ("vm.panic_on_oom",)
    host.pass_()
    assert (host.value("kernel.panic"), host.value("vm.panic_on_oom")) == (10, 1)
    host.sysctls.refuses = None
    host.pass_()
    assert (host.value("kernel.panic"), host.value("vm.panic_on_oom")) == (0, 0)
