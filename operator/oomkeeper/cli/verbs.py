"""A group of verbs that are imported on demand, with one-line errors, and shell completion."""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from oomkeeper import __version__

from .errors import INTERRUPTED, CliError, usage_error
from .verb import Verb, completion_variable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class VerbGroup(click.Group):
    """Lists its verbs without importing them: the help and an unknown word cost nothing."""

    def __init__(self, verbs: Mapping[str, Verb], *, unknown: str = "", **settings: Any) -> None:
        """`unknown`: the hint after an unknown verb; default: the list of verbs."""
        super().__init__(
            context_settings={"help_option_names": ["-h", "--help"]},
            params=[
                click.Option(
                    ["-V", "--version"],
                    is_flag=True,
                    expose_value=False,
                    is_eager=True,
                    help="Show the version and exit.",
                    callback=_print_version,
                )
            ],
            invoke_without_command=True,
            subcommand_metavar="VERB [ARGUMENTS]...",
            callback=click.pass_context(_help_without_verb),
            **settings,
        )
        self.verbs = verbs
        self._unknown = unknown or f"verbs: {', '.join(verbs)}"

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click
        """Return the verbs, in the order in which people should read them."""
        return list(self.verbs)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click
        cmd_name: str,
    ) -> click.Command | None:
        """Import the verb; None where there is none. Raises CliError where its extra is not installed."""
        verb = self.verbs.get(cmd_name)
        return None if verb is None else _load(verb)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of verbs."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.what) for name, verb in self.verbs.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete a verb or an option of the group, without importing a verb."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(name, help=verb.what)
            for name, verb in self.verbs.items()
            if name.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that `args` begins with; anything else is an error in one line."""
        command = self.get_command(ctx, args[0])
        if command is None:
            raise click.UsageError(f"unknown verb {args[0]!r}; {self._unknown}", ctx)
        return args[0], command, args[1:]


def _help_without_verb(ctx: click.Context) -> int:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 0


def _print_version(ctx: click.Context, _option: click.Parameter, given: bool) -> None:
    if given and not ctx.resilient_parsing:
        click.echo(f"oomkeeper {__version__}")
        ctx.exit()


def _load(verb: Verb) -> click.Command:
    try:
        command: click.Command = import_module(f"{__package__}.{verb.module}").command
    except ModuleNotFoundError as error:
        # A missing module of oomkeeper itself is a bug and keeps its traceback.
        if error.name is None or error.name.partition(".")[0] == "oomkeeper":
            raise
        raise CliError(
            f"the Python package {error.name!r} is not installed; pip install 'oomkeeper[{verb.extra}]'"
        ) from error
    command.help = command.help or f"{verb.what[:1].upper()}{verb.what[1:]}."
    return command


def invoke(group: click.Group, prog: str, words: Sequence[str]) -> int:
    """Run the verb that `words` begins with and return its exit status; a wrong command line ends with one
    line on stderr and exit status 2."""
    if list(words) == ["help"]:
        words = ["--help"]
    try:
        with group.make_context(prog, list(words)) as context:
            status = group.invoke(context)
            return status if isinstance(status, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else prog
        usage_error(where, error.format_message().rstrip("."))


def complete(group: click.Group, prog: str) -> int:
    """Answer a shell that `asks_for_completions`."""
    from click.shell_completion import shell_complete

    variable = completion_variable(prog)
    return shell_complete(group, {}, prog, variable, os.environ[variable])
