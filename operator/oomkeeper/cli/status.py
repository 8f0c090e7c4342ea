"""`oomkeeper status`: this host's sysctls compared with their desired values, and the kill accounting."""

from pathlib import Path

import click
from msgspec import to_builtins
from msgspec.structs import replace

from oomkeeper.agent.enforcement import SYSCTLS_NOTE
from oomkeeper.agent.store import Account, StateError, Store
from oomkeeper.kernel.sysctl import SysctlError, Sysctls
from oomkeeper.model.policy import SysctlState
from oomkeeper.model.sysctl_allow_list import SYSCTLS
from oomkeeper.resources.oomnode import ObservedSysctl

from .errors import BadInput
from .host import output_option, print_json, proc_option, state_dir_option

NOT_DESIRED = ""
"""State of a sysctl that no policy sets."""


@click.command
@state_dir_option
@output_option("text", "json")
@proc_option
def command(state_dir: Path, output: str, proc: Path) -> int:
    """Print this host's sysctls, their desired values, and the kill accounting."""
    try:
        store = Store.open(state_dir, create=False)
    except StateError as error:
        raise BadInput(str(error)) from error
    observed = {one.name: one for one in store.note(SYSCTLS_NOTE, tuple[ObservedSysctl, ...]) or ()}
    account = store.account()
    store.close()
    sysctls = Sysctls(root=proc / "sys")
    rows = [_row(rule.key, observed.get(rule.key), sysctls) for rule in SYSCTLS]
    if output == "json":
        print_json({"sysctls": [_json(row) for row in rows], "account": _account(account)})
    else:
        _print_text(rows, account)
    return 0


def _row(key: str, observed: ObservedSysctl | None, sysctls: Sysctls) -> ObservedSysctl:
    """Return one sysctl, with the value in force now."""
    row = observed or ObservedSysctl(name=key, state=NOT_DESIRED)
    try:
        actual: int | None = sysctls.read(key)
    except SysctlError:
        actual = None
    drifted = row.state == SysctlState.IN_SYNC and actual != row.desired
    return replace(
        row,
        actual=actual,
        state=SysctlState.DRIFTED if drifted else row.state,
        persisted=row.persisted or False,
        drift_count=row.drift_count or 0,
    )


def _json(row: ObservedSysctl) -> object:
    return {**to_builtins(row), "state": row.state or None}


def _account(account: Account) -> dict[str, object]:
    return {
        "vmstatOomKill": account.vmstat_oom_kill,
        "recorded": account.recorded,
        "unattributed": account.unattributed,
        "lostRecords": account.lost_records,
        "since": account.since,
        "beforeInstall": account.before_install,
        "beforeInstallLeftOut": account.left_out,
    }


def _print_text(rows: list[ObservedSysctl], account: Account) -> None:
    columns = ("SYSCTL", "DESIRED", "ACTUAL", "ORIGINAL", "PERSISTED", "DRIFT", "STATE")
    table = [columns]
    for row in rows:
        desired = row.desired is not None
        table.append(
            (
                row.name,
                _cell(row.desired),
                _cell(row.actual),
                _cell(row.original),
                ("yes" if row.persisted else "no") if desired else "-",
                str(row.drift_count) if desired else "-",
                row.state or "-",
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(len(columns))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row.message:
            print(f"\n{row.name}: {row.message}")
        elif row.suspected_writer:
            print(f"\n{row.name}: last drifted {row.last_drift_time}, probably by {row.suspected_writer}")
    print(
        f"\nOOM kills since {account.since or 'the start'}: {account.vmstat_oom_kill} counted by the kernel, "
        f"{account.recorded} recorded, {account.unattributed} unattributed; "
        f"{account.lost_records} log records lost."
    )
    if account.before_install or account.left_out:
        left_out = f"; {account.left_out} more were left out" if account.left_out else ""
        print(f"Before that, found in the kernel log: {account.before_install}{left_out}.")


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
