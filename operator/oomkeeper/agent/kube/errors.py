"""What a request to the API server can fail with."""


class ApiError(Exception):
    """The API server, or the connection to it, failed the request."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None without an answer."""
        self.retry_after_seconds = retry_after_seconds
        """The server asked not to be asked again before this many seconds have passed."""
