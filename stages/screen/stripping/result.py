"""The result of stripping a file, and helpers for several formats: the orientation tag and colour profiles."""

import re
import struct
from dataclasses import dataclass

LOOSE_BYTES = 8
LOOSE_TEXT = re.compile(rb"[\x00\t\n\r -~]{8}")  # compressed pixels rarely end in 8 bytes of text
ICC_HEADER_BYTES = 128
ICC_SIGNATURE = slice(36, 40)


class UnpublishableImage(ValueError):
    """The file's structure cannot be walked safely; the text says where it is broken."""


@dataclass(frozen=True)
class Stripped:
    """An image file without its metadata.

    Attributes:
        data: the file to publish.
        doubts: why a decoder might read other pixels from it than from the original; empty if everything that affects
            pixels was copied byte for byte and nothing else in the file can have changed their decoding.
        loose_end: where the last scan of a JPEG or the pixels of a still WEBP begin in data, if they may be followed by
            bytes that only decoding can find; else 0.
        shorter: for a GIF, the file without blocks that may follow the pixels of its first frame; it is published if it
            decodes to the same pixels. Empty without such blocks.
    """

    data: bytes
    doubts: tuple[str, ...] = ()
    loose_end: int = 0
    shorter: bytes = b""


def require(is_met: bool, problem: str) -> None:
    """Raise UnpublishableImage with this text unless the condition is met."""
    if not is_met:
        raise UnpublishableImage(problem)


def write_orientation(orientation: int) -> bytes:
    """Return an EXIF block that contains only the orientation tag."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


def cut_profile(profile: bytes) -> bytes:
    """Return the ICC profile up to the length stated in its header; b"" if it is not a profile."""
    n_bytes = int.from_bytes(profile[:4], "big")
    is_profile = ICC_HEADER_BYTES < n_bytes <= len(profile) and profile[ICC_SIGNATURE] == b"acsp"
    return profile[:n_bytes] if is_profile else b""
