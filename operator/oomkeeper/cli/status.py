"""`oomkeeper status`: this host's sysctls against what is wanted, and the account of its kills."""

import argparse
from pathlib import Path
from typing import Any

from oomkeeper.agent.loop import VIEWS_NOTE
from oomkeeper.agent.store import Account, StateError, Store
from oomkeeper.kernel.sysctl import SysctlError, Sysctls
from oomkeeper.model.sysctl import SYSCTLS

from .errors import BadInput
from .host import add_output, add_state_dir, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)
    add_output(parser)
    parser.add_argument("--proc", metavar="PATH", type=Path, default=Path("/proc"), help="the host's /proc")


def run(args: argparse.Namespace) -> int:
    """Print every sysctl that a policy could set, and the account. Raises BadInput without a state."""
    try:
        store = Store.open(args.state_dir, create=False)
    except StateError as error:
        raise BadInput(str(error)) from error
    views = {view["key"]: view for view in store.note(VIEWS_NOTE) or []}
    account = store.account()
    store.close()
    sysctls = Sysctls(root=args.proc / "sys")
    rows = [_row(rule.key, views.get(rule.key, {}), sysctls) for rule in SYSCTLS]
    document = {"sysctls": rows, "account": _account(account)}
    if args.output == "json":
        print_json(document)
    else:
        _print_text(rows, account)
    return 0


def _row(key: str, view: dict[str, Any], sysctls: Sysctls) -> dict[str, Any]:
    """One sysctl, with the value in force now."""
    try:
        actual: int | None = sysctls.read(key)
    except SysctlError:
        actual = None
    desired = view.get("desired")
    state = view.get("state") if desired is not None else None
    if state == "InSync" and actual != desired:
        state = "Drifted"
    return {
        "name": key,
        "desired": desired,
        "actual": actual,
        "original": view.get("original"),
        "policy": view.get("policy"),
        "mode": view.get("mode"),
        "state": state,
        "reason": view.get("reason"),
        "message": view.get("message"),
        "persisted": view.get("persisted", False),
        "driftCount": view.get("drift_count", 0),
        "lastDriftTime": view.get("last_drift"),
        "suspectedWriter": view.get("suspected_writer"),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "vmstatOomKill": account.vmstat_oom_kill,
        "recorded": account.recorded,
        "unattributed": account.unattributed,
        "lostRecords": account.lost_records,
        "since": account.since,
    }


def _print_text(rows: list[dict[str, Any]], account: Account) -> None:
    columns = ("SYSCTL", "DESIRED", "ACTUAL", "ORIGINAL", "PERSISTED", "DRIFT", "STATE")
    table = [columns]
    for row in rows:
        table.append(
            (
                row["name"],
                _cell(row["desired"]),
                _cell(row["actual"]),
                _cell(row["original"]),
                ("yes" if row["persisted"] else "no") if row["desired"] is not None else "-",
                str(row["driftCount"]) if row["desired"] is not None else "-",
                _cell(row["state"]),
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(len(columns))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row["message"]:
            print(f"\n{row['name']}: {row['message']}")
        elif row["suspectedWriter"]:
            print(
                f"\n{row['name']}: last drifted {row['lastDriftTime']}, probably by {row['suspectedWriter']}"
            )
    print(
        f"\nOOM kills since {account.since or 'the start'}: {account.vmstat_oom_kill} counted by the kernel, "
        f"{account.recorded} recorded, {account.unattributed} unattributed; "
        f"{account.lost_records} log records lost."
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
