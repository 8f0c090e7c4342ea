"""`oomkeeper agent`: the node's half of the operator, as the DaemonSet runs it."""

import argparse
import logging
import os
import signal
import threading
from pathlib import Path

from oomkeeper.agent.service import Agent, AgentConfig
from oomkeeper.agent.store import StateError
from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.connection.tls import check_config
from oomkeeper.logformat import configure_logging, get_logger

from .errors import FAILED, BadInput
from .host import add_host_paths, add_log_format, add_state_dir, host_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--node-name",
        metavar="NAME",
        default=os.environ.get("NODE_NAME"),
        help="this node's name (default $NODE_NAME)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        default=os.environ.get("POD_NAMESPACE", "oomkeeper-system"),
        help="the operator's own namespace, where incidents of host processes go (default $POD_NAMESPACE)",
    )
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="outside a pod: where the API server is, and the credentials",
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="log more")
    add_log_format(parser)
    add_state_dir(parser)
    add_host_paths(parser)


def run(args: argparse.Namespace) -> int:
    """Until SIGTERM; exit 0 then. Raises BadInput where it cannot begin."""
    configure_logging(level=logging.DEBUG if args.verbose else logging.INFO, log_format=args.log_format)
    if not args.node_name:
        raise BadInput("--node-name is missing (the DaemonSet sets NODE_NAME from spec.nodeName)")
    try:
        agent = Agent(
            AgentConfig(
                api=api_config(args.kubeconfig),
                node=args.node_name,
                state_dir=args.state_dir,
                namespace=args.namespace,
                host=host_paths(args),
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: agent.stop())
        threading.excepthook = lambda failure: _fail(failure, agent)
        agent.run()
        return FAILED if _failed else 0
    except (ApiConfigError, StateError) as error:
        raise BadInput(str(error)) from error


_failed: list[str] = []


def _fail(failure: threading.ExceptHookArgs, agent: Agent) -> None:
    """A thread that dies takes the agent with it: kubelet starts it anew, and the state file says from
    where."""
    name = failure.thread.name if failure.thread else "?"
    get_logger(__name__).exception("thread died", failure.exc_value or failure.exc_type(), name=name)
    _failed.append(name)
    agent.stop()


def api_config(kubeconfig: Path | None) -> ApiConfig:
    """Return how to reach the API server: by a kubeconfig, else by the pod's service account.

    Raises ApiConfigError.
    """
    environ = dict(os.environ)
    if kubeconfig is None:
        config = ApiConfig.in_cluster(environ=environ)
    else:
        from oomkeeper.connection.kubeconfig import read_kubeconfig

        config = read_kubeconfig([kubeconfig], environ=environ)
    check_config(config, source=kubeconfig)
    return config
