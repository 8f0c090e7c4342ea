"""`kubectl oom report` beside `kubectl get oomi -A`, and the HTML page in Chromium. `python -m bench.report`.

etcd and kube-apiserver are real; the bench fills them with incidents of realistic size. Runs of the commands
take turns, so that other work on the machine meets all of them.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from oomkeeper.connection.config import ApiConfig
from oomkeeper.controller.apiclient import APIClient
from oomkeeper.reporting.cluster_coverage import ClusterFacts
from oomkeeper.reporting.cluster_report import cluster_report
from oomkeeper.reporting.cluster_report_html import report_html
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.record import read
from tests.browser.chromium import browser, why_not
from tests.testbed import ControlPlane, TestbedError, control_plane

from .report_samples import Json, incidents

ROOT = Path(__file__).resolve().parents[1]
OOM = "/apis/oomkeeper.dev/v1alpha1"
AT_A_TIME = 24
PAGE_INCIDENTS, PAGE_KILLS = 3_000, 50_000
KILLS_PER_INCIDENT = 20
PLUGIN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog="python -m bench.report", description="The report at scale.")
    parser.add_argument("--incidents", type=int, default=10_000, help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default %(default)s")
    parser.add_argument(
        "--wait",
        type=int,
        metavar="SECONDS",
        default=0,
        help="measure a second time, so long after the last write; the API server compacts every 300 s",
    )
    parser.add_argument("--code", type=Path, metavar="DIR", help="another checkout's report takes turns too")
    args = parser.parse_args()
    _page(args.rounds)
    try:
        with control_plane(say=lambda text: print(f"  ({text})", flush=True)) as plane:
            plane.kubectl("apply", "-f", str(ROOT / "crds"))
            plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            asyncio.run(_fill(plane, args.incidents))
            _commands(plane, args.incidents, args.rounds, code=args.code)
            if args.wait:
                time.sleep(args.wait)
                print(f"{args.wait} s without a write later:")
                _commands(plane, args.incidents, args.rounds, code=args.code)
    except TestbedError as error:
        print(f"report: skipped: {error}")
    return 0


def _commands(plane: ControlPlane, count: int, rounds: int, *, code: Path | None) -> None:
    commands: dict[str, list[str]] = {
        "kubectl get oomi -A": [str(plane.kubectl_path), "get", "oomi", "-A"],
        "kubectl oom report -A": [sys.executable, "-c", PLUGIN, "report", "-A"],
        "kubectl oom report -A -o html": [sys.executable, "-c", PLUGIN, "report", "-A", "-o", "html"],
    }
    if code is not None:
        commands[f"{code}: report -A"] = [sys.executable, "-c", PLUGIN, "report", "-A"]
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
    other = {**environment, "PYTHONPATH": str((code or ROOT) / "operator")}
    times: dict[str, list[float]] = {name: [] for name in commands}
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            before = os.times()
            began = time.monotonic()
            chosen = other if code is not None and name.startswith(str(code)) else environment
            subprocess.run(command, env=chosen, stdout=subprocess.DEVNULL, check=True)
            took = time.monotonic() - began
            after = os.times()
            if number:  # the first one fills caches
                times[name].append(took)
                used = after.children_user + after.children_system
                cpu[name].append(used - before.children_user - before.children_system)
    yardstick = statistics.median(times["kubectl get oomi -A"])
    print(f"{count:,} incidents, medians of {rounds} runs in turns, load {os.getloadavg()[0]:.1f}:")
    for name in commands:
        median = statistics.median(times[name])
        shown = ", ".join(f"{one:.2f}" for one in sorted(times[name]))
        print(
            f"{name:30} {median:6.2f} s, {median / yardstick:.2f} times kubectl get; "
            f"{statistics.median(cpu[name]):.2f} s of CPU; all: {shown}"
        )


async def _fill(plane: ControlPlane, count: int) -> None:
    config = ApiConfig(server=plane.url, ca_file=plane.ca_file, token=plane.token)
    api = APIClient(find_config=lambda: config)
    slots = asyncio.Semaphore(AT_A_TIME)

    async def make(one: Json) -> None:
        async with slots:
            head = one["metadata"]
            path = f"{OOM}/namespaces/{head['namespace']}/oomincidents"
            body = {key: one[key] for key in ("apiVersion", "kind", "metadata", "spec")}
            await api.request("POST", path, body=body)
            await api.merge(f"{path}/{head['name']}/status", {"status": one["status"]})

    try:
        made = list(incidents(count, kills=count * KILLS_PER_INCIDENT, now=datetime.now(UTC)))
        for space in sorted({one["metadata"]["namespace"] for one in made}):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
            await api.request("POST", "/api/v1/namespaces", body=body)
        await asyncio.gather(*map(make, made))
    finally:
        await api.close()


def _page(rounds: int) -> None:
    now = datetime.now(UTC)
    objects = list(incidents(PAGE_INCIDENTS, kills=PAGE_KILLS, now=now))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        began = time.process_time()
        parts = _rendered(objects, end=now.timestamp())
        path.write_text("".join(parts))
        size = path.stat().st_size / (1 << 20)
        print(
            f"page of {PAGE_KILLS:,} kills in {PAGE_INCIDENTS:,} incidents: {size:.1f} MiB, "
            f"made in {time.process_time() - began:.2f} s of CPU"
        )
        if (reason := why_not()) is not None:
            print(f"page in a browser: skipped: {reason}")
            return
        opened = []
        with browser() as page:
            page.screen(width=1280, height=900)
            for _ in range(rounds):
                page.open(path)
                opened.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
        shown = ", ".join(f"{one / 1000:.2f}" for one in sorted(opened))
        print(
            f"opened in Chromium (to the end of the load event, charts drawn): "
            f"median {statistics.median(opened) / 1000:.2f} s of {rounds} runs, "
            f"load {os.getloadavg()[0]:.1f}; all: {shown}"
        )


def _rendered(objects: Iterable[Json], *, end: float) -> Iterable[str]:
    found = [read(OOMIncident, one) for one in objects]
    start = end - 7 * 86400
    made = cluster_report(found, facts=ClusterFacts(nodes=[], reports=[]), start=start, end=end)
    return report_html(made, incidents=found, start=start, end=end)


if __name__ == "__main__":
    sys.exit(main())
