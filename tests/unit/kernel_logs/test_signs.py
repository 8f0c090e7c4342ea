"""Other signs of memory trouble, with the line that has them."""

import io

import pytest

from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.logs.signs import MOST_SIGNS, Sign
from oomkeeper.kernel.logs.tolerant.reading import TolerantReading
from oomkeeper.kernel.report import parse_records

KILL = "Out of memory: Killed process 7 (a) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB"


def signs_in(text: str) -> list[Sign]:
    tolerant = TolerantReading()
    records = read_relevant_records(io.BytesIO(text.encode()), tolerant=tolerant)
    return tolerant.signs.found(kills=len(list(parse_records(records, excerpt=True))))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            "Jun 20 03:23:46 h systemd[1]: a.service: A process of this unit has been killed by the OOM "
            "killer.",
            "SystemdUnit",
        ),
        ("Jun 20 03:23:46 h systemd[1]: a.service: Failed with result 'oom-kill'.", "SystemdUnit"),
        ("a.service: Failed with result 'oom-kill'.", "SystemdUnit"),
        (
            "5m Warning SystemOOM node/n1 System OOM encountered, victim process: java, pid: 1",
            "KubeletSystemOOM",
        ),
        (
            "Jun 20 03:23:46 h systemd-oomd[7]: Killed /user.slice/a due to memory pressure for /user.slice "
            "being 60.00% > 50.00% for > 20s with reclaim activity",
            "SystemdOomd",
        ),
        (
            "avril 16 21:08:50 systemd-oomd[93234]: Killed /user.slice/a.scope due to memory used",
            "SystemdOomd",
        ),
        ("Jan 09 14:32:25 H systemd-oomd[70]: oomd attempting to kill 113 with KILL", "SystemdOomd"),
        ('Jun 20 03:23:46 h earlyoom[5]: sending SIGTERM to process 7 uid 0 "a": badness 9', "Earlyoom"),
        ("Jun 20 03:23:46 h nohang[8]: Sending SIGTERM to the victim", "Nohang"),
        ("user: warning: [2026-11-23T09:09:20Z]: [talos] OOM controller triggered", "TalosOOM"),
        ('time="2024-01-01T00:00:00Z" level=info msg="TaskOOM event container_id:1"', "ContainerRuntimeOOM"),
        ('Jun 20 03:23:46 h containerd[9]: msg="TaskOOM event container_id:1"', "ContainerRuntimeOOM"),
        ("      Reason:       OOMKilled", "ContainerOOMKilled"),
        (
            "[    1.000000] x: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL)",
            "PageAllocationFailure",
        ),
        ("x: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL)", "PageAllocationFailure"),
        ("[    1.000000] oom_kill_process: 70 callbacks suppressed", "ReportsSuppressed"),
        ("Jun 20 03:23:46 h kernel: dump_header: 3 callbacks suppressed", "ReportsSuppressed"),
        ("[    1.000000] warn_alloc: 12 callbacks suppressed", "PageAllocationFailure"),
        ("[    1.000000] SLUB: Unable to allocate memory on node -1", "PageAllocationFailure"),
        ('kubelet[9]: "Got sys oom event" event="&{Pid:7}"', "KubeletSystemOOM"),
        ("earlyoom[5]: low memory! at or below SIGTERM limits: mem 10.00%, swap 10.00%", "Earlyoom"),
        ("2024-01-01T00:00:00Z container oom 0123456789ab (image=a, name=b)", "ContainerRuntimeOOM"),
        ("OutOfMemoryError: Container killed due to memory usage", "ContainerRuntimeOOM"),
        ('{"State":{"OOMKilled":true,"ExitCode":137}}', "ContainerOOMKilled"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.", "SlurmOOM"),
        ("slurmstepd: error: Detected 2 oom-kill event(s) in StepId=7.batch.", "SlurmOOM"),
        ("[    1.000000] lowmemorykiller: Killing 'com.a' (7), adj 900,", "LowMemoryKiller"),
        ("I lowmemorykiller: Kill 'com.a' (7), uid 1, oom_score_adj 900", "LowMemoryKiller"),
    ],
)
def test_indirect_evidence_is_a_sign_with_line_and_command(line: str, kind: str) -> None:
    (sign,) = signs_in(f"first line\n{line}\nlast line\n")
    assert (sign.kind, sign.line) == (kind, 2)
    assert "`" in sign.message


@pytest.mark.parametrize(
    "line",
    [
        "the OOM killer did something",
        "Jun 20 03:23:46 h app[7]: Out of memory: Killed process 7 (a)",
        "Memory cgroup out of memory",
        "[    1.000000] x invoked oom-killer: g",
        "Jun 20 03:23:46 h kernel: [    1.000000] Memory cgroup out of memory: Ki",
    ],
)
def test_oom_wording_that_is_not_understood_is_named_with_its_line(line: str) -> None:
    (sign,) = signs_in(f"first line\n{line}\n")
    assert (sign.kind, sign.line) == ("NotUnderstood", 2)
    assert line[-20:] in sign.message


@pytest.mark.parametrize(
    "line",
    [
        '            "OOMKilled": false,',
        r'        {"line":"{\"OOMKilled\":false}"}',
        "oom_killed: false",
        "Jun 20 03:23:46 h earlyoom[5]: sending SIGTERM when mem <= 10.00% and swap <= 10.00%,",
        "Jun 20 03:23:46 h nohang[5]: SIGKILL threshold: 5 %",
        "Jun 20 03:23:46 h systemd[1]: Started systemd-oomd.service - Userspace Out-Of-Memory (OOM) Killer.",
        "[    1.000000] OOM killer disabled.",
        "ContainerStatus: exitCode: 137",
    ],
)
def test_setting_or_ordinary_message_is_no_sign(line: str) -> None:
    assert signs_in(f"{line}\n") == []


def test_wording_is_no_sign_beside_a_kill() -> None:
    assert signs_in(f"the OOM killer did something\n{KILL}\n") == []


def test_sign_beside_a_kill_is_kept() -> None:
    (sign,) = signs_in(f"{KILL}\na.service: Failed with result 'oom-kill'.\n")
    assert sign.kind == "SystemdUnit"


def test_signs_are_bounded() -> None:
    assert len(signs_in("a.service: Failed with result 'oom-kill'.\n" * 1000)) <= MOST_SIGNS


def test_line_number_in_large_log_is_that_of_the_file() -> None:
    noise = "Jun 20 03:23:46 h cron[1]: (root) CMD (run-parts /etc/cron.hourly)\n"
    number = 40_000
    log = noise * number + "Jun 20 03:23:46 h systemd[1]: a.service: Failed with result 'oom-kill'.\n" + noise
    (sign,) = signs_in(log)
    assert sign.line == number + 1


def test_suppressed_slab_messages_are_no_suppressed_oom_reports() -> None:
    signs = signs_in("[    1.000000] slab_out_of_memory: 72 callbacks suppressed\n")
    assert all(sign.kind != "ReportsSuppressed" for sign in signs)


def test_log_without_oom_has_no_signs() -> None:
    assert signs_in("Jun 20 03:23:46 h cron[1]: (root) CMD (room 7)\n[    1.000000] usb 1-1: zoom\n") == []
