"""Whether a registry gives an image: by asking for it, and not for long."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cache import Say

CONTACT_SECONDS = 20.0
_PULL_SECONDS = 1800.0
# The first words of docker, and of buildah and podman, after the registry has answered with the manifest.
_ANSWERED = re.compile(r"Pulling from|Pulling fs layer|Getting image source|Copying (blob|config)|^Digest:")


def pull(
    command: Sequence[str | Path], *, image: str, say: Say, environment: Mapping[str, str] | None = None
) -> bool:
    """Run a pull; False, and the reason said, when no registry begins to give it in CONTACT_SECONDS."""
    say(f"pulling {image}")
    started = time.monotonic()
    answered, lines = threading.Event(), list[str]()
    with subprocess.Popen(
        [*command, image],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as puller:

        def end_late() -> None:
            # A registry that cannot be reached is often one that never answers.
            if not answered.wait(CONTACT_SECONDS) or not answered.wait(0) or _outlasts(puller):
                puller.kill()

        threading.Thread(target=end_late, daemon=True).start()
        assert puller.stdout is not None
        for line in puller.stdout:
            lines.append(line.strip())
            if _ANSWERED.search(line):
                answered.set()
    answered.set()
    if puller.returncode == 0:
        say(f"pulled {image} in {time.monotonic() - started:.0f} s")
        return True
    reason = lines[-1][:200] if lines and puller.returncode > 0 else f"no answer in {CONTACT_SECONDS:.0f} s"
    say(f"no registry gives {image}: {reason}")
    return False


def _outlasts(puller: subprocess.Popen[str]) -> bool:
    try:
        puller.wait(_PULL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False
