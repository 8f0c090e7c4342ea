"""`oomkeeper explain` as a process: what it prints, on which stream, and how it ends."""

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oomkeeper.cli.main import main
from oomkeeper.reporting.explanation_html import render_html
from oomkeeper.reporting.explanation_markdown import render_markdown
from oomkeeper.reporting.explanation_text import render_text
from oomkeeper.resources.killrecord import KillRecord
from oomkeeper.resources.record import read

from ..reporting.test_kill_record import assert_contract
from .running import CORPUS, POD_LOG, environment, oomkeeper

POD_UID = "94c5c068-ea6a-4fa3-862b-454dd90036ef"
SUMMARY = "reached its memory limit of 40 MiB"


def test_real_kill_is_printed_as_the_contracts_json() -> None:
    done = oomkeeper("explain", POD_LOG, "--output", "json")
    document = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, b"")
    assert set(document) == {"kills", "signs", "records"}
    (kill,) = document["kills"]
    assert_contract(kill)
    assert kill["time"] == "+1330.878670"
    assert (kill["scope"], kill["cause"], kill["level"]) == ("Memcg", "PodLimit", "Pod")
    assert [(victim["pid"], victim["comm"]) for victim in kill["victims"]] == [(26619, "tail")]
    assert (kill["limitBytes"], kill["bindingCounter"]) == (40 << 20, "Memory")
    assert kill["podUid"] == POD_UID
    assert kill["containerId"].startswith("08bc4fb3652f")
    assert {"lines", "kernel", "foreign"} <= set(document["records"])
    assert document["records"]["lines"] == POD_LOG.read_bytes().count(b"\n")


@pytest.mark.parametrize(
    ("output", "start"), [("text", "━━ OOM kill"), ("markdown", "## OOM kill"), ("html", "<!DOCTYPE html>")]
)
def test_every_format_has_the_summary(output: str, start: str) -> None:
    done = oomkeeper("explain", POD_LOG, "--output", output)
    text = done.stdout.decode("utf-8")

    assert (done.returncode, done.stderr) == (0, b"")
    assert text.startswith(start)
    assert SUMMARY in re.sub(r"\s+", " ", text)


def test_standard_input_compressed_files_and_utf16_read_the_same(tmp_path: Path) -> None:
    plain = POD_LOG.read_bytes()
    (tmp_path / "log.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "log.txt").write_bytes(plain.decode().encode("utf-16"))
    expected = oomkeeper("explain", POD_LOG, "-o", "json").stdout

    assert oomkeeper("explain", "-", "-o", "json", stdin=plain).stdout == expected
    assert oomkeeper("explain", tmp_path / "log.gz", "-o", "json").stdout == expected
    assert oomkeeper("explain", tmp_path / "log.txt", "-o", "json").stdout == expected


def test_log_without_an_oom_is_not_an_error() -> None:
    calm = b"[    1.000000] usb 1-1: new device\n"

    done = oomkeeper("explain", "-", "-o", "json", stdin=calm)
    document = json.loads(done.stdout)

    assert done.returncode == 0
    assert document["kills"] == []
    assert document["records"]["lines"] == 1
    assert oomkeeper("explain", "-", stdin=calm).stdout == b"No OOM event in standard input (1 line read).\n"
    assert b"No OOM event was found." in oomkeeper("explain", "-", "-o", "html", stdin=calm).stdout
    assert b"is empty" in oomkeeper("explain", "-", "-o", "markdown").stdout


def _bad_inputs(folder: Path) -> list[tuple[str, list[str], str]]:
    (folder / "garbage").write_bytes(bytes(range(256)) * 40)
    (folder / "zeros").write_bytes(bytes(5000))
    (folder / "x.journal").write_bytes(b"LPKSHHRH" + bytes(400))
    (folder / "cut.gz").write_bytes(gzip.compress(os.urandom(9000))[:100])
    (folder / "bad\n\x1b[31mname").write_bytes(bytes(50))
    return [
        ("missing", [str(folder / "no-such.log")], "no-such.log: No such file or directory"),
        ("directory", [str(folder)], "Is a directory"),
        ("garbage", [str(folder / "garbage")], "garbage: is a binary file"),
        ("zeros", [str(folder / "zeros")], "zeros: is a binary file"),
        ("executable", [sys.executable], "is a binary file"),
        ("journal", [str(folder / "x.journal")], "journalctl --file="),
        ("cut-gzip", [str(folder / "cut.gz")], "cut.gz"),
        ("hostile-name", [str(folder / "bad\n\x1b[31mname")], r"\x1b[31mname: is a binary file"),
        # Opens and cannot be read, for root too.
        ("unreadable", ["/proc/self/mem"], "/proc/self/mem: Input/output error"),
        ("output", ["-o", "yaml"], "'yaml' is not one of 'text'"),
        ("option", ["--frob"], "No such option '--frob'"),
        ("two-files", [str(folder / "x.journal"), str(folder / "zeros")], "is not a pstore record"),
    ]


@pytest.mark.parametrize("case", range(12))
@pytest.mark.parametrize("output", ["text", "json"])
def test_bad_input_is_one_line_on_stderr_and_exit_2(case: int, output: str, tmp_path: Path) -> None:
    _, words, said = _bad_inputs(tmp_path)[case]

    done = oomkeeper("explain", "--output", output, *words)

    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"oomkeeper explain: ")
    assert said in done.stderr.decode()
    assert done.stderr.decode().rstrip("\n").isprintable()


