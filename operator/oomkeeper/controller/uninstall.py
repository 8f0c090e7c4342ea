"""Restore the nodes before an uninstall: suspend every policy, wait until the agents have released it.

`python -m oomkeeper.controller.uninstall` is the program of the chart's pre-delete hook. Controller and
agents still run at that time. It prints what could not be restored and exits with 0 in any case, so that an
uninstall is never blocked for longer than its timeout.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from oomkeeper.connection.config import ApiConfigError
from oomkeeper.model.names import GROUP, VERSION

from .apiclient import APIClient, APIError
from .login import find_config

POLICIES = f"/apis/{GROUP}/{VERSION}/oompolicies"
NODES = f"/apis/{GROUP}/{VERSION}/oomnodes"
SUSPENDED_BY = f"{GROUP}/suspended-by"
"""Annotation of the policies that the uninstall suspended, as opposed to a person."""

_POLL_SECONDS = 1.0
_MAX_LISTED = 50

Say = Callable[[str], None]
Document = Mapping[str, Any]


async def restore(api: APIClient, *, timeout_seconds: float, say: Say) -> list[str]:
    """Suspend all policies and wait until no node has a value of theirs.

    Return what is not restored after `timeout_seconds`, a sentence each; empty if everything is.
    """
    problems = ["the API server did not answer"]
    try:
        async with asyncio.timeout(timeout_seconds):
            await _suspend_policies(api, say=say)
            while problems := await _unrestored(api):
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return problems
    except APIError as error:
        if error.status == 404:  # the custom resource definitions were deleted, and with them every policy
            return []
        return [str(error)]
    return []


async def _suspend_policies(api: APIClient, *, say: Say) -> None:
    policies = [policy async for policy in api.list(POLICIES)]
    active = [one["metadata"]["name"] for one in policies if not (one.get("spec") or {}).get("suspend")]
    for name in active:
        patch = {"metadata": {"annotations": {SUSPENDED_BY: "uninstall"}}, "spec": {"suspend": True}}
        await api.merge(f"{POLICIES}/{name}", patch)
    if active:
        say(f"suspended {len(active)} of {len(policies)} policies: {', '.join(sorted(active))}")
    else:
        say("no policy is active")


async def _unrestored(api: APIClient) -> list[str]:
    problems = [problem async for node in api.list(NODES) if (problem := node_problem(node))]
    return sorted(problems)


def node_problem(node: Document) -> str | None:
    """Return what one OOMNode shows as not restored, None if nothing is left of any policy."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    name = node["metadata"]["name"]
    wanted = [*_names(spec.get("sysctls")), *_names(spec.get("oomScoreAdjustments"))]
    if wanted:
        return f"{name}: the controller has not released {', '.join(wanted)}"
    held = [_held(one) for one in status.get("sysctls") or ()]
    held += [f"oom_score_adj of {one}" for one in _names(status.get("oomScoreAdjustments"))]
    observed = status.get("observedGeneration")
    behind = observed is not None and observed != node["metadata"].get("generation")
    if held or behind:
        return f"{name}: the agent has not confirmed the release" + (f" of {', '.join(held)}" if held else "")
    return None


def _names(entries: Sequence[Document] | None) -> list[str]:
    return [str(one.get("name")) for one in entries or ()]


def _held(sysctl: Document) -> str:
    original = sysctl.get("original")
    value = f"{sysctl.get('name')}={sysctl.get('actual')}"
    return value if original is None else f"{value} (original {original})"


async def run(*, kubeconfig: Path | None, timeout_seconds: float, say: Say) -> None:
    """Restore the nodes and report the result. Raises ApiConfigError without credentials."""
    config = partial(find_config, kubeconfig=kubeconfig, environ=os.environ)
    config()  # fails before anything is requested
    api = APIClient(find_config=config)
    began = time.monotonic()
    try:
        problems = await restore(api, timeout_seconds=timeout_seconds, say=say)
    finally:
        await api.close()
    if not problems:
        say(f"every node has its original values, after {time.monotonic() - began:.0f} s")
        return
    say(f"not restored on {len(problems)} nodes within {timeout_seconds:g} s; the uninstall continues:")
    for problem in problems[:_MAX_LISTED]:
        say(f"  {problem}")
    if len(problems) > _MAX_LISTED:
        say(f"  and {len(problems) - _MAX_LISTED} more")
    say("write the original values on these nodes, or delete their drop-in and reboot them")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the hook and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m oomkeeper.controller.uninstall", description=__doc__)
    parser.add_argument("--timeout", type=float, default=100.0, metavar="SECONDS")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)

    def say(text: str) -> None:
        print(text, flush=True)

    try:
        asyncio.run(run(kubeconfig=options.kubeconfig, timeout_seconds=options.timeout, say=say))
    except ApiConfigError as error:
        say(f"nothing restored: {error}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
