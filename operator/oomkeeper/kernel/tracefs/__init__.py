"""tracefs: the kernel's own events, from an instance that belongs to oomkeeper alone.

Documentation/trace/ftrace.rst ("Instances") and Documentation/trace/events.rst describe the files. What the
kernel writes into the ring buffer is read in its binary form: the text of trace_pipe prints a process's name
as it is, with newlines and all, so a process could write records of its own.
"""