def test_truncated_archive_is_explained_before_the_error(tmp_path: Path) -> None:
    noise = "".join(f"[ 2000.{number:06d}] eth0: {os.urandom(12).hex()}\n" for number in range(20_000))
    whole = gzip.compress(POD_LOG.read_bytes() + noise.encode())
    (tmp_path / "rotated.gz").write_bytes(whole[: len(whole) // 2])

    done = oomkeeper("explain", tmp_path / "rotated.gz", "-o", "json")

    assert done.returncode == 2
    assert json.loads(done.stdout)["kills"][0]["podUid"] == POD_UID
    assert b"rotated.gz" in done.stderr


def test_nul_holes_do_not_make_a_log_binary() -> None:
    done = oomkeeper("explain", "-", "-o", "json", stdin=bytes(4096) + b"\n" + POD_LOG.read_bytes())

    assert done.returncode == 0
    assert len(json.loads(done.stdout)["kills"]) == 1


def test_closed_pipe_prints_no_error() -> None:
    script = f'"{sys.executable}" -m oomkeeper explain - | head -c 20; echo " ${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", script],
        input=POD_LOG.read_bytes() * 400,
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )

    assert done.stderr == b""
    assert done.stdout.endswith(b" 141\n")


def test_full_disk_is_reported_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "oomkeeper", "explain", str(POD_LOG)],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == b"oomkeeper explain: No space left on device\n"


def test_ctrl_c_exits_130_without_a_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "oomkeeper", "explain", "-", "-o", "text"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        # What a script starts in its background inherits an ignored SIGINT, and Python leaves it so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    # Two reports: the first page shows that reading has begun.
    process.stdin.write(POD_LOG.read_bytes() * 3)
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)

    assert process.returncode == 130
    assert complaint == b""


def _on_a_terminal(*words: str, **env: str) -> str:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "oomkeeper", *words],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env=environment(TERM="xterm", **env),
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 65536):
                shown += part
        except OSError:  # EIO: the last writer of a terminal went away (Linux)
            pass
        process.wait(timeout=60)
    os.close(leader)
    return shown.decode("utf-8")


def test_colour_needs_a_terminal_that_supports_it() -> None:
    assert "\x1b[" in _on_a_terminal("explain", str(POD_LOG))
    assert "\x1b[" not in _on_a_terminal("explain", str(POD_LOG), NO_COLOR="1")
    assert b"\x1b[" not in oomkeeper("explain", POD_LOG).stdout


def test_page_fits_the_terminals_columns() -> None:
    page = _on_a_terminal("explain", str(POD_LOG), NO_COLOR="1", COLUMNS="70")

    # Paths, ids and commands are never broken, so that they can be copied.
    unbroken = ("kubepods", "08bc4fb3652f42", "custom-columns=")
    prose = [line for line in page.splitlines() if not any(word in line for word in unbroken)]
    assert max(map(len, prose)) <= 70


