"""Lines of user space OOM killers in the kernel log: claims beside, and never above, a sender."""

from __future__ import annotations

from typing import Any

import pytest

from oomkeeper.diagnosis.killer import decide
from oomkeeper.kernel.user_space_kills import EARLYOOM, SYSTEMD_OOMD, TALOS
from oomkeeper.model.killer import Certainty, KillClaim, Killer, SenderPlace, Trace, Verdict

from .test_killer import ABSENT, END, LIVENESS, facts, oom, sent, short

DOUBT = "the other evidence does not show that"


def claim(program: str = SYSTEMD_OOMD, *, at: float = END) -> KillClaim:
    return KillClaim(at, program, f"{program}: killed it")


def decided(*claims: KillClaim, **fields: Any) -> Verdict:
    return decide(facts(claims=claims or (claim(),), **fields))


def test_line_of_the_proved_sender_is_its_reason() -> None:
    oomd = sent(SenderPlace.HOST, sender_cgroup="/system.slice/systemd-oomd.service")
    verdict = decided(signals=(oomd,))
    assert short(verdict) == (Killer.SYSTEMD_OOMD, Certainty.PROVED)
    assert verdict.claim == claim()
    assert verdict.uncertain == ()


@pytest.mark.parametrize("place", [SenderPlace.CONTAINER, SenderPlace.OTHER_POD, SenderPlace.HOST])
def test_sender_outweighs_a_line(place: SenderPlace) -> None:
    verdict = decided(claim(), signals=(sent(place),))
    assert verdict.killer is not Killer.SYSTEMD_OOMD
    assert verdict.certainty is Certainty.PROVED
    assert verdict.claim is None
    assert DOUBT in verdict.uncertain[-1]


def test_oom_kill_and_kubelets_reason_outweigh_a_line() -> None:
    assert decided(oom_kills=(oom(),), reason="OOMKilled").killer is Killer.KERNEL_OOM
    verdict = decided(events=LIVENESS, **ABSENT)
    assert verdict.killer is Killer.PROBE
    assert DOUBT in verdict.uncertain[-1]


def test_line_decides_alone_where_nothing_is_traced() -> None:
    verdict = decided(**ABSENT)
    assert short(verdict) == (Killer.SYSTEMD_OOMD, Certainty.CLAIMED)
    assert verdict.summary == (
        "Container app was killed by systemd-oomd, as a line in the kernel log claims."
    )
    assert short(decided(claim(EARLYOOM), **ABSENT)) == (Killer.USER_SPACE_OOM, Certainty.CLAIMED)
    assert short(decided(claim(TALOS), **ABSENT)) == (Killer.USER_SPACE_OOM, Certainty.CLAIMED)


def test_line_is_contradicted_by_a_complete_trace_without_a_signal() -> None:
    verdict = decided(trace=Trace.COMPLETE)
    assert verdict.killer is Killer.CONTAINER
    assert DOUBT in verdict.uncertain[-1]


def test_talos_controller_is_init_with_a_line_of_its_own() -> None:
    init = sent(SenderPlace.HOST, sender_pid=1, sender_comm="init", sender_cgroup="/init")
    verdict = decided(claim(TALOS), signals=(init,))
    assert short(verdict) == (Killer.USER_SPACE_OOM, Certainty.CLAIMED)
    assert "process init (pid 1) of the node: it was Talos' OOM controller, as a line" in verdict.summary
    assert verdict.signal == init
    other = sent(SenderPlace.HOST, sender_pid=7, sender_cgroup="/init")
    assert short(decided(claim(TALOS), signals=(other,))) == (Killer.HOST_PROCESS, Certainty.PROVED)
    assert short(decide(facts(signals=(init,)))) == (Killer.HOST_PROCESS, Certainty.PROVED)


def test_line_names_a_sender_that_was_gone_without_a_name() -> None:
    def gone(comm: str | None) -> Verdict:
        return decided(signals=(sent(SenderPlace.UNKNOWN, sender_comm=comm, sender_gone=True),))

    assert short(gone(None)) == (Killer.SYSTEMD_OOMD, Certainty.CLAIMED)
    assert short(gone("systemd-oomd")) == (Killer.SYSTEMD_OOMD, Certainty.CLAIMED)
    assert short(gone("bash")) == (Killer.UNKNOWN, Certainty.UNKNOWN)


def test_line_of_another_time_is_left_out() -> None:
    for at in (END - 60, END + 60):
        verdict = decided(claim(at=at), **ABSENT)
        assert short(verdict) == (Killer.UNKNOWN, Certainty.UNKNOWN)
        assert verdict.uncertain == ("No trace.",)


def test_pod_that_runs_an_oom_killer_is_named() -> None:
    pod = sent(SenderPlace.OTHER_POD, sender_pod="ops/eo", sender_container="eo", sender_exe="/bin/earlyoom")
    verdict = decide(facts(signals=(pod,)))
    assert short(verdict) == (Killer.OTHER_CONTAINER, Certainty.PROVED)
    assert verdict.summary.endswith("which has the name of an OOM killer in user space (earlyoom).")
