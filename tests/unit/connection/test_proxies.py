"""Proxy variables, with the meaning that Go gives them."""

import pytest

from oomkeeper.connection.proxies import bypasses_proxy, check_proxy, proxy_from_environment

SERVER = "https://10.96.0.1:443"


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("*", "api.example.com", True),
        ("example.com", "api.example.com", True),
        ("example.com", "example.com", True),
        ("example.com", "badexample.com", False),
        (".example.com", "api.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "api.example.com", True),
        ("10.96.0.0/12", "10.96.0.1", True),
        ("10.96.0.0/12", "10.112.0.1", False),
        ("10.96.0.1", "10.96.0.1", True),
        ("10.96.0.1:443", "10.96.0.1", True),
        ("10.96.0.1:6443", "10.96.0.1", False),
        ("fd00::/8", "fd00::1", True),
        ("other.org, .svc,10.96.0.0/12", "10.96.0.1", True),
        ("not/a/range", "10.96.0.1", False),
        ("", "127.0.0.1", True),
        ("", "localhost", True),
        ("", "10.96.0.1", False),
    ],
)
def test_no_proxy_covers_names_addresses_and_ranges(exceptions: str, host: str, direct: bool) -> None:
    assert bypasses_proxy(host, port=443, exceptions=exceptions) is direct


def test_variable_of_the_servers_scheme_is_used_in_either_case() -> None:
    assert proxy_from_environment(SERVER, environ={"HTTPS_PROXY": "http://p:1"}) == "http://p:1"
    assert proxy_from_environment(SERVER, environ={"https_proxy": "p:1"}) == "http://p:1"
    assert proxy_from_environment(SERVER, environ={"HTTP_PROXY": "http://p:1"}) is None
    assert (
        proxy_from_environment(SERVER, environ={"HTTPS_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"})
        is None
    )


@pytest.mark.parametrize("url", ["socks5://p:1", "https://p:1", "p", "http://", "http://p:99999"])
def test_unsupported_proxy_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="only http"):
        check_proxy(url)
