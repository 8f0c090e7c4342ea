"""Verdicts claim nothing beyond the log."""

import time

import pytest

from oomkeeper.diagnosis import RepeatedVictims, diagnose
from oomkeeper.diagnosis.whatif import scenarios
from oomkeeper.kernel.cgroup.containers import parse_container
from oomkeeper.kernel.cgroup.managers import parse_managed
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Cause, Confidence, Level, Outcome, Remedy
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord
from oomkeeper.reporting.kill_charts import kill_charts
from oomkeeper.reporting.kill_record import kill_record

ID = "46b3" + "0" * 60
SIZES = "total-vm:9000kB, anon-rss:8000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:40kB oom_score_adj:0"
NODE_KILL = f"Out of memory: Killed process 7 (a) {SIZES}"
MEMCG_KILL = f"Memory cgroup out of memory: Killed process 7 (a) {SIZES}"
HEADER = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
CPU = "CPU: 1 PID: 3 Comm: x Not tainted 5.4.0 #1"
TITLE = "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
MEM_INFO = (
    "Mem-Info:",
    "active_anon:100 inactive_anon:10 isolated_anon:0",
    " slab_reclaimable:5 slab_unreclaimable:5 free:127232",
    "Node 0 DMA32 free:508928kB min:4096kB low:5000kB high:6000kB present:520000kB managed:519168kB",
    "129792 pages RAM",
)


def event(*lines: str) -> Kill:
    (kill,) = parse_records((LogRecord(line.encode()) for line in lines), excerpt=True)
    return kill


def _summary_line(oom: str, task: str) -> str:
    return (
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={oom},"
        f"task_memcg={task},task=a,pid=7,uid=0"
    )


def _row(pid: int, name: str) -> str:
    return f"[{pid:7d}]     0 {pid:5d}     2250     2000    40960        0             0 {name}"


@pytest.mark.parametrize("gfp", ["0x0()", "0x0"])
def test_page_fault_without_cgroup_evidence_is_unknown(gfp: str) -> None:
    header = f"x invoked oom-killer: gfp_mask={gfp}, order=0, oom_score_adj=0"
    verdict = diagnose(event(header, *MEM_INFO, NODE_KILL))
    assert (verdict.cause, verdict.confidence) == (Cause.UNKNOWN, Confidence.LOW)
    assert any("pagefault_out_of_memory" in sentence for sentence in verdict.uncertain)


def test_page_fault_at_a_cgroup_limit_is_the_limit() -> None:
    header = "x invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0"
    verdict = diagnose(event(header, _summary_line("/a", "/a"), MEMCG_KILL))
    assert verdict.cause is Cause.CGROUP_LIMIT


def test_share_of_unknown_total_is_not_shown() -> None:
    kill = event(HEADER, *MEM_INFO[:3], NODE_KILL)
    charts = kill_charts(kill_record(kill, diagnose(kill)))
    bars = [bar for chart in charts if chart.title == "Memory breakdown" for bar in chart.bars]
    assert bars
    assert {(bar.share, bar.note) for bar in bars} == {(None, "")}


@pytest.mark.parametrize("task", ["", "/worker"])
@pytest.mark.parametrize("limit", [True, False])
def test_unit_at_its_memory_max_is_a_cgroup_limit(task: str, limit: bool) -> None:
    path = "/system.slice/postgresql.service"
    usage = ["memory: usage 524288kB, limit 524288kB, failcnt 2"] if limit else []
    verdict = diagnose(event(HEADER, *usage, _summary_line(path, path + task), MEMCG_KILL))
    assert (verdict.cause, verdict.level) == (Cause.CGROUP_LIMIT, Level.OWN)
    assert verdict.summary.startswith("Service postgresql.service reached its memory limit (MemoryMax)")
    (advice,) = [item.message for item in verdict.advice if item.remedy is Remedy.FIT_LIMIT]
    assert "systemctl set-property postgresql.service MemoryMax=" in advice
    assert "systemReserved" not in "".join(item.message for item in verdict.advice)


