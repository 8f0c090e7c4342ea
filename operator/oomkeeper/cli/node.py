"""`oomkeeper node`: the agent on one host without Kubernetes. Enforces a policy's sysctls and adjustments,
and records OOM kills."""

import logging
import signal
import sys
from pathlib import Path

import click
from msgspec.json import encode

from oomkeeper.agent.database import DATABASE_NAME, StateError, hold_state
from oomkeeper.agent.desired import Desired
from oomkeeper.agent.health import Health
from oomkeeper.agent.host_paths import HostPaths
from oomkeeper.agent.inbox import Inbox
from oomkeeper.agent.listener import LoopListener
from oomkeeper.agent.loop import NodeLoop
from oomkeeper.agent.messages import DesiredChanged, Stop
from oomkeeper.agent.metrics_view import MetricsView
from oomkeeper.agent.nodestatus import NodeView
from oomkeeper.agent.recovery import open_state
from oomkeeper.agent.restore import restore_node
from oomkeeper.agent.runner import run_on_state
from oomkeeper.agent.serve_metrics import MetricsConfig, serving_metrics
from oomkeeper.agent.store import Store
from oomkeeper.kernel.kmsg import KmsgUnreadableError
from oomkeeper.kernel.log_reader import open_kernel_log
from oomkeeper.logformat import LogFormat, configure_logging
from oomkeeper.metrics.errors import MetricsPortError
from oomkeeper.model.units import count_text
from oomkeeper.resources.killrecord import RecordedKill

from .errors import BadInput, complain
from .host import (
    FILE,
    host_path_options,
    host_paths,
    log_format_option,
    metrics_config,
    metrics_options,
    output_option,
    state_dir_option,
)
from .output import JSON, TEXT, write_kills

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@click.command
@click.option(
    "--policy", metavar="FILE", type=FILE, help="An OOMPolicy as YAML; without it, kills are only recorded."
)
@click.option(
    "--restore",
    is_flag=True,
    help="Restore the original values: with --policy at the end, otherwise now, and exit.",
)
@metrics_options
@click.option("-v", "--verbose", is_flag=True, help="Log progress to stderr.")
@log_format_option
@state_dir_option
@output_option("text", "json")
@host_path_options
def command(
    policy: str | None,
    restore: bool,
    metrics_port: int | None,
    metrics_address: str,
    metrics_workload_labels: bool,
    metrics_max_series: int,
    verbose: bool,
    log_format: LogFormat,
    state_dir: Path,
    output: str,
    **paths: Path,
) -> int:
    """Enforce a policy's sysctls and record OOM kills on this host until SIGTERM, SIGINT or SIGHUP, without a
    cluster.

    Bad input ends it before anything is changed.
    """
    configure_logging(level=logging.INFO if verbose else logging.WARNING, log_format=log_format)
    desired = _desired(policy) if policy is not None else None
    host = host_paths(paths)
    restore_only = restore and desired is None
    metrics = metrics_config(
        metrics_port,
        address=metrics_address,
        workload_labels=metrics_workload_labels,
        max_series=metrics_max_series,
    )
    try:
        if restore_only and not (state_dir / DATABASE_NAME).exists():
            raise StateError(f"{state_dir}: no state database, so there is nothing to restore")
        if not restore_only:
            open_kernel_log(path=host.kmsg, after_seq=None, proc=host.proc).close()
        with hold_state(state_dir):
            store = open_state(state_dir)
            if not restore_only:
                _watch(store, host=host, desired=desired, output=output, metrics=metrics)
            if restore:
                _restore(store, host)
            store.close()
    except (StateError, KmsgUnreadableError, MetricsPortError) as error:
        raise BadInput(str(error)) from error
    return 0


def _watch(
    store: Store, *, host: HostPaths, desired: Desired | None, output: str, metrics: MetricsConfig | None
) -> None:
    inbox, health, view = Inbox(), Health(), MetricsView()
    node = _host_name(host)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda _number, _frame: inbox.post(Stop()))

    def build() -> NodeLoop:
        loop = NodeLoop(
            store=store,
            node=node,
            host=host,
            pods=None,
            operator_namespace="oomkeeper-system",
            listener=_KillPrinter(output, view),
            inbox=inbox,
            health=health,
        )
        view.facts = loop.facts
        if desired is not None:
            loop.post(DesiredChanged(desired))
        complain(
            "oomkeeper node",
            f"watching the kernel log; state in {store.folder}"
            + (f"; enforcing {len(desired.sysctls)} sysctls" if desired is not None else ""),
        )
        return loop

    with serving_metrics(metrics, store=store, node=node, health=health, view=view):
        run_on_state(store, build)


def _desired(path: str) -> Desired:
    """Return what a policy file sets on this host. nodeSelector and rollout only matter in a cluster."""
    if not path:
        raise BadInput("--policy is empty: write the path of a policy file")
    from oomkeeper.api.policyfile import PolicyFileError, load_policy

    from .policy import desired_of_policy

    try:
        return desired_of_policy(load_policy(path))
    except PolicyFileError as error:
        raise BadInput(str(error)) from error


def _restore(store: Store, host: HostPaths) -> None:
    restored = restore_node(store=store, host=host)
    for key, value in sorted(restored.items()):
        complain("oomkeeper node", f"restored {key} = {value}")
    if not restored:
        complain("oomkeeper node", "no sysctl to restore")


def _host_name(host: HostPaths) -> str:
    return (host.proc / "sys/kernel/hostname").read_text().strip()


class _KillPrinter(LoopListener):
    """Prints each kill on stdout: JSON as one line, text as a page."""

    def __init__(self, output: str, metrics_view: MetricsView) -> None:
        self._output = output
        self._metrics_view = metrics_view

    def node_changed(self, view: NodeView) -> None:
        """Keep it for the metrics."""
        self._metrics_view.newest = view

    def kill_recorded(self, record: RecordedKill) -> None:
        """Print one kill as soon as it is recorded."""
        if self._output == JSON:
            sys.stdout.write(encode(record).decode() + "\n")
        else:
            write_kills([record], output=TEXT)
            sys.stdout.write("\n")
        sys.stdout.flush()

    def kills_before_install(self, *, count: int, left_out: int) -> None:
        """Say that the store has more than is printed."""
        if count or left_out:
            complain(
                "oomkeeper node",
                f"{count_text(count, 'kill')} before this first start recorded"
                + (f", {left_out:,} left out" if left_out else "")
                + "; see oomkeeper kills",
            )
