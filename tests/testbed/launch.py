"""Start a supervisor, follow its start, hold it while a testbed is in use, end it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .cache import Say, cache_folder
from .errors import StartError
from .mounts import remove_tree
from .plan import FAILED_CODE, Plan
from .processes import log_end
from .runs import Run, new_run

_CHECKOUT = Path(__file__).parents[2]
_ATTEMPTS = 3
_END_SECONDS = 90
PID_FILE = "supervisor.pid"
_PORT_TAKEN = "address already in use"


@contextmanager
def launched(
    make_plan: Callable[[Path], Plan], *, level: str, exclusive: bool, say: Say, folder: Path | None
) -> Iterator[Plan]:
    """Run the plan that `make_plan` writes for a fresh run folder, until the block ends.

    Raises StartError with the log of what failed; a port lost to another process is tried again with others.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        with new_run(level=level, exclusive=exclusive, say=say, folder=folder) as run:
            plan = make_plan(run.folder)
            supervisor = _spawn(plan, run)
        try:
            _follow_start(supervisor, plan.folder, say=say)
        except BaseException as error:
            _end(supervisor, plan.folder, keep_logs=True)
            if isinstance(error, StartError) and _PORT_TAKEN in str(error) and attempt < _ATTEMPTS:
                say("a port was taken meanwhile: trying others")
                continue
            raise
        try:
            yield plan
        finally:
            _end(supervisor, plan.folder)
        return


def launch_detached(
    make_plan: Callable[[Path], Plan], *, level: str, exclusive: bool, say: Say, folder: Path | None
) -> Plan:
    """As `launched`, but it stays when this process ends, until its supervisor gets SIGTERM."""
    with new_run(level=level, exclusive=exclusive, say=say, folder=folder) as run:
        plan = make_plan(run.folder)
        supervisor = _spawn(plan, run)
    (plan.folder / PID_FILE).write_text(str(supervisor.pid))
    try:
        _follow_start(supervisor, plan.folder, say=say)
    except BaseException:
        supervisor.terminate()
        _end(supervisor, plan.folder, keep_logs=True)
        raise
    return plan


def _spawn(plan: Plan, run: Run) -> subprocess.Popen[bytes]:
    plan.write()
    path = os.pathsep.join(filter(None, (str(_CHECKOUT), os.environ.get("PYTHONPATH"))))
    with (plan.folder / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.supervisor", str(plan.folder)],
            cwd=plan.folder,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            pass_fds=run.descriptors,
        )


def _follow_start(supervisor: subprocess.Popen[bytes], folder: Path, *, say: Say) -> None:
    assert supervisor.stdout is not None
    for line in supervisor.stdout:
        for kind, text in json.loads(line).items():
            if kind == "ready":
                return
            if kind == "failed":
                raise StartError(text)
            say(text)
    raise StartError(f"the supervisor ended before it was ready: {log_end(folder, 'supervisor')}")


def _end(supervisor: subprocess.Popen[bytes], folder: Path, *, keep_logs: bool = False) -> None:
    """Release the supervisor, wait until it has restored the machine, remove the folder.

    Raises StartError when a component ended while in use, or when something could not be restored, naming it;
    then the folder stays, and the next start tries again.
    """
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    supervisor.stdin.close()
    told = [item for line in supervisor.stdout for item in json.loads(line).items()]
    code = supervisor.wait(_END_SECONDS)
    failed = [text for kind, text in told if kind == "failed"]
    left = [text for kind, text in told if kind == "left"]
    if code not in (0, FAILED_CODE):
        left.append(f"its supervisor ended with code {code}: {log_end(folder, 'supervisor')}")
    if keep_logs or failed or left:
        _keep_logs(folder)
    if left:
        raise StartError(f"the testbed could not put all back, the next start tries again: {'; '.join(left)}")
    remove_tree(folder)
    if failed:
        raise StartError(f"while the testbed was in use: {failed[0]}")


def _keep_logs(folder: Path) -> None:
    kept = cache_folder() / "last-failed-run"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for log in folder.glob("*.log"):
        shutil.copy(log, kept)
