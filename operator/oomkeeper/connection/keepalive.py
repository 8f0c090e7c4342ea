"""Socket options of every connection to the API server."""

import socket

SOCKET_OPTIONS: list[tuple[int, int, int | bytes]] = [
    # A request is two small writes: without this the second waits for the acknowledgement of the first.
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A peer that is gone without a FIN is detected 20 + 3 * 10 s after its last sign of life, and data that
    # it does not acknowledge fails after the same time.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 50_000),
]
