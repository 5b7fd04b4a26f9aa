"""Screen decides what may be published: published bytes decode to the screened pixels, or there is a reason."""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageCms

from stages.images.first_picture import load_first
from stages.screen.decoding import Decoded, DecodeLimits, Decoder, Refused
from stages.screen.publication import decide_publication
from stages.screen.strip_metadata import strip_metadata


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(max_pixels=1_000_000, cpu_s=5)) as started:
        yield started


def draw(mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(8)
    return Image.fromarray(noise.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((50, 40)).convert(mode)


def encode(image_format: str, mode: str = "RGB", orientation: int = 1, **options: object) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(mode).save(stream, image_format, **({"exif": exif} if orientation != 1 else {}), **options)
    return stream.getvalue()


def frames(image_format: str) -> bytes:
    stream = io.BytesIO()
    draw().save(stream, image_format, save_all=True, append_images=[draw().rotate(90), draw().rotate(45)])
    return stream.getvalue()


def segment(code: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


JPEG, PNG, GIF = encode("JPEG"), encode("PNG"), frames("GIF")
FIRST_BLOCK = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)
MOVING = frames("WEBP")
LATER = MOVING.rindex(b"VP8 ")
LOSSLESS = (encode("WEBP", lossless=True, quality=quality) for quality in range(100))
ODD = next(data for data in LOSSLESS if data[16] % 2)  # a chunk of odd length is padded
ADOBE_RGB, ADOBE_YCC = (segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) for transform in (0, 1))
NO_JFIF = JPEG[:2] + JPEG[20:]
PUBLISHED = {
    "a plain JPEG": ("JPEG", JPEG, False),
    "a JPEG in CMYK": ("JPEG", encode("JPEG", "CMYK"), False),
    "a progressive JPEG": ("JPEG", encode("JPEG", progressive=True), False),
    "Adobe without a transform": ("JPEG", NO_JFIF[:2] + ADOBE_RGB + NO_JFIF[2:], False),
    "Adobe twice": ("JPEG", NO_JFIF[:2] + ADOBE_YCC + ADOBE_RGB + NO_JFIF[2:], True),
    "Adobe twice the other way": ("JPEG", NO_JFIF[:2] + ADOBE_RGB + ADOBE_YCC + NO_JFIF[2:], True),
    "Adobe behind the scan": ("JPEG", NO_JFIF[:-2] + ADOBE_RGB + NO_JFIF[-2:], True),
    "a short Adobe": ("JPEG", NO_JFIF[:2] + segment(0xEE, b"Adobe\0\x64") + NO_JFIF[2:], True),
    "JFIF behind Adobe": ("JPEG", NO_JFIF[:2] + ADOBE_RGB + JPEG[2:20] + NO_JFIF[2:], False),
    "bytes between segments": ("JPEG", JPEG[:20] + b"junk" + JPEG[20:], True),
    "a segment of no length": ("JPEG", JPEG[:20] + b"\xff\xe3\0\0" + JPEG[20:], True),
    "fill before a marker": ("JPEG", JPEG[:20] + b"\xff\xff" + JPEG[20:], True),
    "a JPEG turned": ("JPEG", encode("JPEG", orientation=6), False),
    "a PNG turned": ("PNG", encode("PNG", orientation=5), False),
    "a WEBP turned": ("WEBP", encode("WEBP", orientation=8), False),
    "a MPO": ("MPO", frames("MPO"), False),
    "a PNG with transparency": ("PNG", encode("PNG", "P", transparency=3), False),
    "a PNG of 16 bits": ("PNG", encode("PNG", "I;16"), False),
    "a PNG in grey and alpha": ("PNG", encode("PNG", "LA"), False),
    "a text before a PNG's header": ("PNG", PNG[:8] + chunk(b"tEXt", b"a\0b") + PNG[8:], True),
    "a PNG without an end": ("PNG", PNG[:-12], True),
    "transparency behind the pixels": ("PNG", PNG[:-12] + chunk(b"tRNS", bytes(6)) + PNG[-12:], True),
    "an animated PNG": ("PNG", frames("PNG"), False),
    "an animated WEBP": ("WEBP", frames("WEBP"), False),
    "a WEBP with a frame without a picture": ("WEBP", MOVING[:LATER] + b"VP9 " + MOVING[LATER + 4 :], True),
    "a WEBP with an odd picture": ("WEBP", ODD, False),
    # libwebp reads this byte if the picture's own data end too early: then the stripped file has other pixels.
    "a WEBP with text in the padding": ("WEBP", ODD[:-1] + b"]", True),
    "an animated GIF": ("GIF", GIF, False),
    "a GIF without a terminator": ("GIF", encode("GIF", "P")[:-2], True),
    "bytes before a GIF's first frame": ("GIF", GIF[:FIRST_BLOCK] + b"\0\x99" + GIF[FIRST_BLOCK:], True),
    "a BMP": ("BMP", encode("BMP"), True),
    "a BMP with a palette": ("BMP", encode("BMP", "P"), True),
    "a TIFF turned": ("TIFF", encode("TIFF", orientation=6), False),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_bytes_decode_to_the_screened_pixels(kind: str, decoder: Decoder) -> None:
    image_format, data, is_doubtful = PUBLISHED[kind]
    found = decoder.decode(data)
    assert isinstance(found, Decoded)
    assert found.format == image_format
    stripped = strip_metadata(data, image_format, found.exif_orientation, found.published_n_bytes)
    assert bool(stripped.doubts) == is_doubtful, stripped.doubts
    assert found.published_sha256 == hashlib.sha256(stripped.data).hexdigest()
    assert found.published_n_bytes == len(stripped.data)
    again = decoder.decode(stripped.data)
    assert isinstance(again, Decoded)
    if image_format != "TIFF":
        assert again.pixel_sha256 == found.pixel_sha256
        assert again.exif_orientation == found.exif_orientation
    assert (again.width_px, again.height_px) == (found.width_px, found.height_px)
    assert again.published_sha256 == found.published_sha256


def test_a_picture_whose_stripped_file_decodes_differently_is_rejected() -> None:
    asked = []

    def decode(data: bytes, image_format: str) -> dict[str, object]:
        asked.append(image_format)
        return {"pixel_sha256": "other"}

    facts = {"format": "MPO", "exif_orientation": None, "pixel_sha256": "screened"}
    found = decide_publication(JPEG[:20] + b"junk" + JPEG[20:], facts, decode)
    assert found["reason"] == "unpublishable_image"
    assert found["detail"] == "stripped of bytes between segments: other pixels"
    assert asked == ["JPEG"]
    assert decide_publication(JPEG, facts, decode)["published_format"] == "jpg"
    assert asked == ["JPEG"]


def test_files_that_cannot_be_stripped_are_rejected_by_the_child(decoder: Decoder) -> None:
    unknown = chunk(b"CRIT", b"needed")
    found = decoder.decode(PNG[:33] + unknown + PNG[33:])
    assert found == Refused("unpublishable_image", "PNG has an unknown critical chunk b'CRIT'")


@pytest.mark.parametrize("n_left", [10, 40, 200])
def test_a_gif_is_published_up_to_its_last_complete_frame(n_left: int) -> None:
    first = GIF.index(b"\x21\xf9", GIF.index(b"\x2c") + 1)
    whole = strip_metadata(GIF[:first] + b"\x3b", "GIF").data
    assert strip_metadata(GIF[: first + n_left], "GIF").data == whole
    assert strip_metadata(GIF[:first] + b"\x99" + GIF[first:], "GIF").data == whole


@pytest.mark.parametrize("kind", ["a plain JPEG", "a progressive JPEG", "a JPEG in CMYK"])
@pytest.mark.parametrize("text", [b"taken at 51.5 N", b"\0" * 50, b"SEFHe\0\0\0\1\0\0\0" + b"name" * 30 + b"SEFT"])
@pytest.mark.parametrize("has_end", [True, False])
def test_a_text_after_the_last_pixel_of_a_scan_is_not_published(
    kind: str, text: bytes, *, has_end: bool, decoder: Decoder
) -> None:
    sound = PUBLISHED[kind][1]
    if not has_end and kind == "a progressive JPEG":
        return  # such a file is not decoded
    data = sound[:-2] + text + (sound[-2:] if has_end else b"")
    found = decoder.decode(data)
    whole = decoder.decode(sound)
    assert isinstance(found, Decoded) and isinstance(whole, Decoded)
    assert found.pixel_sha256 == whole.pixel_sha256
    stripped = strip_metadata(data, "JPEG", None, found.published_n_bytes).data
    assert hashlib.sha256(stripped).hexdigest() == found.published_sha256
    assert not text.strip(b"\0") or text[:8] not in stripped
    assert whole.published_n_bytes - 4 <= found.published_n_bytes <= whole.published_n_bytes


@pytest.mark.parametrize("has_profile", [True, False])
@pytest.mark.parametrize("is_lossless", [True, False])
def test_a_text_after_the_pixels_of_a_webp_is_not_published(
    *, is_lossless: bool, has_profile: bool, decoder: Decoder
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() if has_profile else b""
    sound = encode("WEBP", "RGB", lossless=is_lossless, icc_profile=profile)
    start = sound.index(b"VP8L" if is_lossless else b"VP8 ")
    n_bytes = int.from_bytes(sound[start + 4 : start + 8], "little")
    for text in (b"taken at 51.5 N", b"taken at 51.5 N, 0.1 W" * 50):
        body = sound[start + 8 : start + 8 + n_bytes] + text
        chunks = sound[12 : start + 4] + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)
        data = b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks
        found, whole = decoder.decode(data), decoder.decode(sound)
        assert isinstance(found, Decoded) and isinstance(whole, Decoded)
        assert found.pixel_sha256 == whole.pixel_sha256
        stripped = strip_metadata(data, "WEBP", None, found.published_n_bytes).data
        assert hashlib.sha256(stripped).hexdigest() == found.published_sha256
        assert b"taken at" not in stripped and len(stripped) <= whole.published_n_bytes + 2
        with Image.open(io.BytesIO(stripped)) as image:
            assert image.convert("RGB").tobytes() == load_first(sound, "WEBP").convert("RGB").tobytes()


@pytest.mark.parametrize("data", [encode("GIF", "P"), GIF])
def test_blocks_after_the_last_pixel_of_a_gif_are_not_published(data: bytes, decoder: Decoder) -> None:
    start = data.index(b"\x2c\0\0\0\0")
    position = start + 11 + (3 * 2 ** ((data[start + 9] & 7) + 1) if data[start + 9] & 0x80 else 0)
    while data[position]:
        position += 1 + data[position]
    text = b"taken at 51.5 N"
    odd = data[:position] + bytes([len(text)]) + text + data[position:]
    found, whole = decoder.decode(odd), decoder.decode(data)
    assert isinstance(found, Decoded) and isinstance(whole, Decoded)
    assert found.published_sha256 == whole.published_sha256
    assert strip_metadata(odd, "GIF").data != strip_metadata(odd, "GIF", None, found.published_n_bytes).data
    assert strip_metadata(odd, "GIF", None, found.published_n_bytes).data == strip_metadata(data, "GIF").data


@pytest.mark.parametrize("n_colours", [2, 16, 256])
def test_blocks_after_the_pixels_of_a_later_frame_are_not_published(n_colours: int, decoder: Decoder) -> None:
    noise = np.random.default_rng(n_colours)
    pictures = [Image.fromarray(noise.integers(0, 255, (60, 80, 3), np.uint8)).quantize(n_colours) for _ in range(3)]
    stream = io.BytesIO()
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:])
    sound, text = stream.getvalue(), b"taken at 51.5 N"
    assert sound.endswith(b"\0\x3b")
    odd = sound[:-2] + bytes([len(text)]) + text + sound[-2:]
    found, whole = decoder.decode(odd), decoder.decode(sound)
    assert isinstance(found, Decoded) and isinstance(whole, Decoded)
    stripped = strip_metadata(odd, "GIF", None, found.published_n_bytes).data
    assert hashlib.sha256(stripped).hexdigest() == found.published_sha256
    assert text not in stripped and len(stripped) <= whole.published_n_bytes
    with Image.open(io.BytesIO(stripped)) as one, Image.open(io.BytesIO(sound)) as other:
        for n in range(3):
            one.seek(n)
            other.seek(n)
            assert one.convert("RGB").tobytes() == other.convert("RGB").tobytes()


