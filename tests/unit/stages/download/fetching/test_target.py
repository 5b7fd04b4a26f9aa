"""Redirects are followed like in browsers, with the rules of published URLs for hosts, blanks and entities."""

import pytest

from stages.download.fetching.faults import Refused
from stages.download.fetching.target import parse_target, redirect_url


def follow(location: str | bytes) -> str:
    """Return the URL that is requested after this Location header of http://a.example/b/c?d."""
    text = (location if isinstance(location, bytes) else location.encode()).decode("iso-8859-1")
    here = parse_target("http://a.example/b/c?d", reason="invalid_response")
    return parse_target(redirect_url(here, text), reason="bad_redirect").url


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("e", "http://a.example/b/e"),
        ("/e", "http://a.example/e"),
        ("../e", "http://a.example/e"),
        ("?e", "http://a.example/b/c?e"),
        ("//h.example/e", "http://h.example/e"),
        ("\\\\h.example\\e", "http://h.example/e"),
        ("https://H.example:443/e#f", "https://h.example/e"),
        ("  /e f \t", "http://a.example/e%20f"),
        ("/é.jpg", "http://a.example/%C3%A9.jpg"),
        ("/à", "http://a.example/%C3%A0"),
        (b"/\xe9.jpg", "http://a.example/%E9.jpg"),
        (b"/x?q=\xe0", "http://a.example/x?q=%E0"),
        ("http://straße.example/e", "http://xn--strae-oqa.example/e"),
        (b"http://stra\xdfe.example/\xdf", "http://xn--strae-oqa.example/%DF"),
        ("http://my_host.example./e", "http://my_host.example/e"),
        ("http://%68.example/e", "http://h.example/e"),
        ("http://①②⑦.1/e", "http://127.0.0.1/e"),
        ("//0x7f000001/e", "http://127.0.0.1/e"),
        ("/e?w=1&amp;h=2&copy=3", "http://a.example/e?w=1&h=2&copy=3"),
        ("/e?", "http://a.example/e?"),
        ("/%C3%A9%20%e9", "http://a.example/%C3%A9%20%e9"),
    ],
)
def test_a_location_is_read_as_browsers_do(location: str | bytes, url: str) -> None:
    assert follow(location) == url


@pytest.mark.parametrize(
    "location",
    ["http://", "http:///e", "http://a b/", "http://256.1.1.1/", "http://[fe80::1%25e]/", "http://a\ufffd/", "gopher://x/",
     "http://[::1/", "http://u:p@h.example/", b"http://\xff\xfe.1/", "/" + "e" * 9000],
)  # fmt: skip
def test_a_location_that_is_no_web_address_is_refused(location: str | bytes) -> None:
    with pytest.raises(Refused) as caught:
        follow(location)
    assert caught.value.reason == "bad_redirect"