@pytest.mark.parametrize(
    "path",
    ["/system.slice", "/kube-reserved", "/system-reserved.slice", "/podruntime.slice", "/x/system.slice"],
)
def test_slice_of_all_system_daemons_is_a_system_slice_limit(path: str) -> None:
    verdict = diagnose(event(_summary_line(path, f"{path}/a.service"), MEMCG_KILL))
    assert (verdict.cause, verdict.level) == (Cause.SYSTEM_SLICE_LIMIT, Level.SYSTEM_SLICE)


@pytest.mark.parametrize(
    ("path", "runtime", "command"),
    [
        (f"/docker/{ID}", "Docker", "docker update --memory"),
        (f"/system.slice/docker-{ID}.scope", "Docker", "docker update --memory"),
        (f"/machine.slice/libpod-{ID}.scope", "Podman", "podman update --memory"),
        (f"/machine.slice/libpod-{ID}.scope/container", "Podman", "podman update --memory"),
        (f"/libpod_parent/libpod-{ID}", "Podman", "podman update --memory"),
        (f"/ecs/0123456789abcdef0123456789abcdef/{ID}", "ECS", "task definition"),
        (f"/ecstasks.slice/ecstasks-0123.slice/docker-{ID}.scope", "ECS", "task definition"),
        (f"/system.slice/nerdctl-{ID}.scope", "nerdctl", "nerdctl update --memory"),
    ],
)
def test_container_outside_kubernetes_is_named_with_its_own_fix(
    path: str, runtime: str, command: str
) -> None:
    usage = "memory: usage 524288kB, limit 524288kB, failcnt 2"
    kill = event(HEADER, usage, _summary_line(path, path), MEMCG_KILL)
    verdict = diagnose(kill)
    assert kill_record(kill, verdict).container_id == ID
    assert verdict.summary.startswith(f"{runtime} container {ID[:12]} reached its memory limit")
    (advice,) = [item.message for item in verdict.advice if item.remedy is Remedy.FIT_LIMIT]
    assert command in advice
    assert "/sys/fs/cgroup" not in advice


@pytest.mark.parametrize(
    "path", ["/", "", "/docker", "/docker/abc", f"/{ID}", "/user.slice/a.scope", "/ecs/x/y"]
)
def test_path_without_container_has_none(path: str) -> None:
    assert parse_container(path) is None


@pytest.mark.parametrize(
    "inner", ["/e2e-c9e2a66d", "/kubelet/kubepods/burstable", f"/docker/{ID[:63]}x", "/init", "/container"]
)
def test_limit_of_a_cgroup_inside_a_container_is_not_the_containers(inner: str) -> None:
    path = f"/docker/{ID}{inner}"
    usage = "memory: usage 32768kB, limit 32768kB, failcnt 2"
    verdict = diagnose(event(HEADER, usage, _summary_line(path, path), MEMCG_KILL))
    assert not verdict.summary.startswith("Docker container")
    assert all("docker update" not in item.message for item in verdict.advice)


def test_boot_panic_without_processes_gets_advice_for_it() -> None:
    for lines in (
        (HEADER, *MEM_INFO, TITLE, "Out of memory and no killable processes..."),
        (*MEM_INFO, TITLE),
    ):
        verdict = diagnose(event(*lines, "Kernel panic - not syncing: System is deadlocked on memory"))
        assert (verdict.cause, verdict.outcome) == (Cause.NO_KILLABLE_PROCESS, Outcome.PANICKED)
        assert "497 MiB of 507 MiB was free" in verdict.summary
        assert "ran out of memory" not in verdict.summary
        assert not any("-1000" in item.message for item in verdict.advice)


