"""Find the few OOM reports in a large log without parsing every line.

relevant        what to search for, and how much to read around it
history         the last few hundred KiB of the stream
landmarks       lines that prove where a report begins or ends
memmem          the search for fixed bytes
"""
