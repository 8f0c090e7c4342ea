"""Bytes of the kernel log as Python text: whatever a process wrote into its comm stays visible."""


def readable(text: bytes) -> str:
    """Decode UTF-8; a byte that is not UTF-8 becomes `\\xNN`, so that no name is lost and no error is
    raised."""
    return text.decode("utf-8", "backslashreplace")


KIB = 1024