def test_no_killable_process_with_full_zones_ran_out_of_memory() -> None:
    full = [line.replace("free:508928kB", "free:1000kB") for line in MEM_INFO]
    lines = (HEADER, *full, TITLE, _row(3, "x"), "Out of memory and no killable processes...")
    verdict = diagnose(event(*lines))
    assert verdict.summary.startswith("The node ran out of memory")
    assert any("-1000" in item.message for item in verdict.advice)


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([_row(7, "a"), _row(3, "x")], True),
        ([_row(7, "a"), _row(2, "x")], True),
        ([_row(7, "a")], False),
        ([_row(3, "x")], False),
        ([], False),
    ],
)
def test_what_if_needs_a_complete_table(rows: list[str], shown: bool) -> None:
    kill = event(HEADER, CPU, *MEM_INFO, TITLE, *rows, NODE_KILL)
    assert bool(scenarios(kill)) is shown


def test_what_if_needs_a_known_cause() -> None:
    header = "x invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0"
    assert scenarios(event(header, CPU, TITLE, _row(7, "a"), _row(3, "x"), NODE_KILL)) == ()


def test_small_slab_cache_is_not_said_to_fill_the_kernel_memory() -> None:
    mem_info = [line.replace("slab_unreclaimable:5", "slab_unreclaimable:100000") for line in MEM_INFO]
    slab = (
        "Unreclaimable slab info:",
        "Name                      Used          Total",
        "kmalloc-64  2000KB   2253KB",
    )
    verdict = diagnose(event(HEADER, *mem_info, *slab, NODE_KILL))
    text = verdict.summary + "".join(item.message for item in verdict.advice)
    assert "kernel memory" in text
    assert "most of it (2.2 MiB)" not in text
    assert "in slab cache kmalloc-64" not in text


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (" memory_max_write+0x1/0x2", "the limit was being lowered"),
        (" mem_cgroup_resize_limit+0x1/0x2", "the limit was being lowered"),
    ],
)
def test_lowered_limit_is_reported(function: str, words: str) -> None:
    lines = (HEADER, CPU, "Call Trace:", function, _summary_line("/a", "/a"), MEMCG_KILL)
    assert words in diagnose(event(*lines)).summary


def test_swapoff_is_reported() -> None:
    lines = (HEADER, CPU, "Call Trace:", " try_to_unuse+0x1/0x2", *MEM_INFO, NODE_KILL)
    assert "swapoff" in diagnose(event(*lines)).summary


def test_report_without_a_choice_says_that_no_process_was_chosen() -> None:
    lines = (
        HEADER,
        CPU,
        "Call Trace:",
        " dump_header+0x1/0x2",
        " out_of_memory+0x3/0x4",
        " __alloc_pages+0x1/0x2",
    )
    verdict = diagnose(event(*lines))
    assert verdict.outcome is Outcome.NO_VICTIM
    assert any("no process was chosen" in sentence for sentence in verdict.uncertain)


def test_oops_inside_a_report_is_reported() -> None:
    lines = (HEADER, CPU, "BUG: unable to handle page fault for address: 0", *MEM_INFO, NODE_KILL)
    assert any("oops" in sentence for sentence in diagnose(event(*lines)).uncertain)


@pytest.mark.parametrize(
    ("adj", "remark"), [(100, False), (200, False), (300, False), (1000, True), (987, True)]
)
def test_kubernetes_remark_is_left_out_for_values_of_a_desktop(adj: int, remark: bool) -> None:
    line = MEMCG_KILL.replace("oom_score_adj:0", f"oom_score_adj:{adj}")
    sentences = diagnose(event(line)).uncertain
    assert any("Kubernetes" in sentence for sentence in sentences) is remark


def test_ram_of_a_virtual_machine_is_no_heap_and_no_tmpfs() -> None:
    kill = "Memory cgroup out of memory: Killed process 7 (qemu-system-x86) total-vm:16000000kB, "
    sizes = "anon-rss:100000kB, file-rss:0kB, shmem-rss:12058624kB, UID:0 pgtables:40kB oom_score_adj:0"
    stats = "Memory cgroup stats for /machine.slice/a.scope:"
    usage = "memory: usage 12582912kB, limit 12582912kB, failcnt 2"
    lines = (HEADER, usage, stats, "anon 102400000", "file 12348030976", "shmem 12348030976", kill + sizes)
    messages = [item.message for item in diagnose(event(*lines)).advice]
    assert any("guest's RAM" in message for message in messages)
    assert not any("heap" in message or "tmpfs" in message for message in messages)


