"""`python -m tests.kernel_lab.traces`: the agent's reader of tracefs on what each kernel of the lab wrote.

The guests have no Python. So each makes an instance as the agent does, kills, and hands over formats and
pages as they are; the reader then finds the same files in a folder. They are kept for the unit tests.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from oomkeeper.agent.process_cgroups import ProcessCgroups
from oomkeeper.agent.traced_kills import KillPairs
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.tracefs.events import CLONE_THREAD, CgroupJoined, SignalSent, TraceEvent
from oomkeeper.kernel.tracefs.instance import TraceInstance
from tests.testbed.qemu import kernel

from .boots import record
from .cases import Case
from .image import require_programs
from .logs import SETS
from .truth import Recording, Truth

TRACES = Path(__file__).parent / "traces"
TRACE = Case(
    name="trace", says="Kills with tracing on.", cgroups=("v1", "v2"), append="lab.trace=1", panics=None
)
EVENTS = {
    "oom/mark_victim": None,
    "signal/signal_generate": "sig == 9",
    "cgroup/cgroup_attach_task": None,
    "task/task_newtask": f"!(clone_flags & {CLONE_THREAD})",
}


AT_THE_END = 1 << 62
"""A time after all that any guest recorded."""


@contextmanager
def _instance(archive: bytes, *, joins_cpus: bool = False) -> Iterator[TraceInstance]:
    """A reader of a guest's files."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
            files.extractall(root, filter="data")
        instance = TraceInstance(root, "oomkeeper", events=EVENTS, buffer_kib=16, joins_cpus=joins_cpus)
        yield instance
        instance.close()


def read_trace(archive: bytes, *, until_ns: Sequence[int] = (AT_THE_END,)) -> list[TraceEvent]:
    """Return what the agent's reader finds in a guest's files, read up to each of these times in turn."""
    events = []
    with _instance(archive) as instance:
        for until in until_ns:
            found, lost = instance.read(until_ns=until)
            assert lost is None
            assert all(event.time_ns < until for event in found)
            events += found
    return events


def complete_since(archive: bytes) -> int | None:
    """Return since when a reader that may not be the first takes a guest's events to be complete."""
    with _instance(archive, joins_cpus=True) as instance:
        _, since = instance.read(until_ns=AT_THE_END)
        assert instance.read(until_ns=AT_THE_END) == ([], None)
    return since


def mistakes(truth: Truth, events: Sequence[TraceEvent], *, cgroups: str) -> list[str]:
    """Compare what the guest did with what was read; return the differences."""
    found = []
    victims = [pid for pid, _ in truth.victims]
    kills = KillPairs().take(events)
    if [kill.pid for kill in kills] != victims:
        found.append(f"OOM kills of {[kill.pid for kill in kills]}, in truth of {victims}")
    elif kills[0].comm != truth.victims[0][1].encode() or kills[0].uid not in (None, 0):
        found.append(f"the victim is {kills[0]}, in truth {truth.victims[0]}")
    placed = {
        victim.pid: victim.path for victim in _processes(cgroups, events).take(events, complete_since=None)
    }
    if placed != dict.fromkeys(victims, truth.facts["cgroup"]):
        found.append(f"cgroups {placed}, in truth {truth.facts['cgroup']}")
    sent = [
        one.by_pid for one in events if isinstance(one, SignalSent) and one.pid == int(truth.facts["killed"])
    ]
    if sent != [int(truth.facts["killer"])]:
        found.append(f"SIGKILL sent by {sent}, in truth by {truth.facts['killer']}")
    if truth.facts.get("removed") != "yes":
        found.append("the instance could not be removed")
    return found


def _processes(cgroups: str, events: Sequence[TraceEvent]) -> ProcessCgroups:
    """The guest's processes, on a /proc that tells nothing but the number of the memory hierarchy."""
    number = next((one.hierarchy for one in events if isinstance(one, CgroupJoined)), 0)
    root = Path(tempfile.mkdtemp(prefix="kernel-lab-"))
    (root / "self").mkdir()
    (root / "self/cgroup").write_text(f"{number}:memory:/\n" if cgroups == "v1" else "0::/\n")
    hierarchy = CgroupHierarchy(mount=root, version=int(cgroups[1:]), proc=root)
    return ProcessCgroups(CgroupNamespace(hierarchy), suspended_ns=0)


def load(name: str) -> tuple[Truth, bytes]:
    """Return what a set's guest did, and its archive."""
    folder = TRACES / name
    return Truth.of_json(json.loads((folder / "truth.json").read_text())), (folder / "trace.tgz").read_bytes()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernel_lab.traces", description=__doc__)
    parser.add_argument("--set", action="append", choices=SETS, help="kernel and cgroup version; all")
    parser.add_argument("--write", action="store_true", help="keep the files in tests/kernel_lab/traces/")
    options = parser.parse_args(arguments)
    require_programs(say=_say)
    wrong = 0
    for name in options.set or SETS:
        series, _, version = name.partition("-")
        for recording in record(kernel(series, say=_say), cgroups=version, wanted=[TRACE], say=_say):
            found = _check(recording, version)
            print(f"{'WRONG' if found else 'ok   '} {name}", *found, sep="\n      ", flush=True)
            wrong += bool(found)
            if options.write and not found:
                _save(name, recording)
    return 1 if wrong else 0


def _check(recording: Recording, version: str) -> list[str]:
    if recording.failure:
        return [recording.failure]
    return mistakes(recording.truth, read_trace(base64.b64decode(recording.log)), cgroups=version)


def _save(name: str, recording: Recording) -> None:
    folder = TRACES / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.json").write_text(json.dumps(recording.truth.as_json(), indent=2) + "\n")
    (folder / "trace.tgz").write_bytes(base64.b64decode(recording.log))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
