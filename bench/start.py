"""CPU of each verb of `kubectl oom` before its first request. `python -m bench.start`.

The API server is a socket: it waits for the first bytes of the TLS handshake, reads what the process has used
until then, and ends it. So the interpreter's start, all imports, the kubeconfig and the certificates are in
the figure. The yardstick is an interpreter that does nothing.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from oomkeeper.cli.kubectl_oom import VERBS
from tests.testbed.certificates import make_certificates
from tests.testbed.kubeconfigs import write_kubeconfig

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"
AIM_MS = 300
WAIT_SECONDS = 30.0
WORDS: dict[str, list[str]] = {
    "report": ["-A"],
    "incidents": ["-A"],
    "explain": ["deploy/web"],
    "why": ["web-0"],
    "recommend": ["deploy/web"],
    "policy": [],
    "nodes": [],
    "doctor": [],
    "drill": [],
    "bundle": ["-f", "{folder}/bundle.tar.gz"],
    "plan": ["-f", str(ROOT / "examples" / "keep-defaults.yaml")],
    "rollout": ["status", "keep-defaults"],
}
"""The arguments of each verb that asks the API server."""


class Start(NamedTuple):
    """One verb's starts, in ms of CPU."""

    quickest: float
    median: float


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.start", description="Starts of kubectl oom.")
    parser.add_argument("--rounds", type=int, default=15, help="default %(default)s")
    args = parser.parse_args()
    taken: dict[str, list[float]] = {verb: [] for verb in WORDS}
    nothing = []
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(name)
        server.settimeout(WAIT_SECONDS)
        make_certificates(folder)
        kubeconfig = write_kubeconfig(
            folder / "kubeconfig",
            url=f"https://127.0.0.1:{server.getsockname()[1]}",
            ca_file=folder / "ca.crt",
            token="token",
            user="bench",
        )
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        for _ in range(args.rounds + 1):  # the first one fills caches
            nothing.append(_python())
            for verb, words in WORDS.items():
                given = [word.format(folder=folder) for word in words]
                taken[verb].append(_start([verb, *given], server=server, environment=environment))
    yardstick = min(nothing[1:])
    print(f"python -c pass: {yardstick:.0f} ms of CPU; to the first request, load {os.getloadavg()[0]:.1f}:")
    for verb, times in taken.items():
        found = Start(min(times[1:]), statistics.median(times[1:]))
        over = "" if found.quickest < AIM_MS else f": more than {AIM_MS}"
        print(f"{verb:10} {found.quickest:4.0f} ms (median {found.median:.0f}){over}")
    if missing := set(VERBS) - set(WORDS) - {"log"}:
        print(f"not measured: {', '.join(sorted(missing))}")
    return 0


def _python() -> float:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return (usage.ru_utime + usage.ru_stime) * 1000


def _start(words: list[str], *, server: socket.socket, environment: dict[str, str]) -> float:
    process = subprocess.Popen(
        [sys.executable, "-c", PLUGIN, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(WAIT_SECONDS)
            connection.recv(1)
            return _used_ms(process.pid)
    except TimeoutError:
        raise SystemExit(f"kubectl oom {' '.join(words)}: no request") from None
    finally:
        process.kill()
        process.wait()


def _used_ms(pid: int) -> float:
    """Return the CPU that all threads of a process have used."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


if __name__ == "__main__":
    sys.exit(main())
