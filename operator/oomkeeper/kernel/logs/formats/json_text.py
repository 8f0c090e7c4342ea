"""JSON with the bytes of the log kept: what is not UTF-8 survives as lone surrogates and comes back."""


def loads(text: bytes) -> object:
    """Parse `text`. Raises ValueError, RecursionError."""
    import json  # takes milliseconds that other formats need not pay

    return json.loads(text.decode("utf-8", "surrogateescape"))


def encode(text: str) -> bytes:
    """Return the bytes of a string from `loads`; surrogates that stand for no byte become `?`."""
    lone = any("\ud800" <= char <= "\udfff" and not "\udc80" <= char <= "\udcff" for char in text)
    return text.encode("utf-8", "replace" if lone else "surrogateescape")
