"""`oomkeeper explain [FILE|-]`: the command line of `explain_logs`."""

import click

from .explain_logs import explain_logs
from .host import FILE, output_option
from .output import OUTPUTS

_EPILOG = """\
FILE is any text with kernel messages: dmesg in any of its styles, raw /dev/kmsg, syslog, the output of
journalctl, Kubernetes events, a cloud provider's JSON, text pasted from a ticket; plain or compressed (gzip,
xz, bzip2, zstd). Without FILE, this host's kernel log is read, which needs root or CAP_SYSLOG. FILE can also
be what a panicked kernel left in pstore: one part, all parts (/sys/fs/pstore/dmesg-*), or a directory of them
(/var/lib/systemd/pstore).

Exit status: 0 whether or not there was an OOM kill, 2 when the input cannot be read (to its end)."""


@click.command(epilog=_EPILOG)
@click.argument("file", nargs=-1, type=FILE)
@output_option(*OUTPUTS)
def command(file: tuple[str, ...], output: str) -> int:
    """Explain the OOM kills in a kernel log: a file, standard input, or this host's log.

    FILE is a log, or - for standard input; several only if they are the parts of a pstore dump.
    """
    return explain_logs(file, output=output)