def _kubepods(qos: str) -> str:
    return f"/kubepods/{qos}/pod84c5437e-0000-1111-2222-333344445555/{ID}"


@pytest.mark.parametrize(("qos", "said"), [("besteffort", True), ("burstable", False)])
def test_pod_without_a_limit_is_named_at_a_shared_shortage(qos: str, said: bool) -> None:
    line = (
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
        f"task_memcg={_kubepods(qos)},task=a,pid=7,uid=0"
    )
    messages = [item.message for item in diagnose(event(line, NODE_KILL)).advice]
    assert any("neither a memory request nor a limit" in message for message in messages) is said


def test_command_for_the_name_of_a_pod_is_printed_if_only_its_uid_is_known() -> None:
    path = _kubepods("burstable")
    sentences = diagnose(event(_summary_line(path, path), MEMCG_KILL)).uncertain
    assert any("uid: 84c5437e-0000-1111-2222-333344445555" in sentence for sentence in sentences)


def test_log_that_ends_in_the_task_table_does_not_say_that_no_process_existed() -> None:
    usage = "memory: usage 4kB, limit 4kB, failcnt 8"
    verdict = diagnose(event("Task in /13 killed as a result of limit of /13", usage, TITLE))
    assert "no process" not in verdict.summary
    assert "the log does not show which process was killed" in verdict.summary


def test_statistics_of_one_descendant_do_not_name_the_cgroup_at_its_limit() -> None:
    path = _kubepods("burstable")
    stats = f"Memory cgroup stats for {path}: cache:32KB rss:524188KB"
    verdict = diagnose(event(stats, TITLE, _row(7, "a"), MEMCG_KILL))
    assert (verdict.cause, verdict.level) == (Cause.UNKNOWN_CGROUP_LIMIT, Level.UNKNOWN)


def _fit_limit(kill: Kill) -> str:
    (advice,) = [item.message for item in diagnose(kill).advice if item.remedy is Remedy.FIT_LIMIT]
    return advice


USAGE = ("memory: usage 524288kB, limit 524288kB, failcnt 2", "swap: usage 0kB, limit 0kB, failcnt 0")


@pytest.mark.parametrize("inner", ["", "/step_0/task_0"])
@pytest.mark.parametrize(
    ("path", "name", "fix"),
    [
        ("/slurm/uid_1000/job_12", "Slurm job 12", "`sbatch --mem=640M`"),
        ("/system.slice/slurmstepd.scope/job_12", "Slurm job 12", "`sbatch --mem=640M`"),
        ("/lxc/101", "LXC container 101", "`pct set 101 --memory 640`"),
        ("/lxc/101/ns", "LXC container 101", "`pct set 101 --memory 640`"),
        ("/lxc.payload.web", "LXC container web", "`incus config set web limits.memory 640MiB`"),
        (r"/machine.slice/machine-qemu\x2d1\x2dvm.scope", "Virtual machine vm", "`virsh memtune vm "),
        ("/machine/qemu-1-vm.libvirt-qemu", "Virtual machine vm", "`virsh memtune vm "),
        ("/nomad.slice/share.slice/0a1b.web.scope", "Nomad task web", "`memory = 640`"),
        ("/hadoop-yarn/container_1_0001_01_000002", "YARN container container_1_", "spark.executor"),
        ("/htcondor/condor_slot1_1@h", "HTCondor job in condor_slot1_1@h", "`request_memory = 640M`"),
    ],
)
def test_limit_of_a_manager_is_changed_where_it_is_defined(
    path: str, name: str, fix: str, inner: str
) -> None:
    kill = event(HEADER, *USAGE, _summary_line(path, path + inner), MEMCG_KILL)
    assert diagnose(kill).summary.startswith(name)
    advice = _fit_limit(kill)
    assert fix in advice
    assert "/sys/fs/cgroup" not in advice
    assert "set-property" not in advice


