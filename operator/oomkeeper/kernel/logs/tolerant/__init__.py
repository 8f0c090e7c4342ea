"""Tolerant reading: kernel messages inside other text, for files that a person hands in.

People paste what they have: `grep -n` output, Kubernetes events, a cell of a spreadsheet, a cloud provider's
JSON. Tolerant reading finds the kernel's messages there, and tries only lines whose format names no writer.

Rules:
- Strict reading comes first. A line whose framing shows the kernel or another program is never reinterpreted,
  so a process that writes a kill line to syslog, the journal or /dev/kmsg still makes no evidence.
- Records found this way have `quoted` set. A quoted kill of a process that was already reported killed (an
  event of node-problem-detector, a log line of containerd) is not a second kill.
- The agent never uses it: /dev/kmsg and pstore say who wrote a record.

    reading         the entry point: one `TolerantReading` per log
    sentences       the kernel's messages inside a line
    prefixes        a prefix that all lines of a report have (`grep -n`, a host name)
    json_strings    strings inside JSON documents
    markup          HTML, non-breaking spaces, quotes
"""
