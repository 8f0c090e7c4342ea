"""`oomkeeper completion SHELL`: the script that makes a shell complete verbs, options and their values."""

import click

from .verb import completion_variable

SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\
\b
bash: oomkeeper completion bash > /etc/bash_completion.d/oomkeeper
zsh:  oomkeeper completion zsh > "${fpath[1]}/_oomkeeper"
fish: oomkeeper completion fish > ~/.config/fish/completions/oomkeeper.fish
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print the completion script for SHELL."""
    from click.shell_completion import get_completion_class

    from .main import PROG, group

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(group(), {}, PROG, completion_variable(PROG)).source())
    return 0
