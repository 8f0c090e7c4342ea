"""The manifest by which krew installs the plugin (krew.googlecontainertools.github.com/v1alpha2)."""

from __future__ import annotations

from typing import Any

_DESCRIPTION = """\
Lists, explains and counts OOM kills that oomkeeper recorded on the nodes, tells what killed a container
(exit code 137), recommends memory limits, and diagnoses the installation.
"""
_CAVEATS = """\
Needs Python 3.11 to 3.14 as python3, and oomkeeper in the cluster. For completion:
ln -s kubectl-oom "$(dirname "$(command -v kubectl-oom)")/kubectl_complete-oom"
"""


def manifest(*, version: str, url: str, sha256: str, platforms: list[str]) -> dict[str, Any]:
    """Return plugins/oom.yaml for one archive that serves all `platforms` (SYSTEM-MACHINE)."""
    machines = {"x86_64": "amd64", "aarch64": "arm64"}
    found = [platform.split("-", 1) for platform in platforms]
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "oom"},
        "spec": {
            "version": f"v{version}",
            "homepage": url.partition("/releases/")[0],
            "shortDescription": "Explain OOM kills, and what else killed a container",
            "description": _DESCRIPTION,
            "caveats": _CAVEATS,
            "platforms": [
                {
                    "selector": {"matchLabels": {"os": system, "arch": machines[machine]}},
                    "uri": url,
                    "sha256": sha256,
                    "bin": "kubectl-oom",
                }
                for system, machine in found
            ],
        },
    }
