"""`oomkeeper node`: the agent on one bare host. Keeps a policy's sysctls and adjustments, and witnesses OOM
kills.
"""

import argparse
import logging
import signal
import sys

import msgspec

from oomkeeper.agent.desired import Desired
from oomkeeper.agent.listener import LoopListener
from oomkeeper.agent.loop import HostPaths, NodeLoop, restore_node
from oomkeeper.agent.messages import DesiredChanged
from oomkeeper.agent.store import StateError, Store, hold_state
from oomkeeper.kernel.kmsg import KmsgReader, KmsgUnreadableError
from oomkeeper.logformat import configure_logging
from oomkeeper.resources.killrecord import RecordedKill

from .errors import BadInput, complain
from .host import add_host_paths, add_log_format, add_output, add_state_dir, host_paths, text_pages_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policy", metavar="FILE", help="an OOMPolicy as YAML; without it the node is only watched"
    )
    parser.add_argument(
        "--restore",
        action="store_true",
        help="put back what was changed: at the end with --policy, at once and without watching otherwise",
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="log progress to stderr")
    add_log_format(parser)
    add_state_dir(parser)
    add_output(parser)
    add_host_paths(parser)


def run(args: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT; exit 0 then. Bad input ends it before anything is changed."""
    configure_logging(level=logging.INFO if args.verbose else logging.WARNING, log_format=args.log_format)
    desired = _desired(args.policy) if args.policy else None
    host = host_paths(args)
    restore_only = args.restore and desired is None
    try:
        if restore_only:
            store = Store.open(args.state_dir, create=False)
            with hold_state(args.state_dir):
                _restore(store, host)
            store.close()
            return 0
        KmsgReader(path=host.kmsg).close()
        with hold_state(args.state_dir):
            store = Store.open(args.state_dir)
            _watch(args, store=store, host=host, desired=desired)
            if args.restore:
                _restore(store, host)
            store.close()
    except (StateError, KmsgUnreadableError) as error:
        raise BadInput(str(error)) from error
    return 0


def _watch(args: argparse.Namespace, *, store: Store, host: HostPaths, desired: Desired | None) -> None:
    loop = NodeLoop(
        store=store,
        node=_host_name(host),
        host=host,
        pods=None,
        operator_namespace="oomkeeper-system",
        listener=_KillPrinter(args.output),
    )
    if desired is not None:
        loop.post(DesiredChanged(desired))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: loop.stop())
    complain(
        "oomkeeper node",
        f"watching the kernel log; state in {args.state_dir}"
        + (f"; keeping {len(desired.sysctls)} sysctls" if desired is not None else ""),
    )
    loop.run()


def _desired(path: str) -> Desired:
    """What a policy file asks of this host. nodeSelector and rollout speak of a cluster and do not matter
    here.
    """
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

    def __init__(self, output: str) -> None:
        self._output = output

    def kill_recorded(self, record: RecordedKill) -> None:
        if self._output == "json":
            text = msgspec.json.encode(record).decode()
        else:
            text = "".join(text_pages_for([msgspec.to_builtins(record)]))
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
