"""The first part: three processes, one limit, one kill, on this host alone."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy

from . import eater, memcg, prerequisites, recorded, sysctls
from .eaters import eaters_in
from .guard import guarded
from .memcg import DemoCgroup
from .narration import DemoError, Narrator
from .processes import ProcessRow, row_of
from .relay import Relay, relayed
from .running import CHECKOUT, OOMKEEPER, eventually, oomkeeper_output, running

LIMIT_BYTES = 128 << 20
VICTIM = "test1"
ATTEMPTS = 3
RATE_LIMIT_SECONDS = 5.0
"""The kernel prints at most ten OOM reports in this time, for the whole machine (mm/oom_kill.c, oom_rs)."""
POLICY = Path(__file__).with_name("policy.yaml")


def show(tell: Narrator) -> None:
    """Show the first part. Raises DemoError if a step does not happen as narrated."""
    tell.title("On this host alone: three processes, one limit, one kill")
    hierarchy = CgroupHierarchy.find()
    if missing := prerequisites.missing(hierarchy):
        tell.not_shown("a real kill on this host", why="; ".join(missing))
        recorded.show(tell)
        return
    with guarded(tell) as guard, memcg.limited_cgroup(hierarchy, limit_bytes=LIMIT_BYTES) as cgroup:
        state = guard.folder / "state"
        before = sysctls.read()
        guard.hold(before)
        with _node(tell, state=state, before=before) as relay:
            _reported_kill(tell, cgroup=cgroup, folder=guard.folder, state=state, relay=relay)
            _recorded(tell, state=state)
        _restored(tell, before=before)
    tell.done(
        "three processes in one cgroup; the kernel killed test1 for its oom_score_adj and not for "
        "its size; detected, explained and recorded by oomkeeper node"
    )


@contextmanager
def _node(tell: Narrator, *, state: Path, before: dict[str, int]) -> Iterator[Relay]:
    """Run `oomkeeper node` until the block ends."""
    tell.step("Start oomkeeper on this host, with a policy")
    tell.say(
        "It needs no cluster: it applies the policy, stores the original values, and follows the kernel's "
        "log and counters from now on. Its state is in its own folder."
    )
    tell.command(f"cat {POLICY.relative_to(CHECKOUT)}")
    tell.output(POLICY.read_text())
    arguments = (
        "node",
        "--policy",
        str(POLICY.relative_to(CHECKOUT)),
        "--state-dir",
        str(state),
        "--restore",
    )
    tell.command(["oomkeeper", *arguments])
    wanted = {"vm.panic_on_oom": 0, "vm.oom_dump_tasks": 1, "vm.oom_kill_allocating_task": 1}
    with relayed() as (relay, stdout), running([*OOMKEEPER, *arguments], stdout=stdout) as process:
        stdout.close()
        relay.start()
        eventually(
            lambda: process.poll() is not None or sysctls.in_force(wanted),
            what="the policy's sysctls are in force",
        )
        if process.poll() is not None:
            raise DemoError(f"oomkeeper node ended immediately with exit code {process.returncode}")
        tell.table(sysctls.rows(before))
        tell.fact(sysctls.in_force(wanted), "/proc/sys has the values of the policy")
        yield relay


def _reported_kill(tell: Narrator, *, cgroup: DemoCgroup, folder: Path, state: Path, relay: Relay) -> None:
    """Show a kill with its report, again if other kills used up the kernel's rate limit."""
    for _ in range(ATTEMPTS):
        if _kill(tell, cgroup=cgroup, folder=folder, state=state, relay=relay):
            return
        tell.say(
            "The kernel printed no report of this kill: it prints at most ten in 5 s, and other processes "
            "of this machine were killed. oomkeeper recorded it all the same. Once more, for a full report:"
        )
        time.sleep(RATE_LIMIT_SECONDS)
    raise DemoError(
        f"the kernel printed no report of {ATTEMPTS} kills: too many other OOM kills on this machine"
    )