@pytest.mark.parametrize(
    "path", ["/lxc/101/init", "/slurm/uid_1/job_12/step_0", "/docker/abc/job_12", "/", "/lxc", "/x/job_1"]
)
def test_cgroup_below_or_beside_a_managed_one_gets_no_command_of_the_manager(path: str) -> None:
    advice = _fit_limit(event(HEADER, *USAGE, _summary_line(path, path), MEMCG_KILL))
    assert not any(tool in advice for tool in ("sbatch", "pct set", "incus"))


@pytest.mark.parametrize(
    "path", ["/nomad/share.slice/" + "." * 4000, "/a" * 2000, "/lxc." * 800, "/slurmstepd.scope_" * 200]
)
def test_any_path_is_searched_for_a_manager_in_little_time(path: str) -> None:
    begun = time.process_time()
    parse_managed(path)
    assert time.process_time() - begun < 0.1


@pytest.mark.parametrize("name", ["$(reboot)", "a;b", "`id`", "a b", "-x"])
def test_name_that_is_unsafe_in_a_command_gets_none(name: str) -> None:
    advice = _fit_limit(event(HEADER, *USAGE, _summary_line(f"/lxc/{name}", f"/lxc/{name}"), MEMCG_KILL))
    assert "config set " + name not in advice


@pytest.mark.parametrize("path", [_kubepods("burstable"), _kubepods("burstable").rpartition("/")[0]])
@pytest.mark.parametrize("usage", [(), USAGE])
def test_limit_of_a_pod_is_changed_in_the_pod_spec(path: str, usage: tuple[str, ...]) -> None:
    kill = event(HEADER, *usage, _summary_line(path, _kubepods("burstable")), MEMCG_KILL)
    assert "resources.limits.memory in the pod spec" in _fit_limit(kill)


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("/system.slice/a.service", "`systemctl set-property a.service MemoryMax=SIZE`"),
        (f"/docker/{ID}", f"`docker update --memory SIZE --memory-swap SIZE {ID[:12]}`"),
        ("/slurm/uid_1/job_12", "where Slurm defines it"),
    ],
)
def test_limit_that_the_log_does_not_show_gets_advice(path: str, fix: str) -> None:
    assert fix in _fit_limit(event(_summary_line(path, path), MEMCG_KILL))


POD_B = "bbbbbbbb-0000-1111-2222-333344445555"


def _v1_statistics(limit: str, sizes: dict[str, int]) -> list[str]:
    lines = ["memory: usage 1000000kB, limit 1000000kB, failcnt 9"]
    return lines + [
        f"Memory cgroup stats for {limit}{path}: cache:0KB rss:{size}KB" for path, size in sizes.items()
    ]


def test_pod_with_most_memory_of_all_its_containers_is_named_at_a_shared_limit() -> None:
    pod_a = "/podaaaaaaaa-0000-1111-2222-333344445555"
    one = {"": 0, f"{pod_a}/{'a' * 64}": 400_000}
    two = {f"/pod{POD_B}/{'b' * 64}": 300_000, f"/pod{POD_B}/{'c' * 64}": 280_000}
    line = _summary_line("/kubepods/burstable", f"/kubepods/burstable{pod_a}/{'a' * 64}")
    summary = diagnose(
        event(HEADER, *_v1_statistics("/kubepods/burstable", one | two), line, MEMCG_KILL)
    ).summary
    assert f"the largest part (566 MiB) used by pod {POD_B}" in summary
    summary = diagnose(event(HEADER, *_v1_statistics("/kubepods/burstable", one), line, MEMCG_KILL)).summary
    assert f"used by container {'a' * 12} of pod aaaaaaaa-0000-1111-2222-333344445555" in summary


