"""Equal addresses have one form, and other texts than web addresses are rejected with a reason."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.plan.urls import UrlFault, fetch_id, host_of, normalise_url, plan_urls


@pytest.mark.parametrize(
    ("url", "normalised"),
    [
        ("http://example.com/a.jpg", "http://example.com/a.jpg"),
        (" \tHTTP://Example.COM:80/A.jpg#top\n", "http://example.com/A.jpg"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:8443/x", "https://example.com:8443/x"),
        ("http://example.com:080/x", "http://example.com/x"),
        ("http://example.com:/x", "http://example.com/x"),
        ("http://example.com?x=1", "http://example.com/?x=1"),
        ("http://example.com/x?", "http://example.com/x?"),
        ("http://example.com/a b/ü.jpg?q=é c", "http://example.com/a%20b/%C3%BC.jpg?q=%C3%A9%20c"),
        ("http://example.com/%7ea/%C3%bc/100%/./../x", "http://example.com/%7ea/%C3%bc/x"),
        ("http://example.com/x/../img/up.jpg", "http://example.com/img/up.jpg"),
        ("http://example.com/../../a.jpg?b=/../c", "http://example.com/a.jpg?b=/../c"),
        ("http://example.com/a/%2e%2E/b/.%2e/c/%2E/d", "http://example.com/c/d"),
        ("http://example.com/a/b/..", "http://example.com/a/"),
        ("http://example.com/a/.?x", "http://example.com/a/?x"),
        ("http://example.com/a//../b", "http://example.com/a/b"),
        ("http://example.com/a/.../..b/c../.d", "http://example.com/a/.../..b/c../.d"),
        ("http://example.com/a?b=/../c", "http://example.com/a?b=/../c"),
        ("http://bücher.example/x", "http://xn--bcher-kva.example/x"),
        ("http://s.yimg.com/resize/https://a.com/b.jpg", "http://s.yimg.com/resize/https://a.com/b.jpg"),
        ("http://example.com\\a\\b.jpg", "http://example.com/a/b.jpg"),
        ("http://example.com/a\r\nb.jpg", "http://example.com/ab.jpg"),
        ("http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("http://127.0.0.1:8000/x.jpg", "http://127.0.0.1:8000/x.jpg"),
        ("http://example.com./x", "http://example.com./x"),
        ("http://my_host.example/x", "http://my_host.example/x"),
        ("http://-a.com/x", "http://-a.com/x"),
        ("http://a%2eb/", "http://a.b/"),
        ("http://example.com/i?w=640&amp;s=abc", "http://example.com/i?w=640&s=abc"),
        ("http://example.com/i?w=640&amp;amp;s=abc", "http://example.com/i?w=640&s=abc"),
        ("http://example.com/i?a=1&copy=2&section=3&sect=4", "http://example.com/i?a=1&copy=2&section=3&sect=4"),
        ("http://example.com/it&#39;s.jpg&#10;&nbsp;", "http://example.com/it's.jpg"),
        ("http://example.com/a&num;b", "http://example.com/a"),
        ("http&#58;//example.com/&am\np;b", "http://example.com/&b"),
        ("http://straße.example/x", "http://xn--strae-oqa.example/x"),
        ("http://①②⑦。0。0x0.1:8000/x", "http://127.0.0.1:8000/x"),
    ],
)
def test_a_url_is_normalised(url: str, normalised: str) -> None:
    assert normalise_url(url) == normalised


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("hello world", "not_a_url"),
        ("", "not_a_url"),
        ("http://", "not_a_url"),
        ("http:///x.jpg", "not_a_url"),
        ("http:x.jpg", "not_a_url"),
        ("http:/photos/x.jpg", "not_a_url"),
        ("//example.com/x", "not_a_url"),
        ("www.example.com/x.jpg", "not_a_url"),
        ("localhost:8080/x", "not_a_url"),
        ("http://exa mple.com/x", "not_a_url"),
        ("http://example..com/x", "not_a_url"),
        ("http://example.com:0/", "not_a_url"),
        ("http://example.com:65536/", "not_a_url"),
        ("http://example.com:8o/", "not_a_url"),
        ("http://user:pw@example.com/", "not_a_url"),
        ("http://example.com/a\x00b", "not_a_url"),
        ("http://[::1/x", "not_a_url"),
        ("http://[zz]/x", "not_a_url"),
        ("http://" + "a" * 300 + ".com/", "not_a_url"),
        ("http://" + "ü" * 100 + ".com/", "not_a_url"),
        ("ftp://example.com/x.jpg", "unsupported_scheme"),
        ("file:///etc/passwd", "unsupported_scheme"),
        ("data:image/png;base64,AAAA", "unsupported_scheme"),
        ("javascript:alert(1)", "unsupported_scheme"),
    ],
)
def test_texts_that_are_no_web_address_are_refused(url: str, reason: str) -> None:
    with pytest.raises(UrlFault) as caught:
        normalise_url(url)
    assert caught.value.reason == reason
    assert 0 < len(caught.value.detail) <= 200


URLS = st.one_of(
    st.text(max_size=30),
    st.text("htps:/.@#?%[]\\ aZü\t0189-_&amp;x。①ß", max_size=25).map("http://".__add__),
    st.builds("https://{}/{}".format, st.sampled_from(["A.b", "x.y:443", "ß.de"]), st.text(max_size=12)),
)


@settings(max_examples=400, deadline=None)
@given(URLS)
def test_normalising_is_idempotent_and_raises_no_other_error(url: str) -> None:
    try:
        normalised = normalise_url(url)
    except UrlFault as fault:
        assert fault.reason in ("not_a_url", "unsupported_scheme")
        return
    assert normalise_url(normalised) == normalised
    assert normalised.isascii()
    assert not set(normalised) & set(" \t\n#")
    assert host_of(normalised)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(UrlFault):
        normalise_url("http://example.com/\ud800")


def test_a_plan_has_one_row_per_url() -> None:
    planned = plan_urls(pa.chunked_array([["HTTP://A.com/x", "ftp://b/"], [None, "http://a.com:80/x"]]))
    same = "http://a.com/x"
    assert planned["normalised_url"].to_pylist() == [same, None, None, same]
    assert planned["host"].to_pylist() == ["a.com", None, None, "a.com"]
    assert planned["fetch_id"].to_pylist() == [fetch_id(same), None, None, fetch_id(same)]
    assert planned["reason"].to_pylist() == [None, "unsupported_scheme", "not_a_url", None]
    assert plan_urls(pa.array([], pa.string())).num_rows == 0


def test_fetch_ids_are_pinned() -> None:
    # sha256 of the normalised URL: after a change every fetched image would be unknown.
    assert fetch_id("http://example.com/a.jpg") == "4fd63207a70baba7076795ee9c335785"
    assert len(fetch_id("http://a.com/x")) == 32
