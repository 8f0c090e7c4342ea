"""Errors of a verb, and how each end of a verb becomes an exit status.

0    done, whatever was found
1    the work failed on the way (a full disk, a lost connection)
2    the command line or its input is wrong; nothing was changed
130  interrupted from the keyboard
141  the reader of a pipe closed it
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from oomkeeper.model.escaping import printable

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


class CliError(Exception):
    """One line for stderr, and the exit status that goes with it."""

    status = FAILED


class BadInput(CliError):
    """The command line, or a file it names, is wrong: the message states what and where. Exit status 2,
    nothing was changed.
    """

    status = BAD_INPUT


def run_guarded(prog: str, work: Callable[[], int]) -> int:
    """Return the exit status of `work`, with every expected end (bad input, broken pipe, Ctrl-C) reported in
    one line.

    An unexpected exception passes through: a bug report needs its traceback.
    """
    try:
        status = work()
        # A full disk or a closed pipe shows only when the last buffer is written.
        sys.stdout.flush()
        return status
    except CliError as error:
        complain(prog, str(error))
        return error.status
    except BrokenPipeError:
        _discard_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(prog, f"{where}{error.strerror or error}")
        _discard_stdout()
        return FAILED


def complain(prog: str, message: str) -> None:
    """Print one line on stderr; a file's name in `message` may contain a newline or a control sequence."""
    line = f"{prog}: {printable(' '.join(message.split()))}"
    print(line.encode("utf-8", "backslashreplace").decode("utf-8"), file=sys.stderr, flush=True)


def usage_error(prog: str, message: str) -> NoReturn:
    """End with one line on stderr and exit status 2, as for a wrong command line."""
    complain(prog, f"{message} (see {prog} --help)")
    raise SystemExit(BAD_INPUT)


def _discard_stdout() -> None:
    """Keep the interpreter from flushing again into the closed pipe at exit (the signal module's note on
    SIGPIPE).
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
