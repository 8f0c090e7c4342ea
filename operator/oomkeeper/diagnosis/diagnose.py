"""The decision procedure: scope, cause, level, binding counter, contributors, outcome; then summary and
advice.

The first match decides: a manual trigger; an unknown constraint (a policy outside the kernel); no killable
process; a memory cgroup; the page allocator. A panic by vm.panic_on_oom is an outcome; its cause is what ran
out."""

from typing import NamedTuple

from ..model.cause import Cause, Confidence, Level, Scope
from ..model.diagnosis import Diagnosis
from ..model.kill import Kill
from ..model.node import NodeFacts
from ..model.pod import PodFacts
from ..model.units import bytes_text
from .advice import advise
from .allocator import Shortage, judge_allocator
from .binding import Binding, find_binding
from .case import Case, resident_bytes
from .contributors import contributors_of
from .level import name_equal_limit, place_of, qos_hint
from .outcome import outcome_of
from .page_fault import by_page_fault
from .summary import summarize

_WHOLE = 0.9
_KERNEL_CONSTRAINTS = frozenset(
    {
        "CONSTRAINT_NONE",
        "CONSTRAINT_CPUSET",
        "CONSTRAINT_MEMORY_POLICY",
        "CONSTRAINT_MEMCG",
    }
)
"""enum oom_constraint (include/linux/oom.h); any other name comes from a BPF program (the bpf_oom series uses
its own)."""


class _Verdict(NamedTuple):
    cause: Cause
    level: Level | None
    confidence: Confidence
    uncertain: tuple[str, ...]
    shortage: Shortage | None


def diagnose(kill: Kill, *, node: NodeFacts | None = None, pod: PodFacts | None = None) -> Diagnosis:
    """Return the verdict on `kill`. `node` helps to decide NUMA and per-CPU questions, `pod` gives names for
    uids. Never raises."""
    binding = _binding(kill, node)
    verdict = _decide(kill, node)
    outcome, open_end = outcome_of(kill)
    contributors = contributors_of(
        kill, scope=kill.scope, usage_bytes=binding.usage_bytes, binding=binding.counter, node=node
    )
    case = Case(
        kill=kill,
        node=node,
        pod=pod,
        scope=kill.scope,
        cause=verdict.cause,
        level=verdict.level,
        outcome=outcome,
        binding=binding,
        shortage=verdict.shortage,
        contributors=contributors,
    )
    case = name_equal_limit(case)
    uncertain = [*verdict.uncertain]
    if kill.scope is Scope.MEMCG and binding.uncertain and verdict.cause is not Cause.EXTERNAL_POLICY:
        uncertain.append(binding.uncertain)
    shared = _shared_hint(case)
    if shared is not None:
        uncertain.append(shared)
    if pod is None and (cgroup := case.victim_cgroup) is not None and cgroup.pod_uid is not None:
        uncertain.append(
            "The log has the pod's uid, not its name. While the pod exists, this prints its name above its "
            f"uid: `kubectl get pods -A -o yaml | grep -B 20 'uid: {cgroup.pod_uid}'`"
        )
    if case.is_sandbox:
        uncertain.append(
            "The victim is the pod's sandbox (pause): all processes had the same score, so the victim is not "
            "evidence of which process used the memory."
        )
    hint = qos_hint(kill)
    if hint is not None:
        uncertain.append(hint)
    if open_end:
        uncertain.append(open_end)
    if kill.oops:
        uncertain.append(
            "An oops or a panic for another reason interrupts the report; its lines may be missing or mixed."
        )
    if kill.lost_before:
        uncertain.append(f"{kill.lost_before} log records are missing just before or inside this report.")
    return Diagnosis(
        scope=kill.scope,
        cause=case.cause,
        level=verdict.level,
        outcome=outcome,
        limit_bytes=binding.limit_bytes,
        usage_bytes=binding.usage_bytes,
        binding_counter=binding.counter,
        contributors=contributors,
        confidence=_confidence(verdict, binding, kill),
        summary=summarize(case),
        advice=advise(case),
        uncertain=tuple(uncertain),
    )


def _decide(kill: Kill, node: NodeFacts | None) -> _Verdict:
    if kill.by_sysrq:
        return _Verdict(Cause.MANUAL_TRIGGER, None, Confidence.HIGH, (), None)
    if kill.constraint is not None and kill.constraint not in _KERNEL_CONSTRAINTS:
        return _Verdict(Cause.EXTERNAL_POLICY, _memcg_level(kill), Confidence.HIGH, (), None)
    if kill.no_killable:
        shortage = judge_allocator(kill, node) if kill.scope is Scope.GLOBAL else None
        return _Verdict(Cause.NO_KILLABLE_PROCESS, _memcg_level(kill), Confidence.HIGH, (), shortage)
    if kill.scope is Scope.MEMCG:
        place = place_of(kill.oom_memcg, kill.task_memcg)
        return _Verdict(
            place.cause, place.level, place.confidence, (place.uncertain,) if place.uncertain else (), None
        )
    if by_page_fault(kill):
        return _Verdict(
            Cause.UNKNOWN,
            None,
            Confidence.LOW,
            (
                "gfp_mask=0x0 and order=0 show that the page fault handler called the OOM killer "
                "(pagefault_out_of_memory()): an allocation failed earlier, because of a cgroup's limit or "
                "because the node was short of memory.",
            ),
            None,
        )
    if kill.scope is Scope.GLOBAL:
        shortage = judge_allocator(kill, node)
        return _Verdict(
            shortage.cause,
            None,
            shortage.confidence,
            (shortage.uncertain,) if shortage.uncertain else (),
            shortage,
        )
    return _Verdict(
        Cause.UNKNOWN,
        None,
        Confidence.LOW,
        ("The log does not show whether a cgroup reached its limit or the node ran out of memory.",),
        None,
    )


def _shared_hint(case: Case) -> str | None:
    """Compare the victim with the usage where the log does not name the cgroup: do others share the limit?"""
    resident = resident_bytes(case.victim) if case.victim is not None else None
    usage = case.binding.usage_bytes
    if case.kill.oom_memcg is not None or resident is None or not usage:
        return None
    if resident >= usage * _WHOLE:
        return (
            f"The victim alone used all of the {bytes_text(usage)}, as is typical for a limit of its own "
            "cgroup."
        )
    return (
        f"The victim used {bytes_text(resident)} of the {bytes_text(usage)}: other processes share the "
        "limit, in the same cgroup or in other cgroups below it."
    )


def _memcg_level(kill: Kill) -> Level | None:
    return place_of(kill.oom_memcg, kill.task_memcg).level if kill.scope is Scope.MEMCG else None


def _binding(kill: Kill, node: NodeFacts | None) -> Binding:
    if kill.scope is not Scope.MEMCG:
        return Binding(None, None, None)
    swapped = None
    if kill.tasks:
        swapped = any(task.swapents_pages for task in kill.tasks)
    return find_binding(kill.memory, cpus=node.cpus if node else None, swap_used_by_tasks=swapped)


def _confidence(verdict: _Verdict, binding: Binding, kill: Kill) -> Confidence:
    order = [Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH]
    level = order.index(verdict.confidence)
    if kill.scope is Scope.MEMCG and binding.uncertain and verdict.cause is not Cause.EXTERNAL_POLICY:
        level = min(level, 1)
    if kill.lost_before:
        level = min(level, 1)
    return order[level]
