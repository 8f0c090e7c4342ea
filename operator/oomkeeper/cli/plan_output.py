"""What `kubectl oom plan` and `oomkeeper plan` share: options, output, exit status."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from oomkeeper.reporting.plan import Plan, plan_record

from .host import output_option, print_json

_F = TypeVar("_F", bound=Callable[..., Any])

CHANGES, REFUSALS = 3, 4
DETAILED_EPILOG = f"""\
Exit status: 0 whatever the plan contains; with --detailed-exitcode 0 no value changes, {CHANGES} a value
changes, {REFUSALS} a node refuses a value. 1 the work failed, 2 the policy or the command line is wrong."""

plan_output_option = output_option("text", "json", "markdown")


def detailed_option(command: _F) -> _F:
    """Add --detailed-exitcode."""
    return click.option(
        "--detailed-exitcode",
        is_flag=True,
        help=f"Exit status {CHANGES} where a value changes, {REFUSALS} where a node refuses one; for CI.",
    )(command)


@contextmanager
def on_disk(file: str) -> Iterator[str]:
    """Give the path of a policy file; standard input (-) as a temporary one, which no error names."""
    if file != "-":
        yield file
        return
    from oomkeeper.api.policyfile import MAX_FILE_BYTES, PolicyFileError

    with tempfile.NamedTemporaryFile(prefix="stdin-", suffix=".yaml") as copy:
        copy.write(sys.stdin.buffer.read(MAX_FILE_BYTES + 1))
        copy.flush()
        try:
            yield copy.name
        except PolicyFileError as error:
            raise PolicyFileError(str(error).replace(copy.name, "standard input", 1)) from error


def report(plan: Plan, *, output: str, detailed_exitcode: bool) -> int:
    """Print the plan and return the exit status."""
    if output == "json":
        print_json(plan_record(plan))
    else:
        from oomkeeper.reporting.plan_text import plan_markdown, plan_text

        for line in plan_markdown(plan) if output == "markdown" else plan_text(plan):
            click.echo(line)
    if not detailed_exitcode:
        return 0
    if plan.refuses:
        return REFUSALS
    return CHANGES if plan.changes else 0
