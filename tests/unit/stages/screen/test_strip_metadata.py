"""Metadata is removed and pixels are kept, for every published format, with planted markers."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from stages.screen.strip_metadata import published_format
from stages.screen.strip_metadata import strip_metadata as strip
from stages.screen.stripping.result import UnpublishableImage

MARKER = b"SECRETPLACE"
_MADE_NOW = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILE = _MADE_NOW[:24] + bytes(12) + _MADE_NOW[36:]  # without its creation time, since such bytes are in test ids
STILL = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def strip_metadata(data: bytes, image_format: str, orientation: int = 1) -> bytes:
    return strip(data, image_format, orientation).data


def draw(mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(5)
    smooth = Image.fromarray(random.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((80, 60))
    return smooth.convert(mode)


def write_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = MARKER.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 7.0), 3: "E", 4: (0.0, 7.0, 39.0), 18: MARKER.decode()})
    return exif


def encode(image_format: str, orientation: int = 1, mode: str = "RGB", **options: object) -> bytes:
    """Return a drawn image with all metadata that the format supports, and a profile, which must be kept."""
    options |= {"exif": write_exif(orientation), "comment": MARKER.decode(), "icc_profile": PROFILE, "xmp": MARKER}
    if image_format == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", MARKER.decode())
        texts.add_itxt("XML:com.adobe.xmp", MARKER.decode())
        texts.add(b"prVt", MARKER)
        options["pnginfo"] = texts
    stream = io.BytesIO()
    draw(mode).save(stream, image_format, **options)
    return stream.getvalue()


def pixels(data: bytes) -> list[bytes]:
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for n in range(getattr(image, "n_frames", 1)):
            image.seek(n)
            frames.append(image.convert("RGBA").tobytes())
        return frames


def info(data: bytes) -> tuple[int, bytes | None]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.getexif().get(0x0112, 1), image.info.get("icc_profile")


@pytest.mark.parametrize("image_format", STILL)
@pytest.mark.parametrize("orientation", [1, 6])
def test_markers_are_removed_and_pixels_orientation_and_profile_kept(image_format: str, orientation: int) -> None:
    data = encode(image_format, orientation) + (b"" if image_format == "BMP" else b"\0" + MARKER)
    carries = image_format in ("JPEG", "PNG", "WEBP")
    turn = orientation if carries else 1
    stripped = strip_metadata(data, image_format, turn)
    assert (MARKER in data) == (image_format != "BMP")
    assert MARKER not in stripped
    assert pixels(stripped) == pixels(data)
    assert strip_metadata(stripped, image_format, turn) == stripped
    assert info(stripped) == ((orientation, PROFILE) if carries else (1, None))
    assert b"Exif" not in stripped or orientation != 1


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 0}])
def test_every_kind_of_jpeg_keeps_its_pixels(mode: str, options: dict[str, object]) -> None:
    data = encode("JPEG", 1, mode, **options)
    stripped = strip_metadata(data, "JPEG")
    assert pixels(stripped) == pixels(data)
    assert (b"Adobe" in stripped) == (b"Adobe" in data)
    assert MARKER not in stripped


def test_jpeg_thumbnails_and_junk_between_segments_are_removed() -> None:
    plain = strip_metadata(encode("JPEG"), "JPEG")
    assert plain[2:11] == b"\xff\xe0\x00\x10JFIF\0"
    thumbnail = b"JFIF\0\1\1\0\0\1\0\1\1\1" + MARKER[:3]
    app0 = struct.pack(">HH", 0xFFE0, len(thumbnail) + 2) + thumbnail
    comment = struct.pack(">HH", 0xFFFE, len(MARKER) + 2) + MARKER
    dirty = plain[:2] + app0 + b"\0junk" + comment + b"\xff\xff" + plain[20:-2] + comment
    stripped = strip_metadata(dirty, "JPEG")
    assert MARKER[:3] not in stripped
    assert pixels(stripped) == pixels(plain)
    assert stripped.endswith(b"\xff\xd9")


def test_mpo_becomes_its_first_image() -> None:
    stream = io.BytesIO()
    draw().save(stream, "MPO", save_all=True, append_images=[draw().rotate(90)], exif=write_exif(8))
    stripped = strip_metadata(stream.getvalue(), "MPO", 8)
    with Image.open(io.BytesIO(stripped)) as image:
        assert image.format == "JPEG"
    assert pixels(stripped) == pixels(stream.getvalue())[:1]
    assert info(stripped)[0] == 8
    assert MARKER not in stripped
    assert strip_metadata(stripped, "MPO", 8) == stripped


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_animations_keep_their_frames_and_loops(image_format: str) -> None:
    frames = [draw().rotate(30 * n) for n in range(3)]
    stream = io.BytesIO()
    options = {"comment": MARKER.decode(), "exif": write_exif(6), "xmp": MARKER, "loop": 0, "duration": 70}
    frames[0].save(stream, image_format, save_all=True, append_images=frames[1:], **options)
    stripped = strip_metadata(stream.getvalue(), image_format)
    assert MARKER not in stripped
    assert pixels(stripped) == pixels(stream.getvalue())
    with Image.open(io.BytesIO(stripped)) as image:
        assert (getattr(image, "n_frames", 1), image.info["loop"]) == (3, 0)
    assert strip_metadata(stripped, image_format) == stripped


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "1", "I;16"])
def test_every_mode_of_png_keeps_its_pixels(mode: str) -> None:
    image = Image.new(mode, (9, 7), 1) if mode == "I;16" else draw(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG", **({"transparency": b"\0\x80"} if mode == "P" else {}))
    assert strip_metadata(stream.getvalue(), "PNG") == stream.getvalue()


def test_gif_extensions_except_the_loop_are_removed() -> None:
    plain = encode("GIF")
    palette_end = 13 + 3 * 2 ** ((plain[10] & 7) + 1)
    application = b"\x21\xff\x0bXMP DataXMP" + bytes([len(MARKER)]) + MARKER + b"\0"
    text = b"\x21\x01\x0c" + bytes(12) + bytes([len(MARKER)]) + MARKER + b"\0"
    dirty = plain[:palette_end] + application + text + plain[palette_end:]
    assert strip_metadata(dirty, "GIF") == strip_metadata(plain, "GIF")


def test_tiff_becomes_an_upright_jpeg_and_16_bits_are_scaled() -> None:
    rgb = encode("TIFF", 6)
    stripped = strip_metadata(rgb, "TIFF")
    assert MARKER in rgb
    assert MARKER not in stripped
    assert strip_metadata(rgb, "TIFF") == stripped == strip_metadata(stripped, "JPEG")
    assert info(stripped) == (1, PROFILE)
    with Image.open(io.BytesIO(stripped)) as image:
        assert (image.format, image.size) == ("JPEG", (60, 80))
        upright = draw().transpose(Image.Transpose.ROTATE_270)
        assert np.abs(np.asarray(image).astype(int) - np.asarray(upright)).mean() < 3
    deep = io.BytesIO()
    Image.fromarray(np.repeat(np.array([[0, 257 * 100, 65535]], np.uint16), 16, axis=0).repeat(16, axis=1)).save(
        deep, "TIFF"
    )
    with Image.open(io.BytesIO(strip_metadata(deep.getvalue(), "TIFF"))) as image:
        levels = [image.getpixel((x, 8)) for x in (8, 24, 40)]
    assert np.abs(np.array(levels) - [[0] * 3, [100] * 3, [255] * 3]).max() <= 2


@pytest.mark.parametrize(
    ("data", "image_format"),
    [
        (b"", "JPEG"),
        (b"\xff\xd8\xff\xd9", "JPEG"),
        (encode("JPEG")[:300], "JPEG"),
        (encode("JPEG")[:2] + b"\xff\xf3\x00\x04ab" + encode("JPEG")[2:], "JPEG"),
        (encode("PNG")[:60], "PNG"),
        (encode("PNG")[:33] + struct.pack(">I4sI", 0, b"CRIT", zlib.crc32(b"CRIT")) + encode("PNG")[33:], "PNG"),
        (encode("WEBP")[:80], "WEBP"),
        (b"RIFF\x04\0\0\0WEBP", "WEBP"),
        (encode("GIF")[:780], "GIF"),
        (b"GIF89a", "GIF"),
        (b"MM", "BMP"),
        (encode("TIFF")[:-2000], "TIFF"),
        (b"\0" * 20, "ICO"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_broken_structures_are_unpublishable(data: bytes, image_format: str) -> None:
    with pytest.raises(UnpublishableImage):
        strip_metadata(data, image_format)


WHOLE = {name: encode(name, 3) for name in STILL}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_files_are_stripped_or_unpublishable(given_data: st.DataObject) -> None:
    image_format = given_data.draw(st.sampled_from(STILL))
    mutated = bytearray(WHOLE[image_format])
    places = st.integers(0, len(mutated) - 1) | st.integers(0, 60)
    for place, value in given_data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        mutated[place] = value
    data = bytes(mutated[: given_data.draw(st.integers(0, len(mutated)))])
    try:
        stripped = strip_metadata(data, image_format)
    except UnpublishableImage as error:
        assert str(error)
    else:
        assert strip_metadata(stripped, image_format) == stripped


def test_published_formats() -> None:
    names = {name: published_format(name) for name in ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF")}
    assert names == {
        "JPEG": "jpg",
        "MPO": "jpg",
        "PNG": "png",
        "WEBP": "webp",
        "GIF": "gif",
        "BMP": "bmp",
        "TIFF": "jpg",
    }
    with pytest.raises(UnpublishableImage, match="ICO"):
        published_format("ICO")
