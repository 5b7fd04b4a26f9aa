"""Hosts are normalised as in browsers, and disguised addresses are recognised."""

import random

import pytest

from stages.plan.hosts import ascii_host


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("straße.example", "xn--strae-oqa.example"),
        ("STRASSE.example", "strasse.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("نامه\u200cای.example", "xn--mgba3gch31f060k.example"),
        ("faẞ.example", "xn--fa-hia.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("b%C3%BCcher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        ("i❤.ws", "xn--i-7iq.ws"),
        ("💩.la", "xn--ls8h.la"),
        ("日本語。jp", "xn--wgv71a119e.jp"),
        ("日本語．jp", "xn--wgv71a119e.jp"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("ex\u00adample.com", "example.com"),
        ("a%2eb", "a.b"),
        ("%65xample.com", "example.com"),
        ("my_host.example", "my_host.example"),
        ("_.example", "_.example"),
        ("-a-.example", "-a-.example"),
        ("r3---sn.example", "r3---sn.example"),
        ("example.com.", "example.com."),
        ("example.com。", "example.com."),
        ("1.example", "1.example"),
        ("0xg", "0xg"),
        ("localhost", "localhost"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    ],
)
def test_a_host_is_normalised(host: str, expected: str) -> None:
    assert ascii_host(host) == expected
    assert ascii_host(expected) == expected


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.01",
        "017700000001", "127.0x0.0.1", "１２７.０.０.１", "①②⑦.0.0.①", "127。0．0｡1", "%31%32%37.0.0.1",
        "127.0.0.0x1", "¹²⁷.1",
    ],
)  # fmt: skip
def test_a_disguised_loopback_address_is_found(host: str) -> None:
    assert ascii_host(host) == "127.0.0.1"


def test_random_spellings_of_an_address_give_that_address() -> None:
    draw = random.Random(0)
    spell = (
        str,
        lambda n: f"0{n:o}",
        lambda n: f"0x{n:x}",
        lambda n: str(n).translate({48 + d: 0xFF10 + d for d in range(10)}),
    )
    for _ in range(2000):
        numbers = [draw.randrange(256) for _ in range(4)]
        keep = draw.randrange(4)
        last = int.from_bytes(bytes(numbers[keep:]), "big")
        host = draw.choice(".。．｡").join(draw.choice(spell)(n) for n in (*numbers[:keep], last))
        assert ascii_host(host) == ".".join(map(str, numbers))


@pytest.mark.parametrize(
    "host",
    [
        "", ".", "..", "a..b", ".a", "a..", "\u00ad", "a b", "a%20b", "a%00b", "a%2fb", "a%40b", "a%25b", "a％41b",
        "a／b", "℀.example", "a<b", "a|b", "a:b", "%ff.example", "%ed%a0%80", "a" * 64 + ".example", "a." * 127 + "com",
        "ü" * 100 + ".example", "256.1.1.1", "1.2.3.4.5", "4294967296", "09.1.1.1", "foo.0x4", "1.2.3.08", "example.1",
        "[::1", "[zz]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[1.2.3.4]", "xn--a", "xn--", "xn--strasse-",
        "xn--ü.example", "a\u200cb.example", "\u0308a.example", "אa.example", "1א.example", "a\ufffdb.example",
    ],
)  # fmt: skip
def test_hosts_that_browsers_refuse_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        ascii_host(host)
