"""Whether something answers: `https://…` (200, verified against ca.crt in the run folder) or `unix:///path`."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

_TIMEOUT_SECONDS = 2.0


def answers(probe: str, *, folder: Path) -> bool:
    """Ask once; False for whatever refusal."""
    if probe.startswith("unix://"):
        return _connects(probe.removeprefix("unix://"))
    return _is_ok(probe, ca_file=folder / "ca.crt")


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_TIMEOUT_SECONDS)
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def _is_ok(url: str, *, ca_file: Path) -> bool:
    context = ssl.create_default_context(cafile=str(ca_file))
    # A proxy of the environment is not for loopback.
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with direct.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