@pytest.mark.parametrize("env", [{"LANG": "C"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_terminal_without_utf8_gets_ascii(env: dict[str, str]) -> None:
    done = oomkeeper("explain", POD_LOG, env=environment(**env))

    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"####" in done.stdout


@pytest.mark.parametrize("output", ["json", "markdown", "html"])
def test_files_are_utf8_whatever_the_locale(output: str) -> None:
    log = POD_LOG.read_bytes().replace(b"tail", "тест".encode())

    ascii_locale = oomkeeper(
        "explain", "-", "-o", output, stdin=log, env=environment(LC_ALL="POSIX", PYTHONUTF8="0")
    )

    assert ascii_locale.returncode == 0
    assert "тест" in ascii_locale.stdout.decode("utf-8")


def test_hostile_comm_is_escaped_in_every_format() -> None:
    log = (
        POD_LOG.read_bytes()
        .replace(b"(tail)", b"(\x1b[2J<i>\xff\x07)")
        .replace(b"task=tail,", b"task=\x1b[2J<i>\xff\x07,")
    )

    for output in ("text", "json", "markdown", "html"):
        text = oomkeeper("explain", "-", "-o", output, stdin=log).stdout.decode("utf-8")
        assert "\x07" not in text
        assert "\x1b" not in text
        assert "<i>" not in text or output in ("text", "json")


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of real logs at {CORPUS}")
@pytest.mark.parametrize("log", sorted(CORPUS.glob("*.log")), ids=lambda log: log.name[:3])
def test_every_real_log_renders_in_all_formats(log: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    status = main(["explain", str(log), "-o", "json"])
    stdout, stderr = capfdbinary.readouterr()
    document = json.loads(stdout)

    assert (status, stderr) == (0, b"")
    assert document["kills"]
    for kill in document["kills"]:
        assert_contract(kill)
        assert kill["summary"].endswith(".")

    kills = [read(KillRecord, kill) for kill in document["kills"]]
    text = render_text(kills, width=80)
    assert all(char == "\n" or char.isprintable() for char in text)
    assert "None" not in text
    assert render_markdown(kills).count("## ") >= len(document["kills"])
    assert render_html(kills).endswith("</html>\n")


SIGN_LOG = b"x\nJun 20 03:23:46 h systemd[1]: a.service: Failed with result 'oom-kill'.\n"
KILL_LINE = b"Out of memory: Killed process 7 (a) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB\n"


def test_signs_are_part_of_the_json() -> None:
    document = json.loads(oomkeeper("explain", "-", "-o", "json", stdin=SIGN_LOG).stdout)
    assert document["kills"] == []
    (sign,) = document["signs"]
    assert set(sign) == {"kind", "line", "message"}
    assert (sign["kind"], sign["line"]) == ("SystemdUnit", 2)


@pytest.mark.parametrize("log", [SIGN_LOG, KILL_LINE + SIGN_LOG])
@pytest.mark.parametrize("output", ["text", "markdown", "html"])
def test_signs_are_listed_after_the_kills(output: str, log: bytes) -> None:
    page = oomkeeper("explain", "-", "-o", output, stdin=log).stdout.decode()
    assert page.index("Other signs of memory trouble") < page.rindex("systemd reports")
    assert f"line {2 + log.startswith(KILL_LINE)}" in page


@pytest.mark.parametrize("output", ["text", "markdown", "html"])
def test_log_without_signs_has_no_section_for_them(output: str) -> None:
    page = oomkeeper("explain", "-", "-o", output, stdin=KILL_LINE).stdout.decode()
    assert "Other signs" not in page


def test_kill_inside_other_text_is_explained() -> None:
    log = b"95s  Warning  OOMKilling  node/n1  " + KILL_LINE
    (kill,) = json.loads(oomkeeper("explain", "-", "-o", "json", stdin=log).stdout)["kills"]
    assert kill["victims"][0]["pid"] == 7
