"""Command line of the controller, and its exit codes: 0 stopped by a signal, 1 failed, 2 bad input."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from oomkeeper.connection.config import ApiConfigError
from oomkeeper.logformat import LOG_FORMATS, configure_logging

_LEVELS = ("debug", "info", "warning", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `oomkeeper controller`. Imports nothing heavy: `oomkeeper --help` runs this."""
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="the cluster to serve; else KUBECONFIG, the pod's service account, ~/.kube/config",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        default="oomkeeper-system",
        help="the operator's own namespace (%(default)s)",
    )
    parser.add_argument(
        "--liveness", metavar="URL", help="serve a health endpoint there, such as http://0.0.0.0:8080/healthz"
    )
    parser.add_argument("--log-level", choices=_LEVELS, default="info", help="(%(default)s)")
    parser.add_argument(
        "--log-format", choices=LOG_FORMATS, default="logfmt", help="format of log lines (%(default)s)"
    )


def start(args: argparse.Namespace) -> int:
    """Run the controller until SIGTERM or SIGINT. Return the exit code."""
    if args.liveness is not None and not args.liveness.startswith("http://"):
        print(
            f"oomkeeper controller: --liveness {args.liveness}: write a URL such as http://0.0.0.0:8080/healthz",
            file=sys.stderr,
        )
        return 2
    configure_logging(level=getattr(logging, args.log_level.upper()), log_format=args.log_format)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        from .app import Options, run
    except ModuleNotFoundError as error:
        print(
            f"oomkeeper controller: {error.name} is not installed: install oomkeeper[controller]",
            file=sys.stderr,
        )
        return 2
    try:
        asyncio.run(
            run(Options(kubeconfig=args.kubeconfig, namespace=args.namespace, liveness=args.liveness))
        )
    except ApiConfigError as error:
        print(f"oomkeeper controller: {error}", file=sys.stderr)
        return 2
    return 0
