"""Decoding in a guarded child returns the facts of valid files of every kind, and a reason for broken ones."""

import hashlib
import io
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from schemas.reasons import REASON
from stages.images.shown import show, turn
from stages.screen import decoding
from stages.screen.decoding import (
    Decoded,
    DecodeLimits,
    Decoder,
    Refused,
    decoder_identity,
)
from stages.screen.silence import DecoderUnavailable


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(max_pixels=1_000_000, cpu_s=5)) as started:
        yield started


def phash_to_int(bits: object) -> int:
    """Return a 64-bit imagehash.ImageHash as an integer; the first bit of the flattened 8 x 8 is most significant."""
    return int(str(bits), 16)


def draw(mode: str = "RGB", width_px: int = 70, height_px: int = 50) -> Image.Image:
    random = np.random.default_rng(5)
    noise = Image.fromarray(random.integers(0, 255, (6, 8, 4), dtype=np.uint8), "RGBA").resize((width_px, height_px))
    if mode == "I;16":
        return Image.fromarray((np.asarray(noise.convert("L")).astype(np.uint16) - 100) * 3)
    if mode in ("I", "F"):
        return noise.convert("L").convert(mode)
    return noise if mode == "RGBA" else noise.convert("RGB").convert(mode)


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


FILES = {
    "jpeg": encode(draw(), "JPEG"),
    "jpeg progressive": encode(draw(), "JPEG", progressive=True),
    "jpeg grey": encode(draw("L"), "JPEG"),
    "jpeg cmyk": encode(draw("CMYK"), "JPEG"),
    "mpo": encode(draw(), "MPO", save_all=True, append_images=[draw("RGB", 30, 30)]),
    "png 1": encode(draw("1"), "PNG"),
    "png L": encode(draw("L"), "PNG"),
    "png LA": encode(draw("LA"), "PNG"),
    "png I;16": encode(draw("I;16"), "PNG"),
    "png P": encode(draw("P"), "PNG"),
    "png P with transparent bytes": encode(draw("P"), "PNG", transparency=bytes(range(200))),
    "png L with a transparent level": encode(draw("L"), "PNG", transparency=7),
    "png RGBA": encode(draw("RGBA"), "PNG"),
    "png 1x1": encode(draw("RGB", 1, 1), "PNG"),
    "png tall": encode(draw("RGB", 3, 900), "PNG"),
    "apng": encode(draw(), "PNG", save_all=True, append_images=[draw("RGB").rotate(90)]),
    "webp": encode(draw(), "WEBP"),
    "webp RGBA": encode(draw("RGBA"), "WEBP", lossless=True),
    "webp animated": encode(draw(), "WEBP", save_all=True, append_images=[draw().rotate(90)]),
    "gif": encode(draw("P"), "GIF"),
    "gif animated": encode(draw(), "GIF", save_all=True, append_images=[draw().rotate(90), draw().rotate(45)]),
    "gif transparent": encode(draw("P"), "GIF", transparency=3),
    "bmp": encode(draw(), "BMP"),
    "tiff": encode(draw(), "TIFF", compression="tiff_lzw"),
    "tiff F": encode(draw("F"), "TIFF"),
    "tiff I": encode(draw("I"), "TIFF"),
    "tiff I;16": encode(draw("I;16"), "TIFF"),
    "tiff CMYK": encode(draw("CMYK"), "TIFF"),
    "tiff of two pages": encode(draw(), "TIFF", save_all=True, append_images=[draw("L")]),
    "tiff turned": encode(draw(), "TIFF", tiffinfo={0x0112: 6}),
}


@pytest.mark.parametrize("kind", FILES)
def test_facts_equal_those_by_pil_and_imagehash_of_the_shown_picture(kind: str, decoder: Decoder) -> None:
    decoded = decoder.decode(FILES[kind])
    assert isinstance(decoded, Decoded)
    with Image.open(io.BytesIO(FILES[kind])) as image:
        assert (decoded.format, decoded.mode) == (image.format, image.mode)
        assert decoded.n_frames == getattr(image, "n_frames", 1)
    with Image.open(io.BytesIO(FILES[kind])) as image:
        image.load()
        shown = show(image)
        bits = imagehash.phash(shown)
        pixels = f"{image.width}x{image.height}:".encode() + shown.tobytes()
        assert decoded.pixel_sha256 == hashlib.sha256(pixels).hexdigest()
        if not image.has_transparency_data and image.mode not in ("I;16", "I", "F"):
            assert bits == imagehash.phash(image)
        assert decoded.phash == phash_to_int(bits)
        assert (decoded.width_px, decoded.height_px) == image.size
    expected = np.packbits(bits.hash.flatten(), bitorder="big").tobytes()
    assert decoded.phash.to_bytes(8, "big") == expected


