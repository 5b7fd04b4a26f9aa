"""A file is opened by one reader, even if other readers would accept it; unsupported formats are named."""

import gzip
import hashlib
import io
import struct
from collections.abc import Iterator

import pytest
from PIL import Image

from stages.images.formats import FOREIGN, SIGNATURES, find_format
from stages.images.rgb import open_rgb
from stages.screen.decoding import Decoded, DecodeLimits, Decoder, Refused
from tests.unit.stages.images.drawn import chunk, draw, encode, segment

FILES = {name: encode(draw(), name) for name in SIGNATURES}
FILES["MPO"] = encode(draw(), "MPO", save_all=True, append_images=[draw()])
PHOTO_CD = b"PCD_"  # at byte 2,048; the bytes before it are not checked
FLI = struct.pack("<HHHHHHH", 0xAF11, 1, 25_000, 25_000, 8, 0, 0)  # after 4 bytes of its own


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(max_pixels=1_000_000, cpu_s=5)) as started:
        yield started


def with_photo_cd(name: str) -> bytes:
    """Return a valid file of a format that PIL's PhotoCD plugin also accepts, as 768 x 512 px."""
    data, filling = FILES[name], bytes(4096)
    if name in ("JPEG", "MPO"):
        at = 2048 - 6
        return data[:2] + segment(0xFE, filling[:at] + PHOTO_CD + bytes(1600)) + data[2:]
    if name == "PNG":
        at = 2048 - 41
        return data[:33] + chunk(b"prVt", filling[:at] + PHOTO_CD + bytes(1600)) + data[33:]
    if name in ("TIFF", "BMP"):
        return data[:2048] + PHOTO_CD + data[2052:]
    return data + filling[: 2048 - len(data)] + PHOTO_CD + bytes(1600) if len(data) < 2048 else data


def with_fli() -> dict[str, bytes]:
    """Return valid files that PIL's FLI plugin accepts by their first bytes as a film of 625 megapixels."""
    tiff = FILES["TIFF"]
    (start,) = struct.unpack_from("<I", tiff, 4)
    directory = tiff[start : start + 2 + 12 * struct.unpack_from("<H", tiff, start)[0] + 4]
    far = 0x1AF11
    moved = tiff[:4] + struct.pack("<I", far) + tiff[8:]
    jpeg = FILES["JPEG"][:2] + segment(0xE5, FLI[2:] + bytes(0x11AF - len(FLI))) + FILES["JPEG"][2:]
    bmp = FILES["BMP"][:4] + struct.pack("<H", 0xAF11) + FILES["BMP"][6:]
    return {"TIFF": moved + bytes(far - len(moved)) + directory, "JPEG": jpeg, "BMP": bmp}


ODD = {f"{name} and PhotoCD": with_photo_cd(name) for name in FILES if name not in ("GIF", "WEBP")}
ODD |= {f"{name} and FLI": data for name, data in with_fli().items()}


@pytest.mark.parametrize("kind", ODD)
def test_a_file_of_two_formats_is_the_same_picture_for_all_stages(kind: str, decoder: Decoder) -> None:
    data, name = ODD[kind], kind.split()[0]
    found, plain = decoder.decode(data), decoder.decode(FILES[name])
    assert isinstance(found, Decoded) and isinstance(plain, Decoded)
    assert found.format == name
    seen = open_rgb(data, found.format, None, found.width_px * found.height_px)
    assert hashlib.sha256(f"{seen.width}x{seen.height}:".encode() + seen.tobytes()).hexdigest() == found.pixel_sha256
    if name not in ("TIFF", "BMP"):
        assert found.pixel_sha256 == plain.pixel_sha256


def test_the_photo_cd_plugin_would_accept_these_files() -> None:
    for name in ("JPEG", "PNG", "TIFF", "BMP", "MPO"):
        with Image.open(io.BytesIO(with_photo_cd(name)), formats=["PCD"]) as image:
            assert image.size == (768, 512)


@pytest.mark.parametrize("name", FILES)
def test_a_plugin_that_accepts_every_file_is_never_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def greedy(plugin: str) -> object:
        def take(stream: object, path: object) -> None:
            asked.append(plugin)
            raise AssertionError(plugin)

        return take

    Image.init()
    own = "JPEG" if name == "MPO" else name
    others = [plugin for plugin in Image.OPEN if plugin != own]
    for plugin in others:
        monkeypatch.setitem(Image.OPEN, plugin, (greedy(plugin), None))
    monkeypatch.setattr(Image, "ID", [*others, own])
    assert open_rgb(FILES[name], name).size == draw().size
    assert len(others) > 35 and not asked


def test_each_file_matches_exactly_one_signature() -> None:
    heads = [data[:40] for data in FILES.values()] + [b"MM\0*", b"II+\0", b"MM\0+", b"GIF87a", b"GIF89a"]
    for head in heads:
        assert sum(signature.match(head) is not None for signature in SIGNATURES.values()) == 1
        assert not FOREIGN.match(head)
    for text in (b"", b"BM", b"BMW is a maker of cars, and this is a text", b"II", b"RIFF\0\0\0\0WAVE", b"GIF88a"):
        assert find_format(text) is None


