"""Free ports and the machine's own address."""

from __future__ import annotations

import random
import socket

from .errors import StartError

# Below Linux's ephemeral range (32768 up), so that no outgoing connection takes one between choice and use.
_FIRST, _LAST = 20000, 32000


def free_ports(count: int, *, host: str = "127.0.0.1") -> list[int]:
    """Return `count` different free ports; nothing reserves them, so a start may lose the race."""
    held: list[socket.socket] = []
    try:
        for port in random.sample(range(_FIRST, _LAST), k=2000):
            candidate = socket.socket()
            try:
                candidate.bind((host, port))
            except OSError:
                candidate.close()
                continue
            held.append(candidate)
            if len(held) == count:
                return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
    raise StartError(f"no {count} free ports between {_FIRST} and {_LAST} on {host}: end what holds them")


def own_address() -> str:
    """The address from which this machine would reach others: the node's InternalIP (no packet is sent).

    Raises StartError where there is only loopback, which a kubelet refuses.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1
        except OSError as error:
            raise StartError("the kubelet needs an IPv4 address other than loopback, and a route") from error
        address: str = probe.getsockname()[0]
    return address