def test_kinds_have_their_stated_properties(decoder: Decoder) -> None:
    found = {kind: decoder.decode(data) for kind, data in FILES.items()}
    modes = {(f.format, f.mode, f.n_frames) for f in found.values() if isinstance(f, Decoded)}
    assert {("MPO", "RGB", 2), ("GIF", "P", 3), ("PNG", "I;16", 1), ("TIFF", "F", 1), ("WEBP", "RGB", 2)} <= modes
    turned = found["tiff turned"]
    assert isinstance(turned, Decoded)
    assert (turned.width_px, turned.height_px) == (50, 70)


def test_equal_pixels_have_equal_digests_in_all_formats(decoder: Decoder) -> None:
    def digest(image: Image.Image, image_format: str, **options: object) -> str:
        decoded = decoder.decode(encode(image, image_format, **options))
        assert isinstance(decoded, Decoded)
        return decoded.pixel_sha256

    plain = digest(draw(), "PNG")
    opaque = draw().convert("RGBA")
    same = [digest(draw(), "BMP"), digest(draw(), "TIFF"), digest(opaque, "PNG"), digest(draw(), "PNG", optimize=True)]
    assert same == [plain] * 4
    see_through = draw().convert("RGBA")
    alpha = Image.new("L", see_through.size, 255)
    alpha.putpixel((3, 3), 100)
    see_through.putalpha(alpha)
    turned = Image.frombytes("RGB", (50, 70), draw().tobytes())
    deep = draw("I;16")
    deeper = Image.fromarray(np.asarray(deep)[:, ::-1].copy())
    others = [digest(image, "PNG") for image in (see_through, turned, deep, deeper, draw("RGB").rotate(180))]
    assert len({plain, *others}) == 6
    assert digest(deep, "TIFF") == digest(deep, "PNG")


def test_large_images_are_hashed_in_strips_to_the_same_digest() -> None:
    from stages.images import shown
    from stages.screen import describing

    before = shown.STRIP_PIXELS
    for mode in ("P", "RGBA", "I;16", "F"):
        image = draw(mode, 90, 80)
        for orientation in range(1, 9):
            digest, grey = describing.digest_shown(image, orientation)
            assert (
                digest == hashlib.sha256(b"%dx%d:" % grey.size + shown.show(image, orientation).tobytes()).hexdigest()
            )
            try:
                for shown.STRIP_PIXELS in (1, 90, 1000):
                    assert describing.digest_shown(image, orientation) == (digest, grey)
            finally:
                shown.STRIP_PIXELS = before


JPEG = FILES["jpeg"]


def tiff_of(n_bands: int, bits: int, kind: int, photometric: int = 1) -> bytes:
    """Return a valid little-endian TIFF of 4 x 4 px, interleaved, with all samples 0."""
    n_bytes = 16 * n_bands * bits // 8
    lists = struct.pack(f"<{2 * n_bands}H", *[bits] * n_bands, *[kind] * n_bands) if n_bands > 1 else b""
    end = 8 + len(lists)
    tags = {256: (4, 4), 257: (4, 4), 259: (3, 1), 262: (3, photometric), 273: (4, end), 277: (3, n_bands)}
    tags |= {278: (4, 4), 279: (4, n_bytes), 284: (3, 1)}
    extra = n_bands - (3 if photometric in (2, 8) else 1)
    entries = {tag: struct.pack("<HHII", tag, k, 1, value) for tag, (k, value) in tags.items()}
    for tag, value, at in ((258, bits, 8), (339, kind, 8 + 2 * n_bands)):
        entries[tag] = struct.pack("<HHII", tag, 3, n_bands, at if n_bands > 2 else value * 0x10001)
    if extra > 0:
        entries[338] = struct.pack("<HHII", 338, 3, 1, 0)
    directory = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    return b"II*\0" + struct.pack("<I", end + n_bytes) + lists + bytes(n_bytes) + directory


