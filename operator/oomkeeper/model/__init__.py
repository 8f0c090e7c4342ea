"""The records that every room speaks in: plain, frozen, without I/O and without third-party imports."""
