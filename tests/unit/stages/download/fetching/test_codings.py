"""Content codings of a body are decoded, or refused by name; a decompression bomb is bounded by the limit."""

import gzip
import http.client
import random
import time
import tracemalloc
import zlib

import brotli
import pytest

from schemas.reasons import REASON
from stages.download.fetching.codings import codings_of, unpack
from stages.download.fetching.faults import Refused

JPEG = b"\xff\xd8\xff\xe0" + random.Random(0).randbytes(5000) + bytes(3000)
LIMIT = 10_000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK = {
    "gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "x-deflate": raw_deflate,
    "br": brotli.compress,
}  # fmt: skip


def refusal(body: bytes, *codings: str, max_bytes: int = LIMIT) -> Refused:
    with pytest.raises(Refused) as caught:
        unpack(body, codings, max_bytes)
    return caught.value


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("content", [JPEG, b"", b"x", bytes(LIMIT), b"text"])
def test_each_coding_is_decoded(name: str, content: bytes) -> None:
    assert unpack(PACK[name](content), [name], LIMIT) == content


@pytest.mark.parametrize("outer", PACK)
@pytest.mark.parametrize("inner", PACK)
def test_several_codings_are_decoded_from_the_last(inner: str, outer: str) -> None:
    assert unpack(PACK[outer](PACK[inner](JPEG)), [inner, outer], LIMIT) == JPEG


def test_deflate_is_decoded_with_and_without_a_zlib_header() -> None:
    for data in (JPEG, b"GIF89a", b"BM" + bytes(99)):
        assert unpack(zlib.compress(data), ["deflate"], LIMIT) == unpack(raw_deflate(data), ["deflate"], LIMIT) == data


def test_gzip_members_are_joined_and_trailing_bytes_are_ignored() -> None:
    halves = gzip.compress(JPEG[:4000]) + gzip.compress(JPEG[4000:])
    assert unpack(halves, ["gzip"], LIMIT) == JPEG
    assert unpack(halves + bytes(500), ["gzip"], LIMIT) == JPEG


@pytest.mark.parametrize("name", [*PACK, "zstd", "compress"])
@pytest.mark.parametrize(
    "picture",
    [
        JPEG,
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"GIF89a" + bytes(9),
        b"RIFF\0\0\0\0WEBPVP8 ",
        *(magic + bytes(60) for magic in (b"BM", b"II*\0", b"MM\0*")),
    ],
)
def test_a_plain_picture_is_kept_whatever_the_header_says(name: str, picture: bytes) -> None:
    assert unpack(picture, [name], LIMIT) == picture
    assert unpack(picture, [name, name], LIMIT) == picture


def test_a_coding_other_than_the_named_one_is_broken() -> None:
    for packed in (PACK["br"], PACK["deflate"], PACK["x-deflate"]):
        refused = refusal(packed(JPEG), "gzip")
        assert refused.reason == "broken_encoding" and "gzip" in refused.detail
    for codings in ([], ["gzip"], ["br"]):
        body = gzip.compress(JPEG)
        for name in codings:
            body = PACK[name](body)
        refused = refusal(body, *codings)
        assert refused.reason == "broken_encoding" and "gzip" in refused.detail
    assert REASON["broken_encoding"].is_transient


def test_a_text_named_gzip_stays_as_it_is() -> None:
    for text in (b"", b"User-agent: *\r\nDisallow: /", "<p>fort, \u00e9t\u00e9</p>".encode() * 99, b"\xef\xbb\xbfa"):
        assert unpack(text, ["gzip"], LIMIT) == text


@pytest.mark.parametrize("name", PACK)
def test_a_bomb_is_too_large_and_costs_little(name: str) -> None:
    bomb = PACK[name](bytes(60_000_000))
    tracemalloc.start()
    assert refusal(bomb, name).reason == "body_too_large"
    assert refusal(bomb, name, max_bytes=1_000_000).reason == "body_too_large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    assert refusal(gzip.compress(bomb), name, "gzip", max_bytes=1_000_000).reason == "body_too_large"


@pytest.mark.parametrize("name", PACK)
def test_every_truncation_is_a_truncated_or_broken_body(name: str) -> None:
    packed = PACK[name](JPEG[:300])
    reasons = {refusal(packed[:n], name).reason for n in range(3, len(packed))}
    assert reasons <= {"truncated_body", "broken_encoding"}
    assert "truncated_body" in reasons
    assert all(REASON[reason].is_transient for reason in reasons)


@pytest.mark.parametrize("name", PACK)
def test_a_flipped_byte_raises_no_other_error(name: str) -> None:
    draw, packed = random.Random(1), PACK[name](JPEG)
    for _ in range(400):
        body = bytearray(packed)
        body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        try:
            assert len(unpack(bytes(body), [name], LIMIT)) <= LIMIT
        except Refused as refused:
            assert refused.reason in ("broken_encoding", "truncated_body", "body_too_large")


@pytest.mark.parametrize("name", ["zstd", "compress", "x-compress", "exi", "lzma"])
def test_an_unsupported_coding_is_named_and_may_be_retried(name: str) -> None:
    refused = refusal(b"(\xb5/\xfd" + bytes(50), name)
    assert refused.reason == "unknown_encoding" and name in refused.detail
    assert REASON[refused.reason].is_transient


def test_many_members_and_many_codings_are_fast() -> None:
    started = time.process_time()
    assert refusal(gzip.compress(b"") * 100_000, "gzip").reason == "broken_encoding"
    data = b"text"
    for _ in range(9):
        data = gzip.compress(data)
    assert refusal(data, *["gzip"] * 9).reason == "broken_encoding"
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("headers", "codings"),
    [
        ({}, []),
        ({"Content-Encoding": ["identity"]}, []),
        ({"Content-Encoding": ["none"]}, []),
        ({"Content-Encoding": ["utf-8"]}, []),
        ({"Content-Encoding": ["image/jpeg; q=1"]}, []),
        ({"Content-Encoding": [""]}, []),
        ({"Content-Encoding": [" GZip "]}, ["gzip"]),
        ({"Content-Encoding": ["gzip, br"]}, ["gzip", "br"]),
        ({"Content-Encoding": ["gzip,,identity", "deflate"]}, ["gzip", "deflate"]),
        ({"Transfer-Encoding": ["gzip, chunked"]}, ["gzip"]),
        ({"Content-Encoding": ["br"], "Transfer-Encoding": ["gzip", "chunked"]}, ["br", "gzip"]),
        ({"Content-Encoding": ["zstd"]}, ["zstd"]),
    ],
)
def test_codings_are_read_from_the_headers(headers: dict[str, list[str]], codings: list[str]) -> None:
    message = http.client.HTTPMessage()
    for name, values in headers.items():
        for value in values:
            message[name] = value
    assert codings_of(message) == codings
