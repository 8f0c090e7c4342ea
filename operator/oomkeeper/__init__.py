"""oomkeeper: keep every node's out-of-memory behaviour as policy says, and explain every OOM kill."""

__version__ = "0.1.0"
