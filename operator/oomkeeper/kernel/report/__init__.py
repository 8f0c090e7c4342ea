"""The kernel's OOM reports: log records in, one `Kill` per event out.

`assemble` decides which records belong to one event, `build` turns an event into a `Kill`; every other module
knows one kind of line and the kernel releases that print it."""

from .assemble import ReportAssembler, parse_records

__all__ = ["ReportAssembler", "parse_records"]