def test_a_file_with_an_allowed_signature_is_a_broken_image_and_not_another_file(decoder: Decoder) -> None:
    for name, data in FILES.items():
        for odd in (data[:40] + b"\x55" * 400, data[:16], data[:40]):
            found = decoder.decode(odd)
            assert isinstance(found, Refused), name
            assert found.reason in ("corrupt_image", "truncated_image", "unsupported_variant"), (name, found)


DNL = b"\xff\xdc\0\4\0\x29\xff\xd9"  # a height of 41 rows, and the end
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
SVG_HEADS = (
    b"",
    b"\xef\xbb\xbf",
    b'\n<?xml version="1.0"?>\n',
    b"<!-- a > b --> <?xml-stylesheet a?>",
    b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "a" [\n<!ENTITY ns "http://ns.adobe.com/">\n]>',
)


@pytest.mark.parametrize("head", SVG_HEADS)
def test_a_vector_drawing_is_a_format_that_is_not_allowed(head: bytes, decoder: Decoder) -> None:
    drawings = [head + SVG, head + b"<svg:svg>", head + SVG.upper(), gzip.compress(head + SVG, mtime=0)]
    drawings += [(head + SVG).decode("utf-8-sig").encode("utf-16")]
    for data in drawings:
        found = decoder.decode(data)
        assert isinstance(found, Refused) and found.reason == "format_not_allowed", data
    for text in (b"<html>" + SVG, b"<p>&lt;svg></p>", b"<svgx/>", b"<?xml ?><rss/>", b"<!-- <svg> -->"):
        found = decoder.decode(head + text)
        assert isinstance(found, Refused) and found.reason == "not_an_image", text
    for other in (gzip.compress(b"<html>" + SVG), b"\x1f\x8b\x08broken", b"\xff\xfea"):
        found = decoder.decode(other)
        assert isinstance(found, Refused) and found.reason == "not_an_image", other


def test_a_long_head_of_an_unknown_file_takes_no_time(decoder: Decoder) -> None:
    for piece in (b"<!-->", b"<!-- >", b"<!--", b"<!>", b"<?", b"<!-- -->", b" "):
        found = decoder.decode(piece * 1_000_000)
        assert isinstance(found, Refused) and found.reason == "not_an_image", piece


@pytest.mark.parametrize("brand", [b"mif2", b"miaf", b"MA1B", b"avio", b"avif", b"avci", b"heic", b"crx ", b"xxxx"])
def test_pictures_in_iso_media_files_are_a_format_that_is_not_allowed(brand: bytes, decoder: Decoder) -> None:
    found = decoder.decode(b"\0\0\0\x1cftyp" + brand + b"\0\0\0\0yyyymif1" + bytes(100))
    assert isinstance(found, Refused) and found.reason == "format_not_allowed"
    alone = decoder.decode(b"\0\0\0\x10ftypavci\0\0\0\0" + bytes(100))
    assert isinstance(alone, Refused) and alone.reason == "format_not_allowed"
    film = decoder.decode(b"\0\0\0\x18ftypisom\0\0\0\1isomavc1" + bytes(50))
    assert isinstance(film, Refused) and film.reason == "not_an_image"


FURTHER = (
    b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n",
    b"v/1\1\2\0\0\0",
    b"P7\nWIDTH 2\n",
    b"\x8aMNG\r\n\x1a\n",
    b"\x8bJNG\r\n\x1a\n",
)


@pytest.mark.parametrize("head", [b"NITF02.10", b"FLIF", b"BPG\xfb", b"II\xbc\1", b"AT&TFORM", *FURTHER])
def test_other_image_formats_are_not_allowed(head: bytes, decoder: Decoder) -> None:
    found = decoder.decode(head + bytes(400))
    assert isinstance(found, Refused) and found.reason == "format_not_allowed"


def test_variants_that_no_library_reads_are_named(decoder: Decoder) -> None:
    jpeg = FILES["JPEG"]
    frame = jpeg.index(b"\xff\xc0")
    for code in (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF):
        found = decoder.decode(jpeg[: frame + 1] + bytes([code]) + jpeg[frame + 2 :])
        assert isinstance(found, Refused) and found.reason == "unsupported_variant", hex(code)
    found = decoder.decode(b"MM\0+\0\x08\0\0" + bytes(500))
    assert found == Refused("unsupported_variant", "TIFF: big-endian BigTIFF")
    height = frame + 5
    for odd in (jpeg[:height] + bytes(2) + jpeg[height + 2 :], jpeg[:height] + bytes(2) + jpeg[height + 2 : -2] + DNL):
        found = decoder.decode(odd)
        assert found == Refused("unsupported_variant", "JPEG: height behind the first scan (DNL)")
