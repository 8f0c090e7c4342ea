"""Golden files of the chart: the default rendering, and per platform what its values change in it.

`make chart-golden` writes them, the manifests for `kubectl apply -k`, the bundle for OLM,
docs/chart-values.md and the chart's README, after an intended change of the chart.
"""

from __future__ import annotations

import difflib
import sys
import tempfile
from pathlib import Path

from tests.cluster.chart_harness import CHART, NAMESPACE, RELEASE, Helm, helm

from .bundle import default_image, write_bundle
from .kustomize import MANIFESTS, manifests
from .values_page import PAGE, README, chart_readme, values_page

GOLDEN = Path(__file__).parent / "golden"
PLATFORMS = CHART.parents[1] / "examples" / "platforms"
KUBERNETES = "v1.31.0"
"""The oldest that the chart supports."""


def platforms() -> list[str]:
    """Return the names of the platforms with a values file."""
    return sorted(path.stem for path in PLATFORMS.glob("*.yaml"))


def default_rendering(renderer: Helm) -> str:
    """Return what `helm template` makes of the chart without values."""
    return _render(renderer)


def platform_changes(renderer: Helm, name: str) -> str:
    """Return the difference between the default rendering and the platform's, as a diff without headers."""
    default = default_rendering(renderer).splitlines(keepends=True)
    platform = _render(renderer, f"--values={PLATFORMS / name}.yaml").splitlines(keepends=True)
    lines = difflib.unified_diff(default, platform, n=2)
    return "".join("@@\n" if line.startswith("@@") else line for line in list(lines)[2:])


def golden_files(renderer: Helm) -> dict[str, str]:
    """Return every golden file: name -> content."""
    files = {f"{name}.diff": platform_changes(renderer, name) for name in platforms()}
    return {"default.yaml": default_rendering(renderer), **files}


def _render(renderer: Helm, *options: str) -> str:
    return renderer(
        "template", RELEASE, CHART, f"--namespace={NAMESPACE}", f"--kube-version={KUBERNETES}", *options
    )


def main() -> None:
    """Write all of them."""
    with tempfile.TemporaryDirectory() as folder:
        renderer = helm(Path(folder), say=lambda text: print(text, file=sys.stderr))
        files = golden_files(renderer)
        MANIFESTS.write_text(manifests(renderer))
        write_bundle(renderer, image=default_image())
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.iterdir():
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (GOLDEN / name).write_text(text)
    PAGE.write_text(values_page())
    README.write_text(chart_readme())


if __name__ == "__main__":
    main()
