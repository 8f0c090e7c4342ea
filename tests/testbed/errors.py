"""What can go wrong in a testbed. Every message ends in what to do about it."""

from __future__ import annotations


class TestbedError(Exception):
    """The testbed cannot be had, or one of its parts failed."""

    __test__ = False  # pytest would take the name for a class of tests


class BuildError(TestbedError):
    """A binary could be neither found, nor downloaded, nor built."""


class MissingPackagesError(TestbedError):
    """Programs of the system are missing, and this process may not install them."""


class StartError(TestbedError):
    """A component did not start; the message holds the end of its log."""


class KubectlError(TestbedError):
    """kubectl ended with an error.

    `stderr` is what it printed there, `returncode` its exit code.
    """

    def __init__(self, *, arguments: tuple[str, ...], returncode: int, stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)}: exit {returncode}: {stderr.strip()}")
        self.arguments = arguments
        self.returncode = returncode
        self.stderr = stderr
