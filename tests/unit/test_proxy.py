"""Which proxy Prometheus goes by: the rules were read in golang.org/x/net/http/httpproxy and prometheus/common."""

from __future__ import annotations

import pytest
from ansible_collections.emr.monitoring.plugins.module_utils.proxy import bypassed, proxy_of


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("http://a.example.com/w", "other, .example.com"),
        ("http://a.example.com/w", "*.EXAMPLE.com"),
        ("http://A.example.com/w", "example.com"),
        ("https://example.com/w", "example.com"),
        ("https://example.com/w", "example.com:443"),
        ("http://example.com:8080/w", "example.com:8080"),
        ("http://x/w", "*"),
        ("http://10.1.2.3:9009/w", "localhost,10.0.0.0/8"),
        ("http://10.1.2.3/w", "10.1.2.3"),
        ("http://10.1.2.3/w", "10.1.2.3:80"),
        ("http://[fd00::5]/w", "fd00::/8"),
        ("http://[fd00::5]/w", "fd00:0::5"),
        ("http://[fd00::5]:81/w", "[fd00::5]:81"),
        ("http://[::ffff:10.1.2.3]/w", "10.0.0.0/8"),
        # The machine itself, whatever is written.
        ("http://localhost:9009/w", ""),
        ("http://127.0.0.2/w", "other"),
        ("http://[::1]/w", "other"),
    ],
)
def test_an_address_is_asked_directly(url: str, without: str) -> None:
    assert bypassed(url, without)


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("http://x/w", ""),
        ("http://x/w", " , "),
        ("http://notexample.com/w", "example.com"),
        ("http://example.com/w", ".example.com, *.example.com"),
        ("http://example.com/w", "example.com:443"),
        ("http://11.1.2.3/w", "10.0.0.0/8"),
        ("http://10.1.2.3/w", "10.0.0.0/33, 10.1, 1.2.3, 10.1.2.3:81"),
        ("http://10.1.2.3/w", "10.0.0.0/255.0.0.0"),
        ("http://a.10.1.2.3.example/w", "10.0.0.0/8, :80"),
    ],
)
def test_an_address_is_asked_by_the_proxy(url: str, without: str) -> None:
    assert not bypassed(url, without)


@pytest.mark.parametrize(
    ("entry", "environment", "proxy"),
    [
        ({}, {"HTTP_PROXY": "http://p"}, ""),
        ({"proxy_url": "http://p:3128"}, {}, "http://p:3128"),
        ({"proxy_url": "http://p", "no_proxy": "10.0.0.0/8"}, {}, ""),
        ({"proxy_url": "http://p", "no_proxy": "11.0.0.0/8"}, {"NO_PROXY": "*"}, "http://p"),
        ({"proxy_from_environment": True}, {"HTTP_PROXY": "p:3128"}, "http://p:3128"),
        ({"proxy_from_environment": True}, {"HTTP_PROXY": "http://p", "http_proxy": "http://q"}, "http://p"),
        ({"proxy_from_environment": True}, {"http_proxy": "http://q", "no_proxy": "10.0.0.0/8"}, ""),
        ({"proxy_from_environment": True}, {"HTTPS_PROXY": "http://p"}, ""),
    ],
)
def test_the_proxy_is_the_one_that_is_named(entry: dict[str, object], environment: dict[str, str], proxy: str) -> None:
    assert proxy_of("http://10.1.2.3/w", entry, environment) == proxy


def test_without_exceptions_a_proxy_of_the_entry_is_gone_by_for_the_machine_itself_too() -> None:
    assert proxy_of("http://localhost/w", {"proxy_url": "http://p"}, {}) == "http://p"
    assert proxy_of("http://localhost/w", {"proxy_url": "http://p", "no_proxy": "x"}, {}) == ""
    assert proxy_of("http://localhost/w", {"proxy_from_environment": True}, {"HTTP_PROXY": "http://p"}) == ""
