"""`oomkeeper controller`: the cluster's half, as the chart runs it."""

import argparse

from oomkeeper.controller.start import add_arguments, start

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Run the controller until SIGTERM. Exit code 0; 2 where there is no cluster to serve."""
    return start(args)
