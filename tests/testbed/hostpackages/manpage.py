"""Manual pages from the help of the command line: oomkeeper(8), and one page for each verb."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from oomkeeper import __version__
from oomkeeper.cli.main import PROG, group

SECTION = 8
_FILES = (
    ("/etc/oomkeeper/policy.yaml", "The policy of oomkeeper.service."),
    ("/etc/oomkeeper/oomkeeper.env", "More options of oomkeeper.service."),
    ("/var/lib/oomkeeper", "State: recorded kills, and the original values of what was changed."),
)
_HOST_VERBS = ("explain", "simulate", "plan", "node", "kills", "status", "completion")


def pages() -> dict[str, str]:
    """Return file name -> page in man(7)."""
    top = group()
    context = click.Context(top, info_name=PROG)
    verbs = {name: top.get_command(context, name) for name in _HOST_VERBS}
    found = {f"{PROG}.{SECTION}": _overview(top, {name: verb for name, verb in verbs.items() if verb})}
    for name, verb in verbs.items():
        if verb is not None:
            found[f"{PROG}-{name}.{SECTION}"] = _page(verb, name, context)
    return found


def _overview(top: click.Group, verbs: dict[str, click.Command]) -> str:
    lines = [*_head(PROG, top.help or ""), ".SH SYNOPSIS", f".B {PROG}", "VERB [ARGUMENTS]..."]
    lines += [".SH DESCRIPTION", *_text(top.help or ""), ".SH VERBS"]
    for name, verb in verbs.items():
        lines += [".TP", f".BR {_dash(f'{PROG}-{name}')} ({SECTION})", *_text(verb.get_short_help_str(200))]
    lines.append(".SH FILES")
    for path, what in _FILES:
        lines += [".TP", f".I {_dash(path)}", *_text(what)]
    return _joined([*lines, *_see_also(list(verbs))])


def _page(verb: click.Command, name: str, parent: click.Context) -> str:
    context = click.Context(verb, info_name=name, parent=parent)
    usage = " ".join(verb.collect_usage_pieces(context))
    lines = [*_head(f"{PROG}-{name}", verb.get_short_help_str(200)), ".SH SYNOPSIS"]
    lines += [f".B {PROG} {name}", *_text(usage), ".SH DESCRIPTION", *_text(verb.help or ""), ".SH OPTIONS"]
    for parameter in verb.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            lines += [".TP", f".B {_escaped(record[0])}", *_text(record[1])]
    if verb.epilog:
        lines += [".SH NOTES", *_text(verb.epilog)]
    return _joined([*lines, *_see_also([])])


def _head(name: str, what: str) -> list[str]:
    title = f'.TH {name.upper()} {SECTION} "" "oomkeeper {__version__}" "System Administration"'
    return [title, ".SH NAME", f"{_dash(name)} \\- {_escaped(what.rstrip('.'))}"]


def _see_also(verbs: list[str]) -> list[str]:
    names = [f"{PROG}-{verb}" for verb in verbs] or [PROG]
    listed = ", ".join(f"\\fB{_dash(name)}\\fP({SECTION})" for name in names)
    return [".SH SEE ALSO", f"{listed}, \\fBproc\\fP(5), \\fBsysctl.d\\fP(5)"]


def _text(text: str) -> Iterator[str]:
    """Yield paragraphs as man(7); a paragraph that begins with \\b keeps its lines, as click does."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip("\n"))):
        if number:
            yield ".PP"
        keeps_lines = paragraph.lstrip().startswith("\b")
        lines = [_escaped(line.strip()) for line in paragraph.replace("\b", "").splitlines() if line.strip()]
        if keeps_lines:
            yield ".nf"
        yield from lines
        if keeps_lines:
            yield ".fi"


def _escaped(text: str) -> str:
    text = _dash(text.replace("\\", "\\e"))
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _dash(text: str) -> str:
    """Return the text with hyphens that can be copied to a command line."""
    return text.replace("-", "\\-")


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
