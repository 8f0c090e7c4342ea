"""Build the record that `oomkeeper simulate` prints for one event under other settings."""

from msgspec import Struct, field

from oomkeeper.diagnosis.whatif import Outlook, Scored, Settings, chosen_row, rank
from oomkeeper.model.escaping import printable
from oomkeeper.model.kill import Kill
from oomkeeper.model.node import NodeFacts

from .kill_record import kill_time


class _Printed(Struct, frozen=True, kw_only=True, rename="camel"):
    """camelCase in the printed JSON. All text is printable."""


class Adjustment(_Printed, frozen=True, kw_only=True):
    """A simulated oom_score_adj."""

    process: str
    """pid in digits, or comm."""
    value: int


class SimulatedSettings(_Printed, frozen=True, kw_only=True):
    """What was asked."""

    oom_score_adj: tuple[Adjustment, ...]
    oom_kill_allocating_task: int = field(name="vm.oom_kill_allocating_task")
    panic_on_oom: int = field(name="vm.panic_on_oom")


class RecordedOutcome(_Printed, frozen=True, kw_only=True):
    """What the kernel did, and what the score predicts under the recorded values."""

    victims: tuple[str, ...]
    """`comm (pid)` each."""
    chosen_pid: int | None
    score_chooses_pid: int | None
    agrees: bool | None
    """None where the log does not show enough to compare."""
    panic: str | None


class ScoredProcess(_Printed, frozen=True, kw_only=True):
    """One row of the task table with its points."""

    pid: int
    comm: str
    uid: int
    rss_bytes: int
    swap_bytes: int | None
    pgtables_bytes: int | None
    oom_score_adj: int
    recorded_oom_score_adj: int | None
    eligible: bool
    points: int | None


class Simulation(_Printed, frozen=True, kw_only=True):
    """One event under other settings: the settings, the outcome, and every process with its points."""

    time: str | None
    time_text: str | None
    scope: str
    constraint: str
    oom_memcg: str | None
    kernel_release: str | None
    recorded: RecordedOutcome
    settings: SimulatedSettings
    outcome: str | None
    victim: str | None
    victim_pid: int | None
    why: str
    unmatched: tuple[str, ...]
    domain_bytes: int | None
    domain_exact: bool
    points_unit: str
    """`Pages` or `Thousandths`."""
    rivals: tuple[int, ...]
    caveats: tuple[str, ...]
    tasks: tuple[ScoredProcess, ...]


def simulation(
    kill: Kill, settings: Settings, outlook: Outlook, *, node: NodeFacts | None = None
) -> Simulation:
    """Return the record of one event."""
    page = kill.memory.page_size_bytes
    domain = outlook.ranking.domain
    return Simulation(
        time=kill_time(kill),
        time_text=_text(kill.wall or None),
        scope=str(kill.scope),
        constraint=printable(domain.constraint),
        oom_memcg=_text(kill.oom_memcg),
        kernel_release=_text(kill.kernel_release),
        recorded=_recorded(kill, node),
        settings=SimulatedSettings(
            oom_score_adj=tuple(
                Adjustment(process=printable(name), value=value) for name, value in settings.adjustments
            ),
            oom_kill_allocating_task=int(settings.kill_allocating_task),
            panic_on_oom=settings.panic_on_oom,
        ),
        outcome=None if outlook.outcome is None else str(outlook.outcome),
        victim=_text(outlook.victim_name),
        victim_pid=None if outlook.victim is None else outlook.victim.row.pid,
        why=printable(outlook.why),
        unmatched=tuple(map(printable, outlook.unmatched)),
        domain_bytes=None if domain.pages is None else domain.pages * page,
        domain_exact=domain.exact,
        points_unit="Thousandths" if outlook.ranking.formula.in_thousandths else "Pages",
        rivals=tuple(task.row.pid for task in outlook.ranking.rivals),
        caveats=tuple(map(printable, outlook.ranking.caveats)),
        tasks=tuple(_task(task, page) for task in outlook.ranking.tasks),
    )


def _text(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _recorded(kill: Kill, node: NodeFacts | None) -> RecordedOutcome:
    row = chosen_row(kill)
    ranking = rank(kill, node=node)
    agrees = None
    if row is not None and ranking.known and ranking.chosen is not None:
        agrees = ranking.chosen.row is row
    return RecordedOutcome(
        victims=tuple(printable(f"{victim.comm} ({victim.pid})") for victim in kill.victims),
        chosen_pid=kill.chosen_pid if row is None else row.pid,
        score_chooses_pid=None if ranking.chosen is None else ranking.chosen.row.pid,
        agrees=agrees,
        panic=_text(kill.panic),
    )


def _task(task: Scored, page_size_bytes: int) -> ScoredProcess:
    row = task.row
    return ScoredProcess(
        pid=row.pid,
        comm=printable(row.comm),
        uid=row.uid,
        rss_bytes=row.rss_pages * page_size_bytes,
        swap_bytes=None if row.swapents_pages is None else row.swapents_pages * page_size_bytes,
        pgtables_bytes=row.pgtables_bytes,
        oom_score_adj=task.adj,
        recorded_oom_score_adj=row.oom_score_adj,
        eligible=task.eligible,
        points=task.points,
    )
