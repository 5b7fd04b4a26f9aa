"""Seeded damage to the bytes of source files, as by disks, networks, editors and other programs."""

import random
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]
_MANY_BYTES = 5 << 20  # more than any element of a corpus
_VALUES = (
    b"null", b"3", b"-1", b"1e999", b"9" * 5000, b"1" * 40, b"NaN", b"-Infinity", b"true", b"[]", b"{}", b'""',
    b'"\\ud800"', b'"\\u0000"', b'"\xff"', b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'["x", "y"]', b'{"x": 1}', b"\xef\xbb\xbf", b"",
)  # fmt: skip


def _flip(n_bits: int) -> Mutation:
    def flip(data: bytes, draw: random.Random) -> bytes:
        damaged = bytearray(data)
        for _ in range(n_bits):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        return bytes(damaged)

    return flip


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _cut_after(mark: bytes) -> Mutation:
    def cut(data: bytes, draw: random.Random) -> bytes:
        pieces = data.split(mark)
        return mark.join(pieces[: draw.randrange(1, len(pieces))]) + mark if len(pieces) > 1 else data[:-1]

    return cut


def _insert(make: Callable[[random.Random], bytes]) -> Mutation:
    def insert(data: bytes, draw: random.Random) -> bytes:
        place = draw.randrange(len(data) + 1)
        return data[:place] + make(draw) + data[place:]

    return insert


def _overwrite(data: bytes, draw: random.Random) -> bytes:
    place, n_bytes = draw.randrange(len(data)), draw.choice((1, 16, 512))
    return (data[:place] + draw.choice((bytes(n_bytes), draw.randbytes(n_bytes))) + data[place + n_bytes :])[
        : len(data)
    ]


def _remove(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + data[place + draw.randint(1, 600) :]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    first, last = sorted((draw.randrange(len(data)), draw.randrange(len(data))))
    return data[:last] + data[first:last] + data[last:]


def _change_value(data: bytes, draw: random.Random) -> bytes:
    """Replace the value after a colon or comma."""
    places = [place for place, byte in enumerate(data) if byte in b":,["]
    if not places:
        return data + draw.choice(_VALUES)
    first = draw.choice(places) + 1
    ends = [place for place in (data.find(end, first) for end in (b",", b"}", b"]")) if place >= 0]
    return data[:first] + draw.choice(_VALUES) + data[min(ends, default=len(data)) :]


def _rename_key(data: bytes, draw: random.Random) -> bytes:
    """Rename a key to another known key."""
    keys = [b'"image_id"', b'"url"', b'"caption"', b'"id"', b'"regions"', b'"phrase"', b'"image_urls"', b'"captions"']
    found = [key for key in keys if key in data]
    if len(found) < 2:
        return data + b" "
    old, new = draw.sample(found, 2)
    place = draw.choice([n for n in range(len(data)) if data.startswith(old, n)])
    return data[:place] + new + data[place + len(old) :]


MUTATIONS: dict[str, Mutation] = {
    "one bit": _flip(1),
    "three bits": _flip(3),
    "twenty bits": _flip(20),
    "cut": _cut,
    "cut after a record": _cut_after(b"}, "),
    "cut after a comma": _cut_after(b", "),
    "cut inside a character": _cut_after(b"\xc3"),
    "cut after a line": _cut_after(b"\n"),
    "garbage": _insert(lambda draw: draw.randbytes(draw.randint(1, 2000))),
    "text garbage": _insert(lambda draw: bytes(draw.choices(b'[]{},:"\\ \n1a', k=draw.randint(1, 40)))),
    "block of one letter": _insert(lambda draw: b"a" * _MANY_BYTES),
    "block of zeros": _insert(lambda draw: bytes(_MANY_BYTES)),
    "overwritten": _overwrite,
    "removed": _remove,
    "repeated": _repeat,
    "other value": _change_value,
    "other key": _rename_key,
    "garbage behind the end": lambda data, draw: data + draw.randbytes(40),
    "zeros behind the end": lambda data, draw: data + bytes(1024),
    "twice": lambda data, draw: data + data,
    "UTF-8 mark": lambda data, draw: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data, draw: data.decode(errors="replace").encode(
        draw.choice(("utf-16", "utf-16-le", "utf-16-be"))
    ),
    "empty": lambda data, draw: b"",
}