def test_unit_or_container_with_most_memory_is_named_at_a_shared_limit() -> None:
    for path, name in (
        ("/postgresql.service/worker", "postgresql.service"),
        (f"/docker-{ID}.scope", f"Docker container {ID[:12]}"),
    ):
        lines = _v1_statistics("/system.slice", {"": 0, path: 600_000, "/cron.service": 100_000})
        line = _summary_line("/system.slice", "/system.slice/cron.service")
        summary = diagnose(event(HEADER, *lines, line, MEMCG_KILL)).summary
        assert f"the largest part (586 MiB) used by {name}; " in summary
        assert summary.endswith(" in cron.service.")


def test_process_with_most_memory_is_named_at_a_shared_limit_of_cgroup_v2() -> None:
    rows = (TITLE, _row(7, "a"), _row(8, "b").replace("     2000    40960", "   100000    40960"))
    line = _summary_line("/system.slice", "/system.slice/cron.service")
    assert (
        "391 MiB of it used by b (pid 8)" in diagnose(event(HEADER, *USAGE, *rows, line, MEMCG_KILL)).summary
    )


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/system.slice/postgresql.service", " in postgresql.service."),
        (f"/docker/{ID}", f" in Docker container {ID[:12]}."),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-a.scope", " in app-a.scope."),
        ("/slurm/uid_1/job_12/step_0", " in Slurm job 12."),
        ("/a/b", ")."),
    ],
)
def test_unit_or_container_of_the_victim_is_named_at_a_shortage_of_the_node(path: str, where: str) -> None:
    line = (
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
        f"task_memcg={path},task=a,pid=7,uid=0"
    )
    assert diagnose(event(line, NODE_KILL)).summary.endswith(where)


def test_group_kill_without_kill_lines_names_the_container() -> None:
    line = f"Tasks in {_kubepods('burstable')} are going to be killed due to memory.oom.group set"
    verdict = diagnose(event(line))
    assert verdict.outcome is Outcome.KILLED_GROUP
    assert f"killed all processes of container {ID[:12]} of pod 84c5437e-" in verdict.summary
    assert not any("whether a process was killed" in sentence for sentence in verdict.uncertain)
    assert f"container {ID[:12]}" in diagnose(event(MEMCG_KILL, line)).summary


def test_pod_of_the_limit_is_named_if_the_victims_path_has_none() -> None:
    limit = _kubepods("burstable").rpartition("/")[0]
    task = limit.replace("/burstable/", "/burst/") + f"/{ID}"
    verdict = diagnose(event(HEADER, *USAGE, _summary_line(limit, task), MEMCG_KILL))
    assert verdict.summary.startswith("Pod 84c5437e-0000-1111-2222-333344445555 reached")


def _repeated(*lines: str) -> list[list[str]]:
    repeated = RepeatedVictims()
    kills = parse_records((LogRecord(line.encode()) for line in lines), excerpt=True)
    return [
        [item.message for item in repeated.advise(kill, diagnose(kill)).advice if "so far" in item.message]
        for kill in kills
    ]


def test_repeated_victim_of_kill_lines_alone_gets_advice() -> None:
    other = NODE_KILL.replace("(a)", "(b)").replace(" 7 ", " 8 ")
    first, between, second = _repeated(
        NODE_KILL, other, NODE_KILL.replace(" 7 ", " 9 ").replace("anon-rss:8000", "anon-rss:9000")
    )
    assert first == between == []
    (message,) = second
    assert message.startswith("a was killed 2 times in this log so far, with 7.8 MiB to 8.8 MiB resident.")
    assert "add memory to the machine" in message
    (_, (message,)) = _repeated(MEMCG_KILL, MEMCG_KILL.replace(" 7 ", " 9 "))
    assert "raise the limit of its cgroup" in message
    (_, (message,)) = _repeated(
        NODE_KILL.replace("(a)", "(kvm)"), NODE_KILL.replace("(a)", "(kvm)").replace(" 7 ", " 9 ")
    )
    assert "virtual machine" in message
    assert "leak" not in message


def test_repeated_victim_with_advice_keeps_it() -> None:
    line = _summary_line("/system.slice/a.service", "/system.slice/a.service")
    assert _repeated(line, MEMCG_KILL, line, MEMCG_KILL.replace(" 7 ", " 9 ")) == [[], []]
