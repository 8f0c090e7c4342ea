"""`oomkeeper kills`: the kills that this host's agent has stored."""

from pathlib import Path

import click
from msgspec import to_builtins

from oomkeeper.agent.store import StateError, Store

from .errors import BadInput
from .host import WholeNumber, output_option, print_json, state_dir_option
from .output import JSON, OUTPUTS, write_kills


@click.command
@click.option("--limit", metavar="N", type=WholeNumber(min=1), help="Only the newest N.")
@state_dir_option
@output_option(*OUTPUTS)
def command(limit: int | None, state_dir: Path, output: str) -> int:
    """Print the OOM kills recorded on this host, oldest first."""
    try:
        store = Store.open(state_dir, create=False)
    except StateError as error:
        raise BadInput(str(error)) from error
    kills = store.kills(limit=limit)
    store.close()
    if output == JSON:
        print_json({"kills": to_builtins(kills)})
    else:
        write_kills(kills, output=output, nothing=lambda: f"No OOM kill recorded in {state_dir}.")
    return 0