def _kill(tell: Narrator, *, cgroup: DemoCgroup, folder: Path, state: Path, relay: Relay) -> bool:
    """Let three processes allocate until the kernel kills one, and check what oomkeeper reports.

    Return False if the kernel printed no report. Raises DemoError if anything is not as expected.
    """
    with eaters_in(cgroup, folder=folder) as eaters:
        pid = eaters[VICTIM].pid
        tell.step("Three processes of one program share a memory limit")
        tell.say(
            f"test, test1 and test2 run in the cgroup {cgroup.path} (cgroup v{cgroup.hierarchy.version}), "
            f"with a limit of {LIMIT_BYTES >> 20} MiB. test uses the most so far."
        )
        tell.command(f"cat {cgroup.limit_file}")
        tell.output(cgroup.limit_file.read_text())
        tell.say("One of them gets the highest oom_score_adj:")
        tell.command(f"echo 1000 > /proc/{pid}/oom_score_adj")
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        rows = {name: row_of(process.pid) for name, process in eaters.items()}
        tell.table(ProcessRow.table(rows.values()))
        tell.fact(
            rows["test"].rss_bytes > rows[VICTIM].rss_bytes
            and rows[VICTIM].oom_score > rows["test"].oom_score,
            "test is the larger process, test1 has the higher oom_score",
        )

        tell.step("All three allocate memory until the limit is reached")
        tell.say(
            f"{eater.MIB >> 20} MiB each, every {eater.STEP_SECONDS:.2f} s, in turns, until the kernel kills."
        )
        for process in eaters.values():
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
            # In turns: a process that allocates while the victim's memory is freed would be a second victim.
            time.sleep(eater.STEP_SECONDS / len(eaters))
        try:
            code = eaters[VICTIM].wait(60)
        except subprocess.TimeoutExpired as error:
            raise DemoError("the kernel has not killed test1 within 60 s") from error
        left = {name: row_of(process.pid) for name, process in eaters.items() if process.poll() is None}
    tell.fact(code == -signal.SIGKILL, f"test1 (pid {pid}) was ended by SIGKILL")
    tell.fact(set(left) == {"test", "test2"}, "test and test2 kept running (the demo has ended them since)")
    tell.say("The output of oomkeeper node, from the kernel's report:")
    if not relay.heard(f"{pid}", seconds=20):
        raise DemoError(f"oomkeeper node has not printed the kill of pid {pid} within 20 s")
    relay.speak()
    record = _record_of(pid, state=state)
    [victim] = record["victims"]
    if not record["headerSeen"]:
        return False
    tell.fact(
        victim["comm"] == VICTIM and victim["oomScoreAdj"] == 1000,
        "the victim IS test1, with oom_score_adj 1000",
    )
    tell.fact(
        record["cause"] == "CgroupLimit"
        and record["limitBytes"] == LIMIT_BYTES
        and record["oomMemcg"].endswith(cgroup.path),
        f"the cause is CgroupLimit: {cgroup.path} at its {LIMIT_BYTES >> 20} MiB",
    )
    size = sum(victim[part] or 0 for part in ("anonRssBytes", "fileRssBytes", "shmemRssBytes"))
    tell.fact(
        left["test"].rss_bytes > size,
        f"test held {left['test'].rss_bytes >> 20} MiB, test1 only {size >> 20} MiB: the score decided, not "
        "the size",
    )
    asker = record["invoker"]
    if asker is not None and asker["pid"] != pid:
        tell.say(
            f"{asker['comm']} requested one page too many. vm.oom_kill_allocating_task=1 would "
            "have killed it if the whole host had been out of memory; within a cgroup it has no effect."
        )
    return True


def _record_of(pid: int, *, state: Path) -> dict[str, Any]:
    """Return oomkeeper's record of the kill of this process."""
    kills: list[dict[str, Any]] = json.loads(
        oomkeeper_output("kills", "--state-dir", str(state), "--output", "json")
    )["kills"]
    mine = [kill for kill in kills if any(victim["pid"] == pid for victim in kill["victims"])]
    if len(mine) != 1:
        raise DemoError(f"oomkeeper kills holds {len(mine)} records of pid {pid}, not one")
    return mine[0]


def _recorded(tell: Narrator, *, state: Path) -> None:
    tell.step("Recorded kills")
    tell.say("The kill is stored; the head of the stored record:")
    tell.command(f"oomkeeper kills --state-dir {state} | head -n 4")
    tell.output("".join(oomkeeper_output("kills", "--state-dir", str(state)).splitlines(keepends=True)[:4]))
    tell.say(
        "The kill accounting: every kill in the kernel's counter (oom_kill in /proc/vmstat) is recorded, or "
        "reported as missing."
    )
    account = _account(state)
    tell.command(["oomkeeper", "status", "--state-dir", str(state)])
    tell.output(oomkeeper_output("status", "--state-dir", str(state)))
    tell.fact(
        account["recorded"] >= 1,
        f"counted by the kernel {account['vmstatOomKill']}, recorded {account['recorded']}, "
        f"unattributed {account['unattributed']}",
    )


def _account(state: Path) -> dict[str, int]:
    """Return the kill accounting, once it is complete or 4 s have passed."""
    for _ in range(20):
        account: dict[str, int] = json.loads(
            oomkeeper_output("status", "--state-dir", str(state), "--output", "json")
        )["account"]
        if account["recorded"] == account["vmstatOomKill"]:
            break
        time.sleep(0.2)
    return account


def _restored(tell: Narrator, *, before: dict[str, int]) -> None:
    tell.step("Stop, and restore the original values")
    tell.say("oomkeeper node was started with --restore, so it restored the original values when it stopped:")
    tell.table(sysctls.rows(before))
    tell.fact(sysctls.in_force(before), "every sysctl has its original value")
