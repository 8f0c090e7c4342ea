"""Kills that nobody's memory caused."""

from ...model.cause import Cause, Remedy
from ...model.diagnosis import Advice
from ..case import Case


def check_trigger(case: Case) -> Advice | None:
    """Who asked?"""
    if case.cause is Cause.MANUAL_TRIGGER:
        return Advice(
            remedy=Remedy.CHECK_TRIGGER,
            message=(
                "Find out who wrote f to /proc/sysrq-trigger or pressed Alt+SysRq+F; kernel.sysrq without "
                "bit 64 forbids it."
            ),
        )
    if case.cause is Cause.EXTERNAL_POLICY:
        return Advice(
            remedy=Remedy.CHECK_TRIGGER,
            message=(
                f"Look at the program that asked for the kill ({case.kill.constraint}): list loaded BPF "
                "programs with `bpftool "
                "prog`, and its thresholds."
            ),
        )
    if case.cause is Cause.NO_KILLABLE_PROCESS:
        return Advice(
            remedy=Remedy.CHECK_TRIGGER,
            message=(
                "Look for processes with oom_score_adj -1000: the kernel may not kill them, however much "
                "they use."
            ),
        )
    return None
