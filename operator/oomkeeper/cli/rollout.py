"""`kubectl oom rollout`: follow, pause, resume and undo the rollout of an OOMPolicy."""

import json
import time
from typing import Any

import click

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.names import ROLLOUT_ANNOTATION, ROLLOUT_PAUSE
from oomkeeper.model.policy import RolloutPhase, next_resume, rolled_out
from oomkeeper.reporting.rollout_progress import progress_of
from oomkeeper.resources.oompolicy import CompletedRollout, OOMPolicyStatus
from oomkeeper.resources.record import read_part

from .cluster import Target, cluster_options, connected, is_unknown_kind
from .cluster_client import ClusterClient
from .errors import BadInput, CliError

_LOOK_SECONDS = 1.0
_STATUS_EPILOG = """\
A rollout that is complete is a success; one that has halted, a spec that is invalid, a panic breaker that has
tripped, and a complete rollout whose values are refused, unsupported or overwritten on a node are failures. A
node that is not Ready, or has no working agent, is named and is no failure. A paused rollout is waited for.

Exit status: 0 complete, or with --no-watch still on its way; 1 failed, deleted or not complete within
--timeout; 2 wrong command line."""
_UNDO_EPILOG = """\
Restores the spec whose rollout was complete before, except spec.rollout and spec.suspend, which stay: only
nodes that have been changed change again, in batches. A second undo restores what the first one undid. What
a GitOps tool applies must be reverted in its repository as well.

Exit status: 0 undone, 1 nothing to undo, or refused by the API server."""


@click.group("rollout", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> int:
    """Follow, pause, resume and undo the rollout of an OOMPolicy."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 0


_POLICY = click.argument("policy", callback=lambda _ctx, _option, value: value.rpartition("/")[2])
"""A name, also with oompolicy/ in front."""


@command.command(epilog=_STATUS_EPILOG)
@_POLICY
@click.option(
    "-w/ ",
    "--watch/--no-watch",
    default=True,
    help="Wait until the rollout has ended, and print each step; --no-watch prints the present one.",
)
@click.option(
    "--timeout", metavar="DURATION", default="0s", help="Longest wait, such as 90s or 1h; 0s: no limit."
)
@cluster_options(namespaced=False)
def status(*, policy: str, watch: bool, timeout: str, target: Target) -> int:
    """Show how far the rollout of a policy is, and wait until it is complete."""
    limit_seconds = _seconds(timeout)
    deadline = time.monotonic() + limit_seconds if limit_seconds else None
    shown = ""
    with connected(target) as client:
        while True:
            progress = progress_of(_policy(client, policy))
            if progress.line != shown and not progress.failed:
                click.echo(shown := progress.line)
            if progress.failed:
                raise CliError(progress.line)
            if progress.ended or not watch:
                return 0
            if deadline is not None and time.monotonic() >= deadline:
                raise CliError(f"not complete after {timeout}: {progress.line}")
            time.sleep(_LOOK_SECONDS)


@command.command()
@_POLICY
@cluster_options(namespaced=False)
def pause(*, policy: str, target: Target) -> int:
    """Let no further node change until the rollout is resumed. Nodes that have been changed stay so."""
    with connected(target) as client:
        if _request(_policy(client, policy)) == ROLLOUT_PAUSE:
            click.echo(f"oompolicy/{policy} was paused already")
            return 0
        _annotate(client, policy, ROLLOUT_PAUSE)
    click.echo(f"oompolicy/{policy} paused")
    return 0


@command.command()
@_POLICY
@cluster_options(namespaced=False)
def resume(*, policy: str, target: Target) -> int:
    """Continue a rollout that is paused or has halted. After a halt the nodes are looked at again: if one
    still fails, the rollout halts again."""
    with connected(target) as client:
        obj = _policy(client, policy)
        rollout = _status(obj).rollout
        halted = rollout is not None and rollout.phase == RolloutPhase.HALTED
        if _request(obj) != ROLLOUT_PAUSE and not halted:
            click.echo(f"oompolicy/{policy} is neither paused nor halted; nothing changed")
            return 0
        _annotate(client, policy, next_resume(_request(obj), now=time.time()))
    click.echo(f"oompolicy/{policy} resumed")
    return 0


@command.command(epilog=_UNDO_EPILOG)
@_POLICY
@click.option("--dry-run", is_flag=True, help="Have the API server check the change, and change nothing.")
@cluster_options(namespaced=False)
def undo(*, policy: str, dry_run: bool, target: Target) -> int:
    """Restore the values that the policy had before its last change."""
    with connected(target) as client:
        obj = _policy(client, policy)
        if _request(obj) == ROLLOUT_PAUSE:
            raise CliError(f"oompolicy/{policy} is paused: resume it first")
        spec = obj.get("spec") or {}
        entry, earlier = _earlier(policy, _status(obj), spec)
        kept = {key: value for key, value in spec.items() if key in ("rollout", "suspend")}
        query = {"dryRun": "All"} if dry_run else {}
        try:
            done = client.replace(_path(policy), {**obj, "spec": {**rolled_out(earlier), **kept}}, **query)
        except ApiError as error:
            if error.status == 409:
                raise CliError(f"oompolicy/{policy} was changed in the same moment: run it again") from error
            raise
    generation = (done.get("metadata") or {}).get("generation")
    what = f"oompolicy/{policy} has the values of generation {entry.generation} again"
    click.echo(f"{what}{' (dry run)' if dry_run else f', as generation {generation}'}")
    return 0


def _earlier(
    policy: str, status: OOMPolicyStatus, spec: dict[str, Any]
) -> tuple[CompletedRollout, dict[str, Any]]:
    """Return the newest completed rollout whose values differ from those of the present spec."""
    for entry in status.completed_rollouts:
        if entry.spec is None:
            raise CliError(
                f"the spec of generation {entry.generation} was too long to be kept: apply the earlier file"
            )
        try:
            earlier = json.loads(entry.spec)
        except ValueError as error:
            raise CliError(f"status.completedRollouts of oompolicy/{policy} is damaged") from error
        if not isinstance(earlier, dict):
            raise CliError(f"status.completedRollouts of oompolicy/{policy} is damaged")
        if rolled_out(earlier) != rolled_out(spec):
            return entry, earlier
    raise CliError(f"oompolicy/{policy} has no earlier values whose rollout was complete")


def _policy(client: ClusterClient, name: str) -> dict[str, Any]:
    try:
        return client.get(_path(name))
    except ApiError as error:
        if error.status == 404 and not is_unknown_kind(error):
            raise CliError(f"oompolicy {name} not found") from error
        raise


def _path(name: str) -> str:
    return resource_path("oompolicies", name=name)


def _status(obj: dict[str, Any]) -> OOMPolicyStatus:
    return read_part(OOMPolicyStatus, obj.get("status") or {})[0] or OOMPolicyStatus()


def _request(obj: dict[str, Any]) -> str | None:
    value = ((obj.get("metadata") or {}).get("annotations") or {}).get(ROLLOUT_ANNOTATION)
    return value if isinstance(value, str) else None


def _annotate(client: ClusterClient, name: str, value: str) -> None:
    patch = {"metadata": {"annotations": {ROLLOUT_ANNOTATION: value}}}
    client.merge(_path(name), patch)


def _seconds(text: str) -> int:
    from oomkeeper.model.times import duration_seconds

    try:
        return duration_seconds(text)
    except ValueError as error:
        raise BadInput(f"--timeout {error}") from error
