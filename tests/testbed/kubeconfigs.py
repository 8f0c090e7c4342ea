"""kubeconfig files, written without a YAML library: JSON is YAML."""

from __future__ import annotations

import json
from pathlib import Path


def write_kubeconfig(path: Path, *, url: str, ca_file: Path, token: str, user: str) -> Path:
    """Write a kubeconfig for one user with a bearer token; gives `path`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "testbed", "cluster": {"server": url, "certificate-authority": str(ca_file)}},
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
        "current-context": "testbed",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
    return path
