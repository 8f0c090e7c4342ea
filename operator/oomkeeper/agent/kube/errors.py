"""What a request to the API server can fail with, and what the server says about it (metav1.Status)."""

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from oomkeeper.connection.retry import bounded_retry_after, retry_after_seconds

_MESSAGE_BYTES = 16 * 1024


class ApiError(Exception):
    """The API server, or the connection to it, failed the request."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None without an answer."""
        self.retry_after_seconds = retry_after_seconds
        """The server asked not to be asked again before this many seconds have passed."""


class _StatusDetails(msgspec.Struct):
    retryAfterSeconds: int = 0


class _Status(msgspec.Struct):
    """metav1.Status, as far as it is used."""

    message: str = ""
    reason: str = ""
    code: int | None = None
    details: _StatusDetails | None = None


def error_of_answer(response: urllib3.BaseHTTPResponse, *, what: str) -> ApiError:
    """Return the error of an answer with a status of 300 or more."""
    try:
        data = response.read(_MESSAGE_BYTES)
    except (HTTPError, OSError):
        data = b""
    try:
        status = msgspec.json.decode(data, type=_Status)
    except msgspec.MsgspecError:
        status = _Status(message=" ".join(data[:200].decode(errors="replace").split()))
    message = status.message or response.reason or ""
    retry_after = _retry_after(response.headers.get("Retry-After"), status=status)
    return ApiError(
        f"{what}: {response.status} {message}", status=response.status, retry_after_seconds=retry_after
    )


def error_of_event(data: msgspec.Raw, *, what: str) -> ApiError:
    """Return the error of an ERROR event, whose object is a Status."""
    try:
        status = msgspec.json.decode(data, type=_Status)
    except msgspec.MsgspecError as error:
        return ApiError(f"{what}: ERROR event that is not a Status: {error}")
    retry_after = _retry_after(None, status=status)
    return ApiError(
        f"{what}: {status.code} {status.message}", status=status.code, retry_after_seconds=retry_after
    )


def _retry_after(header: str | None, *, status: _Status) -> float:
    """Seconds of the header, else of the Status."""
    in_status = bounded_retry_after(status.details.retryAfterSeconds if status.details else 0)
    return in_status if header is None else retry_after_seconds(header)
