"""The report as one HTML page: written while the cluster is there, named at the end of the demo."""

import subprocess
import sys

from .harness import Harness
from .narration import DemoError, Narrator
from .running import CHECKOUT

PATH = CHECKOUT / "dist" / "oom-report.html"
PLUGIN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"


def show(harness: Harness, *, tell: Narrator) -> None:
    """Show the report as text and write it as a page. Raises DemoError if that fails."""
    tell.step("One report over everything")
    text = _report(harness, tell=tell)
    tell.output(text)
    tell.fact("Workloads" in text and "What to do" in text, "kills by cause, workload and node; what to do")
    PATH.parent.mkdir(exist_ok=True)
    shown = str(PATH.relative_to(CHECKOUT))
    _report(harness, "-o", "html", "--file", shown, tell=tell)
    tell.fact(PATH.read_text(encoding="utf-8").endswith("</html>\n"), f"the same as one page: {shown}")
    tell.done("kubectl oom report, as text and as one HTML page")
    tell.last(f"The report, for a browser: {PATH}")


def _report(harness: Harness, *options: str, tell: Narrator) -> str:
    tell.command(["kubectl", "oom", "report", "-A", *options])
    where = f"--kubeconfig={harness.kubectl.kubeconfig}"
    command = [sys.executable, "-c", PLUGIN, "report", "-A", *options, where]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"kubectl oom report: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout
