"""Read log records from text: any file or stream that holds kernel messages.

    reader              every record of a log
    oom_search          the records near OOM reports in a large log
    open_log            plain and compressed files, standard input
    assembler           lines to records
    plain_lines         the same for stretches of plain lines
    formats             one module per log format
    broken_lines        lines that a mailer, pager or terminal broke

A record is one record of the kernel's own buffer. A record of several lines (Mem-Info; the statistics of a
cgroup before 6.5) is one LogRecord with b"\\n" inside, whether the source escaped the newline (/dev/kmsg
`\\x0a`, rsyslog `#012`), indented the further lines (dmesg, journalctl), or separated records by field (JSON,
export). Two sources leave no trace of it, and each of their lines is a record: syslog(2) and its readers
(/proc/kmsg, `dmesg -S`, rsyslog's imklog, consoles) stamp every line alike, and bare text has no stamps. Of
bare text only the lines of Mem-Info are joined, by their content.

Writer: `kernel` is False for every text known to come from a process: /dev/kmsg and `<n>` with a facility
other than 0, another syslog tag, `kernel[123]`, journal entries that journald did not get from the kernel,
unstamped lines after any of these.

What can be forged: comm (15 arbitrary bytes) and cgroup names are printed inside kernel lines, so no escape
or newline in a text begins a record; an unstamped line ends a process's message only where a stamped line
follows. Some forgeries cannot be distinguished from the kernel: in plain syslog and journalctl text, a local
process that sends with the tag `kernel` (`logger -t kernel`); in dmesg text without -x, root writing to
/dev/kmsg; in syslog(2) text and bare text, a newline in a comm, which leaves 14 bytes before the kernel's own
words continue; in bare text, anything. Raw /dev/kmsg and journal JSON or export cannot be forged.

Times: `usec` is the uptime stamp, `wall` the time of day as formats.timestamps describes.
"""
