"""A text planted anywhere outside a file's pixels is not published, and the pixels stay equal."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from stages.screen.strip_metadata import strip_metadata

TEXT = b"SECRETPLACE!"
_MADE_NOW = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILE = _MADE_NOW[:24] + bytes(12) + _MADE_NOW[36:]  # without its creation time, since such bytes are in test ids


def draw(mode: str = "RGB", size: tuple[int, int] = (30, 22)) -> Image.Image:
    random = np.random.default_rng(3)
    return Image.fromarray(random.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(size).convert(mode)


def encode(image_format: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    draw(mode).save(stream, image_format, **options)
    return stream.getvalue()


def frames(image_format: str, *, count: int = 3) -> bytes:
    stream = io.BytesIO()
    turned = [draw().rotate(40 * n) for n in range(1, count)]
    draw().save(stream, image_format, save_all=True, append_images=turned, loop=0, duration=60)
    return stream.getvalue()


def read(data: bytes) -> list[tuple[str, tuple[int, int], bytes]]:
    found = []
    with Image.open(io.BytesIO(data)) as image:
        for n in range(getattr(image, "n_frames", 1)):
            image.seek(n)
            found.append((image.mode, image.size, image.convert("RGBA").tobytes()))
    return found


def segment(code: int, body: bytes = TEXT) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def chunk(kind: bytes, body: bytes = TEXT, *, checksum: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ checksum)


def riff(kind: bytes, body: bytes = TEXT) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + TEXT[: len(body) % 2]


def insert(data: bytes, position: int, new: bytes) -> bytes:
    return data[:position] + new + data[position:]


# JPEG: the drawn files begin with SOI and an APP0 of 18 bytes.
JPEG, SCANS = encode("JPEG"), encode("JPEG", progressive=True)
HEAD = 20
JPEG_PLACES = {
    **{f"APP{n}": insert(JPEG, HEAD, segment(0xE0 + n)) for n in range(16)},
    **{f"APP{n} behind the scan": insert(JPEG, len(JPEG) - 2, segment(0xE0 + n)) for n in range(16)},
    **{
        name: insert(JPEG, HEAD, segment(code, start + TEXT))
        for name, code, start in (
            ("JFIF's extension", 0xE0, b"JFXX\0\x10"),
            ("Exif", 0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
            ("broken Exif", 0xE1, b"Exif\0\0"),
            ("XMP", 0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
            ("more XMP", 0xE1, b"http://ns.adobe.com/xmp/extension/\0"),
            ("no profile", 0xE2, b"ICC_PROFILE\0\1\1"),
            ("a piece of a profile", 0xE2, b"ICC_PROFILE\0\2\3"),
            ("behind a profile", 0xE2, b"ICC_PROFILE\0\1\1" + PROFILE),
            ("MPF", 0xE2, b"MPF\0MM\0*\0\0\0\x08"),
            ("Photoshop", 0xED, b"Photoshop 3.0\x008BIM"),
            ("behind Adobe's segment", 0xEE, b"Adobe\0\x64\0\0\0\0\1"),
            ("behind JFIF's density", 0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            ("a comment", 0xFE, b""),
            ("a count of lines", 0xDC, b"\0\x16"),
        )
    },
    "a thumbnail in JFIF": JPEG[:2] + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\2\2" + TEXT) + JPEG[HEAD:],
    "between segments": insert(JPEG, HEAD, TEXT),
    "a comment between scans": insert(SCANS, SCANS.index(b"\xff\xda", SCANS.index(b"\xff\xda") + 2), segment(0xFE)),
    "a comment behind the scan": insert(JPEG, len(JPEG) - 2, segment(0xFE)),
    "behind EOI": JPEG + TEXT,
    "a second picture": JPEG + JPEG[:2] + segment(0xFE) + JPEG[2:],
    "a segment that ends with the file": JPEG[:-2] + segment(0xFE)[:-2],
}

PNG = encode("PNG")
PNG_HEAD, PNG_TAIL = 33, 12
PACKED = zlib.compress(PROFILE)


def replace_pixels(extra: bytes) -> bytes:
    """Return the PNG with these bytes after its compressed pixels, partly in a separate chunk."""
    start = PNG.index(b"IDAT") - 4
    body = PNG[start + 8 : -PNG_TAIL - 4]
    return PNG[:start] + chunk(b"IDAT", body + extra[:3]) + chunk(b"IDAT", extra[3:]) + PNG[-PNG_TAIL:]


def in_animation(extra: bytes) -> bytes:
    """Return an animated PNG with these bytes after the compressed pixels of its second frame."""
    data = frames("PNG")
    start = data.index(b"fdAT") - 4
    (n_bytes,) = struct.unpack_from(">I", data, start)
    return data[:start] + chunk(b"fdAT", data[start + 8 : start + 8 + n_bytes] + extra) + data[start + 12 + n_bytes :]


PNG_KINDS = (
    b"tEXt zTXt iTXt eXIf tIME sPLT hIST gAMA cHRM sRGB cICP sBIT bKGD pHYs iCCP tRNS PLTE acTL fcTL fdAT oFFs sCAL"
    b" dSIG caBX prVt prVT vpAg"
).split()
PNG_PLACES = {
    **{f"{kind.decode()} before": insert(PNG, PNG_HEAD, chunk(kind)) for kind in PNG_KINDS},
    **{
        f"{kind.decode()} behind": insert(PNG, len(PNG) - PNG_TAIL, chunk(kind))
        for kind in PNG_KINDS
        if kind != b"PLTE"
    },
    "a wrong checksum": insert(PNG, PNG_HEAD, chunk(b"pHYs", TEXT[:9], checksum=1)),
    "IEND": PNG[:-PNG_TAIL] + chunk(b"IEND"),
    "behind IEND": PNG + TEXT,
    "behind the pixels": replace_pixels(TEXT),
    "behind a later picture": in_animation(TEXT),
    "a profile's name": insert(PNG, PNG_HEAD, chunk(b"iCCP", TEXT + b"\0\0" + PACKED)),
    "behind a profile": insert(PNG, PNG_HEAD, chunk(b"iCCP", b"p\0\0" + PACKED + TEXT)),
    "a palette beside true colours": insert(PNG, PNG_HEAD, chunk(b"PLTE", TEXT)),
}

WEBP, SIMPLE, MOVING = encode("WEBP", icc_profile=PROFILE), encode("WEBP"), frames("WEBP")


def put_riff(data: bytes, position: int, new: bytes) -> bytes:
    longer = insert(data, position, new)
    return b"RIFF" + struct.pack("<I", len(longer) - 8) + longer[8:]


def in_frame(data: bytes, new: bytes) -> bytes:
    start = data.index(b"ANMF")
    (n_bytes,) = struct.unpack_from("<I", data, start + 4)
    size = struct.pack("<I", n_bytes + len(new))
    return put_riff(data[: start + 4] + size + data[start + 8 :], start + 8 + n_bytes, new)


WEBP_PLACES = {
    **{
        f"{kind.decode()} behind": put_riff(WEBP, len(WEBP), riff(kind))
        for kind in (b"EXIF", b"XMP ", b"TEXT", b"ICCP")
    },
    **{f"{kind.decode()} of a simple file": put_riff(SIMPLE, len(SIMPLE), riff(kind)) for kind in (b"EXIF", b"TEXT")},
    "between chunks": put_riff(WEBP, 30, riff(b"TEXT")),
    "no profile": put_riff(WEBP[:30] + WEBP[WEBP.index(b"VP8 ") :], 30, riff(b"ICCP")),
    "behind RIFF": WEBP + TEXT,
    "a frame": in_frame(MOVING, riff(b"TEXT")),
    "behind the frames": put_riff(MOVING, len(MOVING), riff(b"TEXT")),
}

GIF, FILM = encode("GIF", "P"), frames("GIF")
GIF_HEAD = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)
FILM_HEAD = 13 + 3 * 2 ** ((FILM[10] & 7) + 1)
BLOCK = bytes([len(TEXT)]) + TEXT
GIF_BLOCKS = {
    "a comment": b"\x21\xfe" + BLOCK + BLOCK + b"\0",
    "XMP": b"\x21\xff\x0bXMP DataXMP" + TEXT + bytes(range(255, -1, -1)) + b"\0",
    "a profile": b"\x21\xff\x0bICCRGBG1012" + BLOCK + b"\0",
    "an application": b"\x21\xff\x0b" + TEXT[:11] + BLOCK + b"\0",
    "a plain text": b"\x21\x01\x0c" + bytes(12) + BLOCK + b"\0",
    "behind the loop": b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0" + BLOCK + b"\0",
    "an unknown extension": b"\x21\x77" + BLOCK + b"\0",
}
GIF_PLACES = {
    **{f"{name} before": insert(GIF, GIF_HEAD, block) for name, block in GIF_BLOCKS.items()},
    **{f"{name} behind": insert(GIF, len(GIF) - 1, block) for name, block in GIF_BLOCKS.items()},
    **{f"{name} between frames": insert(FILM, FILM_HEAD, block) for name, block in GIF_BLOCKS.items()},
    "behind the trailer": GIF + TEXT,
    "no trailer": GIF[:-1] + GIF_BLOCKS["a comment"],
    "behind a control block": insert(GIF, GIF_HEAD, b"\x21\xf9\x04\0\0\0\0" + BLOCK + b"\0"),
}


def write_bmp(n_header: int, n_bits: int, *, gap: bytes = b"", tail: bytes = b"", **fields: bytes) -> bytes:
    """Return a BMP of 5 x 4 px with a header of n_header bytes and the given fields."""
    width, height = 5, 4
    row = (width * n_bits + 7) // 8
    pixels = b"".join((bytes(range(n, n + row)) + fields.get("padding", b"")).ljust(-(-row // 4) * 4, b"\0")
                      for n in range(height))  # fmt: skip
    if n_header == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, n_bits)
    else:
        header = struct.pack("<IiiHHIIiiII", n_header, width, height, 1, n_bits, 0, 0, 0, 0, 0, 0)
    header = (header + fields.get("rest", b"")).ljust(n_header, b"\0")
    entry = (b"abc" if n_header == 12 else b"abc" + fields.get("reserved", b"\0")) if n_bits <= 8 else b""
    start = 14 + n_header + len(entry) * 2**n_bits + len(gap)
    unused = fields.get("unused", bytes(4))
    return (
        b"BM"
        + struct.pack("<I4sI", 0, unused, start)
        + header
        + entry * (2**n_bits if entry else 0)
        + gap
        + pixels
        + tail
    )


SPACES = {space: bytes(16) + space + TEXT for space in (b"BGRs", b"DEBM", b"KNIL")}
RUNS = b"\5\1\0\0" * 4 + b"\0\1"
RLE = write_bmp(40, 8)[:30] + struct.pack("<I", 1) + write_bmp(40, 8)[34 : 54 + 1024] + RUNS
BMP_PLACES = {
    **{
        f"behind the pixels, {n}, {bits}": write_bmp(n, bits, tail=TEXT)
        for n in (12, 40, 56, 108, 124)
        for bits in (8, 24)
    },
    **{f"a gap, {n}, {bits}": write_bmp(n, bits, gap=TEXT) for n in (12, 40, 56, 108, 124) for bits in (8, 24)},
    **{f"primaries, {space!r}": write_bmp(108, 24, rest=rest) for space, rest in SPACES.items()},
    "a linked profile": write_bmp(124, 24, rest=bytes(16) + b"KNIL" + bytes(48) + TEXT, tail=TEXT),
    "fields of OS/2": write_bmp(64, 24, rest=TEXT),
    "unused": write_bmp(40, 24, unused=TEXT[:4]),
    "a palette's unused bytes": write_bmp(40, 8, reserved=b"S"),
    "padding": write_bmp(40, 8, padding=TEXT[:3]),
    "behind runs": RLE + TEXT,
}
PLACES = {
    (image_format, name): data
    for image_format, places in (
        ("JPEG", JPEG_PLACES), ("PNG", PNG_PLACES), ("WEBP", WEBP_PLACES), ("GIF", GIF_PLACES), ("BMP", BMP_PLACES),
    )
    for name, data in places.items()
}  # fmt: skip
SHORT = {
    ("PNG", "behind the pixels"): TEXT[3:],
    ("PNG", "a wrong checksum"): TEXT[:9],
    ("BMP", "unused"): TEXT[:4],
    ("BMP", "a palette's unused bytes"): b"abcS",
    ("BMP", "padding"): TEXT[:3],
}


@pytest.mark.parametrize(("image_format", "place"), PLACES)
def test_a_planted_text_is_not_published(image_format: str, place: str) -> None:
    data = PLACES[image_format, place]
    text = SHORT.get((image_format, place), TEXT[:10])
    assert text in data
    stripped = strip_metadata(data, image_format)
    assert text not in stripped.data
    # PIL refuses some valid PNGs because of data outside their pixels.
    assert read(stripped.data) == read(PNG if image_format == "PNG" and b"fdAT" not in stripped.data else data)
    assert strip_metadata(stripped.data, image_format).data == stripped.data


def test_a_profile_is_kept_without_its_name() -> None:
    for image_format, place in (("PNG", "a profile's name"), ("JPEG", "behind a profile"), ("WEBP", "between chunks")):
        stripped = strip_metadata(PLACES[image_format, place], image_format).data
        with Image.open(io.BytesIO(stripped)) as image:
            assert image.info["icc_profile"] == PROFILE


def test_a_profile_that_pil_refuses_is_dropped() -> None:
    large = struct.pack(">I", 3 << 19) + bytes(32) + b"acsp" + bytes((3 << 19) - 40)
    odd = insert(PNG, PNG_HEAD, chunk(b"iCCP", b"p\0\0" + zlib.compress(large)))
    with pytest.raises(ValueError, match="too large"):
        read(odd)
    assert strip_metadata(odd, "PNG").data == strip_metadata(PNG, "PNG").data


def test_no_tag_of_a_tiff_is_published() -> None:
    tags = {270: TEXT.decode(), 305: TEXT.decode(), 306: TEXT.decode(), 33432: TEXT.decode(), 34737: TEXT.decode()}
    data = encode("TIFF", tiffinfo=tags) + TEXT
    assert data.count(TEXT) == 6
    assert TEXT not in strip_metadata(data, "TIFF").data
