"""HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go's net/http reads them (golang.org/x/net/http/httpproxy).

The same variables then mean the same for kubectl, agent and controller. Python's urllib.request knows no CIDR
ranges, and a cluster's NO_PROXY usually lists the service range as one.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_from_environment(server: str, *, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for `server`, None for a direct connection."""
    url = urlsplit(server)
    name = "HTTPS_PROXY" if url.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(name) or environ.get(name.lower())
    if not proxy:
        return None
    exceptions = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    if bypasses_proxy(url.hostname or "", port=port, exceptions=exceptions):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def bypasses_proxy(host: str, *, port: int, exceptions: str) -> bool:
    """Return whether NO_PROXY (`exceptions`, comma-separated) covers the host.

    An entry is `*`, an address, a CIDR range, or a name that covers itself and its subdomains (with a leading
    dot or `*.` the subdomains alone), each with an optional port. localhost and loopback are always covered.
    """
    host = host.lower().rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(
        _covers(entry.strip().lower(), host=host, address=address, port=port)
        for entry in exceptions.split(",")
        if entry.strip()
    )


def _covers(
    entry: str, *, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int
) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, entry_port = _split_port(entry)
    if entry_port is not None and entry_port != port:
        return False
    if (entry_address := _address(name)) is not None:
        return entry_address == address
    if address is not None:
        return False
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith("." + name)


def check_proxy(url: str) -> None:
    """Raises ValueError unless `url` is a proxy that is supported: http://host[:port]."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"proxy {url!r}: only http://host:port is supported, not SOCKS or https")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _split_port(entry: str) -> tuple[str, int | None]:
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (name.endswith("]") or ":" not in name):
        return name, int(port)
    return entry, None
