"""Check an installation: every agent reports to the API server, and the controller refreshes a report.

`python -m oomkeeper.controller.selftest` is the program of the chart's `helm test`. It exits with 1 and lists
what is wrong if that lasts until its timeout.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from oomkeeper.connection.config import ApiConfigError
from oomkeeper.model.names import GROUP, VERSION

from .apiclient import APIClient, APIError
from .login import find_config

NODES = f"/apis/{GROUP}/{VERSION}/oomnodes"
REPORTS = f"/apis/{GROUP}/{VERSION}/oomreports"

_POLL_SECONDS = 1.0

Document = Mapping[str, Any]


def node_problems(nodes: Sequence[Document]) -> list[str]:
    """Return what is wrong with the OOMNodes, a sentence each."""
    if not nodes:
        return ["no OOMNode exists: the controller has not created any"]
    problems = []
    for node in nodes:
        name, status = node["metadata"]["name"], node.get("status") or {}
        if not status.get("agentVersion"):
            problems.append(f"{name}: no agent has reported")
            continue
        problems += [
            f"{name}: {one['type']} is {one['status']}: {one.get('message') or one.get('reason')}"
            for one in status.get("conditions") or ()
            if one["type"] == "KernelLogReadable" and one["status"] != "True"
        ]
    return sorted(problems)


def report_problems(reports: Sequence[Document], *, name: str) -> list[str]:
    """Return what is wrong with the OOMReport `name`."""
    found = [report for report in reports if report["metadata"]["name"] == name]
    if not found:
        return [f"OOMReport {name} does not exist"]
    if not (found[0].get("status") or {}).get("refreshTime"):
        return [f"OOMReport {name} was never refreshed: the controller does not run"]
    return []


async def check(api: APIClient, *, report: str | None, timeout_seconds: float) -> list[str]:
    """Wait until nothing is wrong. Return what is still wrong after `timeout_seconds`."""
    problems = ["the API server did not answer"]
    try:
        async with asyncio.timeout(timeout_seconds):
            while problems := await _problems(api, report=report):
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return problems
    return []


async def _problems(api: APIClient, *, report: str | None) -> list[str]:
    try:
        problems = node_problems(await _all(api.list(NODES)))
        if report is not None:
            problems += report_problems(await _all(api.list(REPORTS)), name=report)
    except APIError as error:
        return [str(error)]
    return problems


async def _all(objects: AsyncIterator[Document]) -> list[Document]:
    return [one async for one in objects]


async def run(*, kubeconfig: Path | None, report: str | None, timeout_seconds: float) -> list[str]:
    """Check the cluster of the credentials. Raises ApiConfigError without any."""
    config = partial(find_config, kubeconfig=kubeconfig, environ=os.environ)
    config()  # fails before anything is requested
    api = APIClient(find_config=config)
    try:
        return await check(api, report=report, timeout_seconds=timeout_seconds)
    finally:
        await api.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m oomkeeper.controller.selftest", description=__doc__)
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--report", metavar="NAME", help="an OOMReport that must have been refreshed")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        problems = asyncio.run(
            run(kubeconfig=options.kubeconfig, report=options.report, timeout_seconds=options.timeout)
        )
    except ApiConfigError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem)
    if not problems:
        print("every agent reports, and the controller works")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
