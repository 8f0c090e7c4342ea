"""docs/chart-values.md and the chart's README: every value with its default and its comment in
values.yaml."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tests.cluster.chart_harness import CHART, ROOT

PAGE = ROOT / "docs" / "chart-values.md"
README = CHART / "README.md"
_KEY = re.compile(r"( *)(\w+):")
_WHOLE = {
    "affinity",
    "labels",
    "nodeSelector",
    "podSecurityContext",
    "resources",
    "securityContext",
    "updateStrategy",
}
"""Values that are Kubernetes objects: one row each."""
_HEAD = """# Chart values

Generated from `charts/oomkeeper/values.yaml` by `make chart-golden`. Other values are refused.
How to install: [install.md](install.md). Values per platform: [platforms.md](platforms.md).

"""
_README_HEAD = """# oomkeeper

{description}

```console
$ kubectl create namespace oomkeeper-system
$ kubectl label namespace oomkeeper-system pod-security.kubernetes.io/enforce=privileged
$ helm install oomkeeper . --namespace oomkeeper-system --set image.repository=REGISTRY/oomkeeper
$ helm test oomkeeper --namespace oomkeeper-system
```

Needs Kubernetes {kubernetes}. Nothing on any node is changed before you apply an OOMPolicy.
Upgrade (definitions first), uninstall, permissions, host access: `docs/install.md` of the repository.

## Values

Generated from `values.yaml` by `make chart-golden`. Other values are refused.

"""


def values_page() -> str:
    """Return the page."""
    return _HEAD + _table()


def chart_readme() -> str:
    """Return the chart's README."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    kubernetes = chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0") + " or newer"
    return _README_HEAD.format(description=chart["description"], kubernetes=kubernetes) + _table()


def _table() -> str:
    text = (CHART / "values.yaml").read_text()
    comments = _comments(text)
    rows = [
        f"| `{path}` | {_default(value)} | {_meaning(path, comments)} |"
        for path, value in _leaves(yaml.safe_load(text))
    ]
    return "| value | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _meaning(path: str, comments: dict[str, str]) -> str:
    """Return the comment of the value; the first value of a group has the group's comment before its own."""
    return comments.get(path, "").replace("|", "\\|")


def _default(value: object) -> str:
    if value in ("", [], {}):
        return "empty"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"


def _leaves(values: dict[str, Any], head: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in _WHOLE:
            found += _leaves(value, f"{head}{key}.")
        else:
            found.append((head + key, value))
    return found


def _comments(text: str) -> dict[str, str]:
    """Return the comment lines directly above each key, joined: path -> text."""
    found: dict[str, str] = {}
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        if key := _KEY.match(line):
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            if comment and len(path) == depth + 1:
                found[".".join(path)] = " ".join(comment)
        comment = []
    return _with_groups(found)


def _with_groups(comments: dict[str, str]) -> dict[str, str]:
    """Give a group's comment to its `create`, `enabled`, `repository` or `restore` value."""
    for path, text in list(comments.items()):
        for name in ("create", "enabled", "repository", "restore"):
            member = f"{path}.{name}"
            comments[member] = f"{text} {comments.get(member, '')}".strip()
    return comments
