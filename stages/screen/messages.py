"""The messages between screen and its decoding child: images one way, answers the other.

Imports no image library and no other stage: both processes use it.
"""

import json
import os
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any

_IMAGE = struct.Struct("<IQ")  # how many images follow before the child answers, and bytes of this one
_ANSWER = struct.Struct("<I")  # bytes of the JSON


def send_images(output: int, bodies: Sequence[bytes]) -> None:
    """Write images to a pipe; in one call if they fit, so that the child wakes up once."""
    pieces: list[bytes] = []
    for n_sent, data in enumerate(bodies, 1):
        pieces += [_IMAGE.pack(len(bodies) - n_sent, len(data)), data]
    n_written = os.writev(output, pieces)
    if n_written < sum(map(len, pieces)):  # the pipe is full, or a signal came between
        rest = memoryview(b"".join(pieces))
        while n_written < len(rest):
            n_written += os.write(output, rest[n_written:])


def receive_images(source: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield each image until the pipe ends, and how many images follow before an answer is expected."""
    while header := source.read(_IMAGE.size):
        n_following, n_bytes = _IMAGE.unpack(header)
        yield source.read(n_bytes), n_following


def send_answer(output: IO[bytes], answer: Any) -> None:
    """Write an answer to a pipe."""
    text = json.dumps(answer).encode()
    output.write(_ANSWER.pack(len(text)) + text)
    output.flush()


def read_answer(source: IO[bytes]) -> Any:
    """Return the next answer.

    Raises:
        EOFError: the pipe ended before.
    """
    (n_bytes,) = _ANSWER.unpack(_read_exactly(source, _ANSWER.size))
    return json.loads(_read_exactly(source, n_bytes))


def _read_exactly(source: IO[bytes], n_bytes: int) -> bytes:
    received = source.read(n_bytes)
    if len(received) < n_bytes:
        raise EOFError
    return received