BANDS = {(n, bits, kind): tiff_of(n, bits, kind) for n, bits, kind in ((4, 16, 1), (1, 64, 3), (5, 8, 1), (12, 16, 1))}
REFUSED = {
    "empty_file": [b""],
    "not_an_image": [b"<!doctype html><p>gone", b"\0", b"x" * 500, b"BM is how this text begins"],
    "format_not_allowed": [
        encode(draw(), "JPEG2000"),
        encode(draw(), "ICO"),
        encode(draw(), "PPM"),
        encode(draw(), "EPS"),
        encode(draw(), "AVIF"),
        encode(draw(), "TGA"),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99,
    ],
    "unsupported_variant": [
        FILES["bmp"][:28] + b"\x07" + FILES["bmp"][29:],
        JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        *BANDS.values(),
    ],
    "truncated_image": [
        JPEG[: len(JPEG) // 2 + 300],
        FILES["png L"][:-100],
        b"\x89PNG\r\n\x1a\nrest",
        JPEG[:5],
        FILES["tiff"][:-100],
        FILES["webp"][:-100],
        FILES["bmp"][:-9],
        FILES["gif"][: len(FILES["gif"]) // 2 + 300],
    ],
    "corrupt_image": [
        FILES["png L"].replace(b"IDAT", b"IDAT\xff\xff\xff", 1),
        FILES["png L"].replace(b"IHDR\0", b"IHDR\1", 1),
        FILES["tiff"].replace(b"\x03\x01\x03\x00\x01\x00\x00\x00\x05", b"\x03\x01\x03\x00\x01\x00\x00\x00\x07"),
    ],
    "too_many_pixels": [
        encode(Image.new("L", (1001, 1000)), image_format) for image_format in ("PNG", "JPEG", "GIF", "BMP", "WEBP")
    ]
    + [encode(Image.new("1", (1001, 1000)), "TIFF"), encode(Image.new("1", (9000, 9000)), "PNG")],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_every_fault_has_its_reason(reason: str, decoder: Decoder) -> None:
    for data in REFUSED[reason]:
        refused = decoder.decode(data)
        assert isinstance(refused, Refused), data[:20]
        assert refused.reason == reason, (refused, data[:20])
        assert refused.reason in REASON
        assert refused.detail.isprintable()
        assert 0 < len(refused.detail) <= 200
        assert refused == decoder.decode(data)
        assert "0x7f" not in refused.detail


def test_an_image_of_exactly_the_limit_is_decoded_and_formats_are_a_parameter() -> None:
    limits = DecodeLimits(max_pixels=70 * 50, formats=("JPEG",))
    with Decoder(limits) as strict:
        found = [strict.decode(FILES[kind]) for kind in ("jpeg", "png L", "mpo")]
    assert isinstance(found[0], Decoded)
    assert found[1:] == [Refused("format_not_allowed", "PNG"), Refused("format_not_allowed", "MPO")]
    with Decoder(DecodeLimits(max_pixels=70 * 50 - 1)) as strict:
        refused = strict.decode(JPEG)
    assert isinstance(refused, Refused)
    assert refused.reason == "too_many_pixels"


def test_too_little_memory_only_rejects_that_image() -> None:
    large = encode(Image.new("RGB", (9000, 7000)), "PNG")
    with Decoder(DecodeLimits(memory_bytes=500_000_000)) as small:
        first, refused, after = small.decode(JPEG), small.decode(large), small.decode(JPEG)
    assert isinstance(refused, Refused)
    assert refused.reason == "decoder_died"
    assert isinstance(first, Decoded)
    assert first == after


def test_too_much_cpu_time_only_rejects_that_image() -> None:
    large = encode(Image.new("RGB", (7000, 7000)), "PNG")
    with Decoder(DecodeLimits(cpu_s=0.1)) as hasty:
        first, refused, after = hasty.decode_all([JPEG, large, JPEG])
        assert hasty.decode(large) == refused
    assert refused == Refused("decode_timeout", "more than 0.1 s of CPU time")
    assert isinstance(first, Decoded)
    assert first == after


def test_a_child_killed_from_outside_loses_no_image() -> None:
    with Decoder() as decoder:
        first = decoder.decode(JPEG)
        assert decoder._child is not None
        os.kill(decoder._child.pid, signal.SIGKILL)
        assert decoder.decode(JPEG) == first
        os.kill(decoder._child.pid, signal.SIGKILL)
        decoder._child.wait()
        assert decoder.decode(JPEG) == first
    assert isinstance(first, Decoded)


@pytest.mark.parametrize("body", [JPEG, b"x" * (2 * decoding.PIPE_BYTES)])
def test_a_stopped_child_is_replaced_and_its_image_is_not_rejected(body: bytes) -> None:
    with Decoder(DecodeLimits(silence_s=1.0)) as decoder:
        first = decoder.decode(JPEG)
        assert decoder._child is not None
        stopped = decoder._child
        os.kill(stopped.pid, signal.SIGSTOP)
        with pytest.raises(DecoderUnavailable, match="used no CPU time for 1 s"):
            decoder.decode_all([body])
        assert stopped.returncode == -signal.SIGKILL
        assert decoder.decode(JPEG) == first
    assert isinstance(first, Decoded)


def test_a_child_that_computes_is_not_silent() -> None:
    large = encode(Image.new("RGB", (7000, 7000)), "PNG")
    with Decoder(DecodeLimits(silence_s=0.5)) as decoder:
        assert isinstance(decoder.decode(large), Decoded)
        idle = decoder._child
        threading.Event().wait(1.0)  # an idle child is not awaited
        assert isinstance(decoder.decode(JPEG), Decoded) and decoder._child is idle


def test_a_child_that_cannot_start_is_not_a_fault_of_the_image() -> None:
    with pytest.raises(DecoderUnavailable, match="memory_bytes"), Decoder(DecodeLimits(memory_bytes=1)) as none:
        none.decode(JPEG)


def test_an_image_that_crashes_its_child_twice_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "crash.py"
    script.write_text(
        "import os, sys\n"
        "os.write(1, b'\\x0f\\0\\0\\0' + b'{\"problem\": \"\"}')\n"
        "os.close(2)\n"
        "os.read(0, 9)\n"
        "os.abort()\n"
    )
    monkeypatch.setattr(decoding, "CHILD_SCRIPT", script)
    with Decoder() as decoder:
        refused = decoder.decode(JPEG)
    assert refused == Refused("decoder_died", "the decoding process ended twice, the second time by SIGABRT")


def test_images_decoded_together_have_the_facts_of_each_alone(decoder: Decoder) -> None:
    bodies = [JPEG, b"", *FILES.values(), b"no image", JPEG[:-200]]
    assert decoder.decode_all(bodies) == [decoder.decode(data) for data in bodies]
    full = [data for data in bodies if data]
    assert decoder.decode_all(full) == [decoder.decode(data) for data in full]
    assert decoder.decode_all([]) == []


def test_images_larger_than_the_pipe_are_decoded_together(decoder: Decoder) -> None:
    large = encode(Image.effect_noise((900, 900), 90).convert("RGB"), "BMP")
    assert len(large) > 2 * decoding.PIPE_BYTES
    found = decoder.decode_all([large, JPEG, large])
    assert found == [decoder.decode(large), decoder.decode(JPEG), decoder.decode(large)]
    assert all(isinstance(facts, Decoded) for facts in found)


def test_the_child_starts_at_first_use_and_ends_at_close() -> None:
    decoder = Decoder()
    assert decoder._child is None
    with decoder:
        decoder.decode(JPEG)
        assert decoder._child is not None
        pid = decoder._child.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_the_child_dies_with_its_parent() -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        decoder = Decoder()
        decoder.decode(JPEG)
        assert decoder._child is not None
        os.write(writing, str(decoder._child.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    pid = int(os.read(reading, 20))
    os.waitpid(parent, 0)
    deadline_s = time.monotonic() + 300
    while _is_running(pid) and time.monotonic() < deadline_s:
        os.sched_yield()
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def with_exif(orientation: int = 6, taken: str = "2019:07:31 23:59:58", **gps: object) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.DateTime] = "2020:01:01 00:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    position = {"N": "S", "latitude": (33.0, 51.0, 36.0), "E": "E", "longitude": (151.0, 12.0, 0.0)} | gps
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(dict(zip((1, 2, 3, 4), position.values(), strict=True)))
    return encode(draw(), "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (with_exif(), ("2019-07-31T23:59:58", -33.86, 151.2, 6)),
        (with_exif(taken="0000:00:00 00:00:00"), ("2020-01-01T00:00:00", -33.86, 151.2, 6)),
        (with_exif(orientation=9), ("2019-07-31T23:59:58", -33.86, 151.2, None)),
        (with_exif(latitude=(91.0, 0.0, 0.0)), ("2019-07-31T23:59:58", None, None, 6)),
        (with_exif(longitude=(151.0, 61.0, 0.0)), ("2019-07-31T23:59:58", None, None, 6)),
        (with_exif(N="?"), ("2019-07-31T23:59:58", None, None, 6)),
        (with_exif(E="W", N="N"), ("2019-07-31T23:59:58", 33.86, -151.2, 6)),
        (JPEG, (None, None, None, None)),
        (encode(draw(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), (None, None, None, None)),
    ],
)
def test_time_and_position_are_read_from_exif_or_null(
    data: bytes, expected: tuple[str | None, float | None, float | None, int | None], decoder: Decoder
) -> None:
    found = decoder.decode(data)
    assert isinstance(found, Decoded)
    position = (found.exif_latitude_deg, found.exif_longitude_deg)
    assert (found.exif_datetime, found.exif_orientation) == (expected[0], expected[3])
    assert position == (None, None) if expected[1] is None else position == pytest.approx(expected[1:3])


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_random_bytes_are_rejected_or_decoded(data: bytes, decoder: Decoder) -> None:
    found = decoder.decode(data)
    assert isinstance(found, Decoded) or found.reason in REASON


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_files_are_rejected_or_decoded(decoder: Decoder, given_data: st.DataObject) -> None:
    mutated = bytearray(FILES[given_data.draw(st.sampled_from(sorted(FILES)))])
    places = st.integers(0, len(mutated) - 1) | st.integers(0, min(60, len(mutated) - 1))
    for place, value in given_data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        mutated[place] = value
    found = decoder.decode(bytes(mutated[: given_data.draw(st.integers(0, len(mutated)))]))
    assert isinstance(found, Decoded) or (found.reason in REASON and len(found.detail) <= 200)


def test_the_identity_covers_every_library_that_affects_results() -> None:
    identity = decoder_identity()
    assert identity["pillow"] == version("pillow")
    assert {"imagehash", "numpy", "scipy", "libjpeg_turbo", "zlib", "webp", "libtiff"} <= set(identity)


STORED_AS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the orientation that undoes each orientation


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF"])
def test_a_picture_has_the_same_digest_in_every_stored_orientation(image_format: str, decoder: Decoder) -> None:
    upright = decoder.decode(encode(draw(), "BMP"))
    assert isinstance(upright, Decoded)
    facts = {(upright.width_px, upright.height_px, upright.pixel_sha256, upright.phash)}
    turned = set()
    for orientation, undoing in STORED_AS.items():
        for stored, found in ((turn(draw(), undoing), facts), (draw(), turned)):
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            options = {"tiffinfo": {274: orientation}} if image_format == "TIFF" else {"exif": exif}
            decoded = decoder.decode(encode(stored, image_format, **options, **LOSSLESS.get(image_format, {})))
            assert isinstance(decoded, Decoded)
            found.add((decoded.width_px, decoded.height_px, decoded.pixel_sha256, decoded.phash))
    assert len(facts) == 1
    assert len({digest for _, _, digest, _ in turned}) == 8


LOSSLESS = {"WEBP": {"lossless": True}}


def test_an_opaque_picture_keeps_the_digest_of_its_rgb_bytes(decoder: Decoder) -> None:
    decoded = decoder.decode(FILES["bmp"])
    assert isinstance(decoded, Decoded)
    assert decoded.pixel_sha256 == hashlib.sha256(b"70x50:" + draw().tobytes()).hexdigest()


def test_an_unsupported_tiff_is_rejected_with_its_bands_and_type(decoder: Decoder) -> None:
    found = {key: decoder.decode(data) for key, data in BANDS.items()}
    assert found[4, 16, 1] == Refused("unsupported_variant", "TIFF: 4 bands of uint16, photometric 1, compression 1")
    assert found[1, 64, 3] == Refused("unsupported_variant", "TIFF: 1 band of float64, photometric 1, compression 1")
    assert {type(refused) for refused in found.values()} == {Refused}


def test_damage_after_the_first_frame_does_not_affect_it(decoder: Decoder) -> None:
    for kind in ("gif animated", "apng", "webp animated", "tiff of two pages"):
        whole = decoder.decode(FILES[kind])
        assert isinstance(whole, Decoded)
        cut = FILES[kind][: -len(FILES[kind]) // 6] if "tiff" not in kind else FILES[kind][:-40]
        found = decoder.decode(cut)
        assert isinstance(found, Decoded), (kind, found)
        assert found.pixel_sha256 == whole.pixel_sha256
        assert 1 <= found.n_frames <= whole.n_frames


def test_a_tiff_in_lab_is_read(decoder: Decoder) -> None:
    found = decoder.decode(encode(draw().convert("LAB"), "TIFF"))
    assert isinstance(found, Decoded)
    assert (found.mode, found.published_format) == ("LAB", "jpg")
