"""The commands themselves: help, version, unknown words, and what a start costs in imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oomkeeper import __version__
from oomkeeper.cli.main import VERBS

from .running import POD_LOG, environment, oomkeeper


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb(words: list[str]) -> None:
    done = oomkeeper(*words)

    assert (done.returncode, done.stderr) == (0, b"")
    assert all(f"  {verb} ".encode() in done.stdout for verb in VERBS)


def test_version_is_the_packages() -> None:
    assert oomkeeper("--version").stdout.decode() == f"oomkeeper {__version__}\n"


@pytest.mark.parametrize(
    "words", [["frob"], ["--frob"], ["explain", "--outpu", "json"], ["kills", "--frob"], [""]]
)
def test_wrong_command_line_is_one_line_on_stderr_and_exit_2(words: list[str]) -> None:
    done = oomkeeper(*words)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"--help" in done.stderr


@pytest.mark.parametrize("limit", ["abc", "0", "-1", "1e3", ""])
def test_limit_that_is_not_a_positive_number_is_explained(limit: str) -> None:
    done = oomkeeper("kills", f"--limit={limit}")

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"oomkeeper kills: Invalid value for '--limit': ")
    assert b"is not a valid whole number" in done.stderr or b"is not in the range x>=1" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed_for_each_shell(shell: str) -> None:
    done = oomkeeper("completion", shell)

    assert (done.returncode, done.stderr) == (0, b"")
    assert f"_OOMKEEPER_COMPLETE={shell}_complete".encode() in done.stdout


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("oomkeeper ", set(VERBS)),
        ("oomkeeper sim", {"simulate"}),
        ("oomkeeper explain --out", {"--output"}),
        ("oomkeeper explain --output ", {"text", "json", "markdown", "html"}),
    ],
)
def test_verbs_options_and_values_are_completed(words: str, completions: set[str]) -> None:
    asked = environment(
        _OOMKEEPER_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    done = oomkeeper(env=asked)

    assert {line.partition(",")[2] for line in done.stdout.decode().splitlines()} == completions


def test_completion_works_in_a_real_bash(tmp_path: Path) -> None:
    command = tmp_path / "oomkeeper"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m oomkeeper "$@"\n')
    command.chmod(0o755)
    program = (
        "source <(oomkeeper completion bash)\n"
        "COMP_WORDS=(oomkeeper st); COMP_CWORD=1; _oomkeeper_completion oomkeeper; echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(
        ["bash", "-c", program],
        capture_output=True,
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
        timeout=60,
        check=False,
    )

    assert done.stdout.split() == [b"status"], done.stderr.decode()


def test_plugin_explains_a_log_and_refers_to_kubectl() -> None:
    run = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"

    def plugin(*words: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [sys.executable, "-c", run, *words],
            capture_output=True,
            env=environment(),
            timeout=60,
            check=False,
        )

    assert b"kubectl get oomi,ckill -A" in plugin("--help").stdout
    assert b"reached its memory limit" in plugin("log", str(POD_LOG)).stdout
    unknown = plugin("frob")
    assert (unknown.returncode, unknown.stdout) == (2, b"")
    assert unknown.stderr.startswith(b"kubectl oom: unknown verb 'frob'; verbs: ")


def test_explain_does_not_import_unneeded_modules() -> None:
    program = (
        "import sys\n"
        "from oomkeeper.cli.main import main\n"
        f"main(['explain', {str(POD_LOG)!r}])\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    # A coverage measurement would import modules of its own.
    env = {key: value for key, value in environment().items() if not key.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=env, timeout=60, check=True
    )
    loaded = set(done.stderr.decode().split())

    assert "oomkeeper.reporting.explanation_text" in loaded
    assert not loaded & {
        "click",
        "json",
        "logging",
        "pathlib",
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


def test_error_in_a_policy_from_standard_input_names_no_temporary_file() -> None:
    done = oomkeeper("plan", "-f", "-", stdin=b"kind: Nonsense\n")

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"oomkeeper plan: standard input: ")
