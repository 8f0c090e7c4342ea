"""`oomkeeper kills`: what this host's agent has stored."""

import argparse
import sys

import msgspec

from oomkeeper.agent.store import StateError, Store
from oomkeeper.resources.killrecord import RecordedKill
from oomkeeper.resources.record import read

from .errors import BadInput
from .host import add_output, add_state_dir, print_json, text_pages_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", metavar="N", type=_positive, help="only the newest N")
    add_state_dir(parser)
    add_output(parser, choices=("text", "json", "markdown", "html"))


def run(args: argparse.Namespace) -> int:
    """Print the stored kills, oldest first. Raises BadInput where there is no state."""
    try:
        store = Store.open(args.state_dir, create=False)
    except StateError as error:
        raise BadInput(str(error)) from error
    kills = msgspec.to_builtins(store.kills(limit=args.limit))
    store.close()
    if args.output == "json":
        print_json({"kills": kills})
    elif args.output == "markdown":
        from oomkeeper.reporting.explanation_markdown import markdown_pages

        sys.stdout.writelines(markdown_pages(read(RecordedKill, kill) for kill in kills))
    elif args.output == "html":
        from oomkeeper.reporting.explanation_html import html_parts

        sys.stdout.writelines(html_parts(read(RecordedKill, kill) for kill in kills))
    elif kills:
        sys.stdout.writelines(text_pages_for(kills))
    else:
        print(f"No OOM kill recorded in {args.state_dir}.")
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("write a whole number above 0")
    return value
