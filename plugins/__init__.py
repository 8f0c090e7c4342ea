"""Builds `kubectl oom` as one file, and its krew manifest: `python -m plugins`."""
