"""Bytes of the kernel's log as Python text: whatever a process wrote into its comm must survive, visibly."""


def readable(text: bytes) -> str:
    """Decode UTF-8; a byte that is none becomes `\\xNN`, so that no name is lost and none can fail."""
    return text.decode("utf-8", "backslashreplace")


KIB = 1024
