"""Each fact of an EXIF block is read independently, and the orientation only from EXIF."""

import io
import struct
from collections.abc import Callable

import pytest
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from stages.images.exif import read_facts, read_orientation
from stages.images.first_picture import load_first
from tests.unit.stages.images.drawn import draw, encode, segment

Rational = TiffImagePlugin.IFDRational
XMP = b'<x:xmpmeta tiff:Orientation="6"></x:xmpmeta>'


def write_exif(orientation: object = 6, seconds: object = 36.0, **gps: object) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:07:31 23:59:58"
    position = {"N": "N", "latitude": (33.0, 51.0, seconds), "E": "W", "longitude": (151.0, 12.0, 0.0)} | gps
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(dict(zip((1, 2, 3, 4), position.values(), strict=True)))
    return exif


def opened(data: bytes, image_format: str) -> Image.Image:
    return load_first(data, image_format)


def raw_profile(exif: Image.Exif) -> bytes:
    block = exif.tobytes()
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    return encode(draw(), "PNG", pnginfo=info)


WRITERS: dict[str, tuple[str, Callable[[Image.Exif], bytes]]] = {
    "JPEG": ("JPEG", lambda exif: encode(draw(), "JPEG", exif=exif)),
    "PNG": ("PNG", lambda exif: encode(draw(), "PNG", exif=exif)),
    "WEBP": ("WEBP", lambda exif: encode(draw(), "WEBP", exif=exif)),
    "PNG of ImageMagick": ("PNG", raw_profile),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_orientation_date_and_position_are_read_in_every_format(kind: str) -> None:
    name, write = WRITERS[kind]
    for orientation in range(1, 9):
        image = opened(write(write_exif(orientation)), name)
        assert read_orientation(image) == orientation
        assert read_facts(image) == {
            "exif_datetime": "2019-07-31T23:59:58",
            "exif_latitude_deg": pytest.approx(33.86),
            "exif_longitude_deg": pytest.approx(-151.2),
        }


def write_tag(kind: int, n: int, value: bytes) -> bytes:
    """Return an EXIF block with an orientation of any type."""
    return b"MM\0*\0\0\0\x08\0\x01\x01\x12" + struct.pack(">HI", kind, n) + value + bytes(4) + struct.pack(">II", 6, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "block",
    [
        write_tag(3, 1, b"\0\0\0\0"),
        write_tag(3, 1, b"\0\x09\0\0"),
        write_tag(3, 1, b"\xff\xff\0\0"),
        write_tag(2, 2, b"6\0\0\0"),
        write_tag(5, 1, struct.pack(">I", 26)),
        write_tag(7, 1, b"\x06\0\0\0"),
        write_tag(99, 1, b"\0\x06\0\0"),
        write_tag(3, 1, b"\0\x06\0\0")[:15],
        b"II" + write_tag(3, 1, b"\0\x06\0\0")[2:],
        b"",
        b"MM",
    ],
)
def test_an_invalid_orientation_is_ignored(kind: str, block: bytes) -> None:
    assert read_orientation(opened(encode(draw(), kind, exif=b"Exif\0\0" + block), kind)) is None


def test_a_valid_handmade_orientation_is_applied() -> None:
    data = encode(draw(), "JPEG", exif=b"Exif\0\0" + write_tag(3, 1, b"\0\x06\0\0"))
    assert read_orientation(opened(data, "JPEG")) == 6


@pytest.mark.parametrize("orientation", [None, 3])
def test_an_orientation_in_xmp_is_ignored(orientation: int | None) -> None:
    exif = write_exif(orientation)
    plain = encode(draw(), "JPEG", exif=exif)
    # Without JFIF's density PIL reads EXIF, and therefore XMP, when it opens the file.
    jpeg = plain[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP) + plain[20:]
    webp = encode(draw(), "WEBP", exif=exif, xmp=XMP)
    assert [read_orientation(opened(jpeg, "JPEG")), read_orientation(opened(webp, "WEBP"))] == [orientation] * 2
    tags = {700: XMP, **({274: orientation} if orientation else {})}
    tiff = opened(encode(draw(), "TIFF", tiffinfo=tags), "TIFF")
    assert (tiff.size, read_orientation(tiff)) == ((53, 41), None)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_once(orientation: int, compression: str | None) -> None:
    data = encode(draw(), "TIFF", tiffinfo={274: orientation}, compression=compression)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        expected = image.tobytes()
    found = opened(data, "TIFF")
    assert (found.tobytes(), read_orientation(found)) == (expected, None)
    assert (found.size == (41, 53)) == (orientation >= 5)


@pytest.mark.parametrize(
    ("gps", "latitude_deg"),
    [
        ({"seconds": Rational(0, 0)}, 33.85),  # unknown seconds: the minutes are used
        ({"latitude": (33.0, Rational(0, 0), Rational(0, 0))}, 33.0),
        ({"latitude": (33.0, Rational(0, 0), 36.0)}, None),
        ({"latitude": (Rational(0, 0), 51.0, 36.0)}, None),
        ({"latitude": (33.0, 61.0, 36.0)}, None),
        ({"latitude": (Rational(33, 0), 51.0, 36.0)}, None),
        ({"N": "?"}, None),
        ({"longitude": (181.0, 0.0, 0.0)}, None),
    ],
)
def test_a_broken_component_affects_no_other_fact(gps: dict[str, object], latitude_deg: float | None) -> None:
    image = opened(encode(draw(), "JPEG", exif=write_exif(**gps)), "JPEG")
    facts = read_facts(image)
    assert facts["exif_latitude_deg"] == (latitude_deg and pytest.approx(latitude_deg))
    assert (facts["exif_datetime"], read_orientation(image)) == ("2019-07-31T23:59:58", 6)
