"""Socket options of every connection to the API server."""

import socket

_TCP_OPTIONS = {
    # A request is two small writes: without this the second waits for the acknowledgement of the first.
    "TCP_NODELAY": 1,
    # A peer that is gone without a FIN is detected 20 + 3 * 10 s after its last sign of life, and data that
    # it does not acknowledge fails after the same time.
    "TCP_KEEPIDLE": 20,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 50_000,
}
"""Those that the system does not have (macOS, for kubectl oom) are left out."""

SOCKET_OPTIONS: list[tuple[int, int, int | bytes]] = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in _TCP_OPTIONS.items()
        if hasattr(socket, name)
    ),
]
