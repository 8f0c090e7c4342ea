"""Reconnect storm: what many agents ask of an API server that restarts. `python -m bench.reconnect`.

Each simulated agent has the two reflectors of a real one (its OOMNode, its pods) and nothing else. They
follow a kube-apiserver of their own beside that of the testbed, on the same etcd; it is killed, stays away
for some seconds, and comes back with an empty watch cache. Every attempt of a request is counted where it is
made, those that are refused among them.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context
from typing import Any

from oomkeeper.agent.kube.client import ApiConfig, decode_object, resource_path
from oomkeeper.agent.kube.reflector import Reflector
from oomkeeper.agent.kube.transport import Transport
from tests.testbed import ControlPlane, TestbedError, control_plane
from tests.testbed.ports import free_ports

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 4


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.reconnect", description="Reconnect storm.")
    parser.add_argument("--agents", type=int, default=1000, help="simulated agents (default %(default)s)")
    parser.add_argument(
        "--away", type=float, default=10.0, help="seconds without API server (default %(default)s)"
    )
    parser.add_argument(
        "--watch", type=float, default=60.0, help="seconds observed after it (default %(default)s)"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return _work(json.loads(args.worker))
    try:
        with control_plane(say=lambda text: print(f"  ({text})", flush=True)) as plane:
            plane.kubectl("apply", "-f", str(ROOT / "crds"))
            plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            _measure(plane, agents=args.agents, away_seconds=args.away, watch_seconds=args.watch)
    except TestbedError as error:
        print(f"reconnect: skipped: {error}")
    return 0


def _measure(plane: ControlPlane, *, agents: int, away_seconds: float, watch_seconds: float) -> None:
    server = SecondServer(plane)
    server.start()
    workers = [Worker(plane, url=server.url, first=n, step=WORKERS, agents=agents) for n in range(WORKERS)]
    try:
        _await(lambda: sum(one.watching() for one in workers) == 2 * agents, seconds=180)
        time.sleep(5)
        killed = time.time()
        server.kill()
        time.sleep(away_seconds)
        back = server.start()
        _await(lambda: sum(one.watching() for one in workers) == 2 * agents, seconds=180)
        recovered = time.time()
        time.sleep(max(0.0, back + watch_seconds - recovered))
        attempts = [attempt for one in workers for attempt in one.end()]
    finally:
        for one in workers:
            one.process.kill()
        server.kill()
    away = [one for one in attempts if killed <= one.at < back]
    after = [one for one in attempts if back <= one.at < back + watch_seconds]
    print(f"{agents} agents, API server away for {back - killed:.0f} s:")
    print(f"while it was away: {_rate(away, since=killed)}")
    print(f"after it was ready: {_rate(after, since=back)}")
    kinds = Counter(one.kind for one in after)
    print(f"  of them {kinds['LIST']} LIST, {kinds['NEWEST']} LIST from etcd, {kinds['WATCH']} WATCH")
    print(f"all watches were open again {recovered - back:.0f} s after it was ready")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was tried."""

    at: float
    kind: str


def _rate(attempts: list[Attempt], *, since: float) -> str:
    seconds = Counter(int(one.at - since) for one in attempts)
    rates = [seconds[number] for number in range(max(seconds, default=0) + 1)]
    median = statistics.median(rates)
    return f"{len(attempts)} attempts, at most {max(rates)} a second, median {median:.0f}: {rates[:30]}"


class SecondServer:
    """A kube-apiserver on the testbed's etcd that may be killed."""

    def __init__(self, plane: ControlPlane) -> None:
        [port] = free_ports(1)
        self.url = f"https://127.0.0.1:{port}"
        self._plane = plane
        self._folder = plane.folder / "second"
        self._folder.mkdir()
        own = plane.url.rpartition(":")[2]
        self._command = [
            part.replace(f"--secure-port={own}", f"--secure-port={port}").replace(
                f"--cert-dir={plane.folder}/apiserver", f"--cert-dir={self._folder}"
            )
            for part in _command_line(f"--secure-port={own}")
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it and return the time at which it was ready."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        context = create_default_context(cafile=str(self._plane.ca_file))

        def ready() -> bool:
            with urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=2) as answer:
                return bool(answer.status == 200)

        _await(ready, seconds=90)
        return time.time()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Worker:
    """A process with its share of the agents."""

    def __init__(self, plane: ControlPlane, *, url: str, first: int, step: int, agents: int) -> None:
        self._output = plane.folder / f"attempts-{first}"
        settings = {
            "url": url,
            "ca_file": str(plane.ca_file),
            "token": plane.token,
            "numbers": list(range(first, agents, step)),
            "output": str(self._output),
        }
        command = [sys.executable, "-m", "bench.reconnect", "--worker", json.dumps(settings)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._watching = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def watching(self) -> int:
        """Return how many watches are open."""
        return self._watching

    def end(self) -> list[Attempt]:
        """End the process and return the attempts of its agents."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return [Attempt(at=at, kind=kind) for at, kind in json.loads(self._output.read_text())]

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._watching = int(line)


def _work(settings: dict[str, Any]) -> int:
    """Be the agents with these numbers until SIGTERM."""
    log: list[tuple[float, str]] = []
    open_watches = _count_requests(log)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    config = ApiConfig(server=settings["url"], ca_file=Path(settings["ca_file"]), token=settings["token"])
    threading.stack_size(256 * 1024)
    for number in settings["numbers"]:
        name = f"node-{number}"
        for path, selector in (
            (resource_path("oomnodes"), "metadata.name"),
            ("/api/v1/pods", "spec.nodeName"),
        ):
            _follow(config, path, {"fieldSelector": f"{selector}={name}"})
        time.sleep(0.02)
    while not stopping.wait(0.5):
        print(len(open_watches), flush=True)
    Path(settings["output"]).write_text(json.dumps(log))
    os._exit(0)


def _follow(config: ApiConfig, path: str, query: dict[str, str]) -> None:
    Reflector(
        config=config,
        path=path,
        query=query,
        decode=decode_object,
        listed=lambda _items: None,
        changed=lambda _kind, _obj: None,
    ).start()


def _count_requests(log: list[tuple[float, str]]) -> set[int]:
    """Record each attempt of a request in `log`; return the set of clients whose watch is open."""
    send, open_watches = Transport._send, set[int]()

    def counted(self: Transport, method: str, path: str, *, query: dict[str, str], **options: Any) -> Any:
        kind = "WATCH" if "watch" in query else "LIST" if query.get("resourceVersion") else "NEWEST"
        log.append((time.time(), kind))
        open_watches.discard(id(self))
        answer = send(self, method, path, query=query, **options)
        if kind == "WATCH" and answer.status == 200:
            open_watches.add(id(self))
        return answer

    Transport._send = counted  # type: ignore[method-assign]
    return open_watches


def _command_line(flag: str) -> list[str]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if flag in arguments and arguments[0].endswith("kube-apiserver"):
                return [part for part in arguments if part]
    raise SystemExit("the testbed's kube-apiserver was not found")


def _await(done: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if done():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
