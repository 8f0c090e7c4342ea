"""Start of the controller, and its exit statuses: 0 stopped by a signal, 1 failed, 2 bad input."""

import asyncio
import logging
import sys
from pathlib import Path

from oomkeeper.connection.config import ApiConfigError
from oomkeeper.logformat import LogFormat, configure_logging

LOG_LEVELS = ("debug", "info", "warning", "error")


def start(
    *,
    kubeconfig: Path | None,
    namespace: str,
    agent_selector: str | None,
    incident_ttl: str,
    incidents_per_namespace: int,
    incidents: int,
    liveness: str | None,
    log_level: str,
    log_format: LogFormat,
) -> int:
    """Run the controller until SIGTERM or SIGINT. Return the exit status. Imports nothing heavy before it
    runs: `oomkeeper controller --help` imports this module."""
    if liveness is not None and not liveness.startswith("http://"):
        print(
            f"oomkeeper controller: --liveness {liveness}: write a URL such as http://0.0.0.0:8080/healthz",
            file=sys.stderr,
        )
        return 2
    configure_logging(level=getattr(logging, log_level.upper()), log_format=log_format)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # one line per health probe
    try:
        from oomkeeper.api.scalars import duration_seconds

        from .app import Options, run
        from .incident_bounds import IncidentBounds
    except ModuleNotFoundError as error:
        print(
            f"oomkeeper controller: {error.name} is not installed: install oomkeeper[controller]",
            file=sys.stderr,
        )
        return 2
    try:
        ttl_seconds = duration_seconds(incident_ttl)
    except ValueError as error:
        print(f"oomkeeper controller: --incident-ttl: {error}", file=sys.stderr)
        return 2
    bounds = IncidentBounds(
        ttl_seconds=ttl_seconds, per_namespace=incidents_per_namespace, in_cluster=incidents
    )
    try:
        asyncio.run(
            run(
                Options(
                    kubeconfig=kubeconfig,
                    namespace=namespace,
                    agent_selector=agent_selector,
                    bounds=bounds,
                    liveness=liveness,
                )
            )
        )
    except ApiConfigError as error:
        print(f"oomkeeper controller: {error}", file=sys.stderr)
        return 2
    return 0
