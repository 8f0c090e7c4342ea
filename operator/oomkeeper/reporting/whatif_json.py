"""Build the JSON object that `oomkeeper simulate` prints for one event under other settings."""

from typing import Any

from oomkeeper.diagnosis.whatif import Outlook, Scored, Settings, chosen_row, rank
from oomkeeper.model.escaping import printable
from oomkeeper.model.kill import Kill
from oomkeeper.model.node import NodeFacts

from .kill_json import kill_time

WhatIfJson = dict[str, Any]


def outlook_to_json(
    kill: Kill, settings: Settings, outlook: Outlook, *, node: NodeFacts | None = None
) -> WhatIfJson:
    """Return the object of one event: the settings, the outcome, and every process with its points.

    `recorded` compares the score under the recorded values with what the kernel did: `agrees` is null where
    the log does not show enough for either."""
    page = kill.memory.page_size_bytes
    domain = outlook.ranking.domain
    return {
        "time": kill_time(kill),
        "timeText": printable(kill.wall) if kill.wall else None,
        "scope": str(kill.scope),
        "constraint": printable(domain.constraint),
        "oomMemcg": None if kill.oom_memcg is None else printable(kill.oom_memcg),
        "kernelRelease": None if kill.kernel_release is None else printable(kill.kernel_release),
        "recorded": _recorded(kill, node),
        "settings": {
            "oomScoreAdj": [
                {"process": printable(name), "value": value} for name, value in settings.adjustments
            ],
            "vm.oom_kill_allocating_task": int(settings.kill_allocating_task),
            "vm.panic_on_oom": settings.panic_on_oom,
        },
        "outcome": None if outlook.outcome is None else str(outlook.outcome),
        "victim": None if outlook.victim_name is None else printable(outlook.victim_name),
        "victimPid": None if outlook.victim is None else outlook.victim.row.pid,
        "why": printable(outlook.why),
        "unmatched": [printable(name) for name in outlook.unmatched],
        "domainBytes": None if domain.pages is None else domain.pages * page,
        "domainExact": domain.exact,
        "pointsUnit": "Thousandths" if outlook.ranking.formula.in_thousandths else "Pages",
        "rivals": [task.row.pid for task in outlook.ranking.rivals],
        "caveats": [printable(sentence) for sentence in outlook.ranking.caveats],
        "tasks": [_task(task, page) for task in outlook.ranking.tasks],
    }


def _recorded(kill: Kill, node: NodeFacts | None) -> dict[str, Any]:
    row = chosen_row(kill)
    ranking = rank(kill, node=node)
    names = [f"{victim.comm} ({victim.pid})" for victim in kill.victims]
    agrees = None
    if row is not None and ranking.known and ranking.chosen is not None:
        agrees = ranking.chosen.row is row
    return {
        "victims": [printable(name) for name in names],
        "chosenPid": kill.chosen_pid if row is None else row.pid,
        "scoreChoosesPid": None if ranking.chosen is None else ranking.chosen.row.pid,
        "agrees": agrees,
        "panic": None if kill.panic is None else printable(kill.panic),
    }


def _task(task: Scored, page: int) -> dict[str, Any]:
    row = task.row
    return {
        "pid": row.pid,
        "comm": printable(row.comm),
        "uid": row.uid,
        "rssBytes": row.rss_pages * page,
        "swapBytes": None if row.swapents_pages is None else row.swapents_pages * page,
        "pgtablesBytes": row.pgtables_bytes,
        "oomScoreAdj": task.adj,
        "recordedOomScoreAdj": row.oom_score_adj,
        "eligible": task.eligible,
        "points": task.points,
    }
