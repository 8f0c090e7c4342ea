"""kubectl on one cluster, shown as a person would type it."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed import TestbedError, packages, recipes
from tests.testbed.binaries import binaries

from .narration import DemoError, Narrator
from .running import CHECKOUT


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """kubectl with one kubeconfig's current context."""

    program: Path
    kubeconfig: Path
    cache: Path
    """For its discovery cache, which would otherwise remain in the home directory."""
    tell: Narrator

    def show(self, *arguments: str, empty_ok: bool = True) -> str:
        """Run a command and show it with its output. Raises DemoError if it fails."""
        self.tell.command(["kubectl", *arguments])
        done = self._run(arguments)
        self.tell.output(done.stdout + done.stderr)
        if done.returncode != 0:
            raise DemoError(f"kubectl {' '.join(arguments)}: exit {done.returncode}")
        if not empty_ok and not done.stdout.strip():
            raise DemoError(f"kubectl {' '.join(arguments)} shows nothing")
        return done.stdout

    def show_refused(self, *arguments: str) -> str:
        """Run a command that must be refused, and return its error message."""
        self.tell.command(["kubectl", *arguments])
        done = self._run(arguments)
        self.tell.output(done.stdout + done.stderr)
        if done.returncode == 0:
            raise DemoError(f"kubectl {' '.join(arguments)} was not refused")
        return done.stderr

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return an object or a list without showing the command; {} if there is none."""
        done = self._run(("get", *arguments, "--output=json", "--ignore-not-found"))
        if done.returncode != 0:
            raise DemoError(f"kubectl get {' '.join(arguments)}: {done.stderr.strip()}")
        found: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
        return found

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the items of a list without showing the command."""
        found: list[dict[str, Any]] = self.get(*arguments).get("items", [])
        return found

    def quietly(self, *arguments: str, input: str | None = None) -> str:
        """Run a clean-up command without showing it; return its error message, "" on success."""
        done = self._run(arguments, input=input)
        return done.stderr.strip() if done.returncode != 0 else ""

    def _run(self, arguments: Iterable[str], *, input: str | None = None) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [
            self.program,
            f"--kubeconfig={self.kubeconfig}",
            f"--cache-dir={self.cache}",
            *arguments,
        ]
        return subprocess.run(command, cwd=CHECKOUT, input=input, capture_output=True, text=True, check=False)


def find_kubectl(tell: Narrator) -> Path:
    """Return kubectl of this machine, else the testbed's. Raises TestbedError."""
    found = shutil.which("kubectl")
    if found:
        return Path(found)
    packages.require(packages.CONTROL_PLANE, say=tell.quiet)
    for recipe in recipes.CONTROL_PLANE:
        if "kubectl" in recipe.packages:
            return binaries((recipe,), say=tell.quiet)["kubectl"]
    raise TestbedError("kubectl is not on the PATH")
