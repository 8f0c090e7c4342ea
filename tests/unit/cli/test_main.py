"""The commands themselves: help, version, unknown words, and what a start costs in imports."""

import subprocess
import sys

import pytest

from oomkeeper import __version__
from oomkeeper.cli.main import VERBS

from .running import POD_LOG, environment, oomkeeper


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_verb_every_verb_is_listed(words: list[str]) -> None:
    done = oomkeeper(*words)

    assert (done.returncode, done.stderr) == (0, b"")
    assert all(f"  {verb} ".encode() in done.stdout for verb in VERBS)


def test_the_version_is_the_packages() -> None:
    assert oomkeeper("--version").stdout.decode() == f"oomkeeper {__version__}\n"


@pytest.mark.parametrize(
    "words", [["frob"], ["--frob"], ["explain", "--outpu", "json"], ["kills", "--frob"], [""]]
)
def test_a_wrong_command_line_is_one_line_on_stderr_and_exit_2(words: list[str]) -> None:
    done = oomkeeper(*words)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"--help" in done.stderr


def test_the_plugin_explains_a_log_and_points_to_kubectl_for_the_rest() -> None:
    run = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"

    def plugin(*words: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [sys.executable, "-c", run, *words],
            capture_output=True,
            env=environment(),
            timeout=60,
            check=False,
        )

    assert b"kubectl get oomi -A" in plugin("--help").stdout
    assert b"reached its memory limit" in plugin("log", str(POD_LOG)).stdout
    unknown = plugin("doctor")
    assert (unknown.returncode, unknown.stdout) == (2, b"")
    assert unknown.stderr.startswith(b"kubectl oom: unknown verb 'doctor'")


def test_explain_imports_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys\n"
        "from oomkeeper.cli.main import main\n"
        f"main(['explain', {str(POD_LOG)!r}])\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment(), timeout=60, check=True
    )
    loaded = set(done.stderr.decode().split())

    assert "oomkeeper.reporting.explanation_text" in loaded
    assert not loaded & {
        "pydantic",
        "yaml",
        "kopf",
        "kubernetes",
        "asyncio",
        "sqlite3",
        "gzip",
        "subprocess",
        "jinja2",
        "oomkeeper.agent",
        "oomkeeper.api",
        "oomkeeper.reporting.explanation_html",
        "oomkeeper.reporting.explanation_markdown",
    }
