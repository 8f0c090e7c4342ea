"""`python -m oomkeeper.controller` is `oomkeeper controller`."""

import argparse
import sys

from .start import add_arguments, start

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="oomkeeper controller")
    add_arguments(parser)
    sys.exit(start(parser.parse_args()))