def test_a_gif_with_blocks_of_unequal_size_keeps_them(decoder: Decoder) -> None:
    start = GIF.index(b"\x2c\0\0\0\0") + 11
    assert GIF[start] == 255
    uneven = GIF[:start] + b"\xc8" + GIF[start + 1 : start + 201] + b"\x37" + GIF[start + 201 :]
    found, whole = decoder.decode(uneven), decoder.decode(GIF)
    assert isinstance(found, Decoded) and isinstance(whole, Decoded)
    assert found.pixel_sha256 == whole.pixel_sha256
    assert found.published_n_bytes == len(strip_metadata(uneven, "GIF").data)


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    mutated = bytearray(data)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(0, len(mutated) if random.random() < 0.6 else min(80, len(mutated))))
        change = random.integers(0, 4)
        if change == 0:
            mutated[at] ^= 1 << int(random.integers(0, 8))
        elif change == 1:
            mutated[at:at] = [b"\xff", b"\xff\xd9", ADOBE_RGB, b"\x21\xfe\x04text\0", bytes(5)][random.integers(0, 5)]
        elif change == 2:
            mutated[at:at] = mutated[at : at + int(random.integers(1, 40))]
        else:
            del mutated[at : at + int(random.integers(1, 20))]
    return bytes(mutated)


@pytest.mark.parametrize("seed", range(4))
def test_every_accepted_file_is_published_with_the_screened_pixels(seed: int, decoder: Decoder) -> None:
    random = np.random.default_rng(seed)
    kinds = list(PUBLISHED.values())
    n_accepted = 0
    for _ in range(150):
        data = mutate(kinds[random.integers(0, len(kinds))][1], random)
        found = decoder.decode(data)
        if isinstance(found, Decoded) and found.format != "TIFF":
            n_accepted += 1
            stripped = strip_metadata(data, found.format, found.exif_orientation, found.published_n_bytes).data
            assert hashlib.sha256(stripped).hexdigest() == found.published_sha256
            again = decoder.decode(stripped)
            assert isinstance(again, Decoded), again
            assert again.pixel_sha256 == found.pixel_sha256
    assert n_accepted > 40
