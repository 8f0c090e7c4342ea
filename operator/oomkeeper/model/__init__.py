"""The records that every package shares: plain, frozen, without I/O and without third-party imports."""
