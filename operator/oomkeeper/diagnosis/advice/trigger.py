"""Advice about kills that were requested, or that could not happen."""

from ...model.cause import Cause, Remedy
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ..case import Case, no_process_existed


def check_trigger(case: Case) -> Advice | None:
    """Point to what requested the kill, or to the processes that are exempt from it."""
    if case.cause is Cause.MANUAL_TRIGGER:
        return Advice(
            remedy=Remedy.CHECK_TRIGGER,
            message=(
                "Find out which user or program wrote f to /proc/sysrq-trigger (root only) or pressed "
                "Alt+SysRq+F. Clearing bit 64 of kernel.sysrq disables the keyboard shortcut."
            ),
        )
    if case.cause is Cause.EXTERNAL_POLICY:
        return Advice(
            remedy=Remedy.CHECK_TRIGGER,
            message=(
                f"Check the program that requested the kill ({printable(case.kill.constraint or 'unknown')}) "
                "and its thresholds. `bpftool prog` lists the loaded BPF programs."
            ),
        )
    if case.cause is Cause.NO_KILLABLE_PROCESS and no_process_existed(case.kill):
        return Advice(
            remedy=Remedy.CHECK_TRIGGER,
            message=(
                "No process existed yet, as early in the boot. Check which zone, order and NUMA node the "
                "allocation in the call trace needs, and boot parameters that reserve memory (mem=, "
                "crashkernel=, hugepages=, cma=)."
            ),
        )
    if case.cause is Cause.NO_KILLABLE_PROCESS:
        return Advice(
            remedy=Remedy.CHECK_TRIGGER,
            message=(
                "Look for processes with oom_score_adj -1000: the kernel never kills them, however much "
                "memory they use."
            ),
        )
    return None
