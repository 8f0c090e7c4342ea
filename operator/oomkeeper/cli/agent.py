"""`oomkeeper agent`: the node's half of the operator, as the DaemonSet runs it."""

import argparse
import base64
import logging
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

from oomkeeper.agent.kube.client import ApiConfig, ApiError
from oomkeeper.agent.service import Agent, AgentConfig
from oomkeeper.agent.store import StateError
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
        "--kubeconfig", metavar="FILE", type=Path, help="outside a pod: the API server and who we are"
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
        api = (
            api_config(args.kubeconfig) if args.kubeconfig else ApiConfig.in_cluster(environ=dict(os.environ))
        )
        agent = Agent(
            AgentConfig(
                api=api,
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
    except (ApiError, StateError) as error:
        raise BadInput(str(error)) from error


_failed: list[str] = []


def _fail(failure: threading.ExceptHookArgs, agent: Agent) -> None:
    """A thread that dies takes the agent with it: kubelet starts it anew, and the state file says from
    where."""
    name = failure.thread.name if failure.thread else "?"
    get_logger(__name__).exception("thread died", failure.exc_value or failure.exc_type(), name=name)
    _failed.append(name)
    agent.stop()


def api_config(path: Path) -> ApiConfig:
    """The current context of a kubeconfig with a token or a client certificate; exec plugins are for
    people, not for agents.
    """
    import yaml

    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        return ApiConfig(
            server=cluster["server"],
            ca_file=_file(cluster, "certificate-authority", base=path.parent),
            token=user.get("token"),
            token_file=Path(user["tokenFile"]) if "tokenFile" in user else None,
            client_cert=_file(user, "client-certificate", base=path.parent),
            client_key=_file(user, "client-key", base=path.parent),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
        )
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, TypeError, LookupError, StopIteration) as error:
        raise BadInput(
            f"{path}: not a kubeconfig with a current context ({type(error).__name__}: {error})"
        ) from error


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _file(section: dict[str, Any], key: str, *, base: Path) -> Path | None:
    """A file named in the kubeconfig, or the data given in its place written to a private temporary file."""
    if key in section:
        return base / str(section[key])
    data = section.get(key + "-data")
    if data is None:
        return None
    fd, name = tempfile.mkstemp(prefix="oomkeeper-")
    with os.fdopen(fd, "wb") as file:
        file.write(base64.b64decode(data))
    return Path(name)
