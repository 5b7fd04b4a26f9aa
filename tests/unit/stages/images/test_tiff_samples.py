"""Deep colours are stretched over their own range, a fourth band is no opacity unless stated, no data is no level."""

from collections.abc import Sequence

import numpy as np
import pytest

from stages.images.first_picture import load_first
from stages.images.formats import explain
from stages.images.shown import show
from tests.unit.stages.images.drawn import draw, write_tiff

Samples = np.ndarray
COLOURS = np.asarray(draw()).astype(np.uint16) * 12  # reflectance x 10,000, as Sentinel-2's
KINDS = {"u": 1, "i": 2, "f": 3}
EXTRA_SAMPLES, NODATA = 338, 42113


def tiff(
    samples: Samples,
    order: str = "<",
    planar: int = 1,
    tags: Sequence[tuple[int, bytes]] = (),
    photometric: int | None = None,
    colours: Sequence[int] = (),
) -> bytes:
    """Return an unpacked TIFF with more tags, each of bytes, or of 16 bits for EXTRA_SAMPLES; a strip per plane."""
    height, width, n = samples.shape
    bits, kind = 8 * samples.dtype.itemsize, KINDS[samples.dtype.kind]
    stored = samples.astype(samples.dtype.newbyteorder(order))
    meaning = (2 if n > 2 else 1) if photometric is None else photometric
    short = {256: width, 257: height, 259: 1, 262: meaning, 277: n, 278: height, 284: planar}
    entries: dict[int, tuple[int, Sequence[int] | bytes]] = {tag: (3, [value]) for tag, value in short.items()}
    entries |= {258: (3, [bits] * n), 339: (3, [kind] * n)}
    entries |= {320: (3, colours)} if colours else {}
    for tag, value in tags:
        entries[tag] = (3, [value[0]]) if tag == EXTRA_SAMPLES else (2, value)
    pieces = [stored.tobytes()] if planar == 1 else [stored[..., band].tobytes() for band in range(n)]
    return write_tiff(entries, pieces, order)


def shown(data: bytes) -> Samples:
    return np.asarray(show(load_first(data, "TIFF")))


def stretched(samples: Samples, low: float, high: float) -> Samples:
    return np.rint((np.clip(samples.astype(np.float64), low, high) - low) * (255 / (high - low))).astype(np.uint8)


EXPECTED = stretched(COLOURS, COLOURS.min(), COLOURS.max())
INFRARED = np.dstack([COLOURS, np.full(COLOURS.shape[:2], 2500, np.uint16)])


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_colours_are_stretched_by_one_range(order: str) -> None:
    assert (shown(tiff(COLOURS, order)) == EXPECTED).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tags", [[], [(EXTRA_SAMPLES, b"\0")]])
def test_a_fourth_band_without_a_meaning_is_not_opacity(order: str, tags: Sequence[tuple[int, bytes]]) -> None:
    assert (shown(tiff(INFRARED, order, tags=tags)) == EXPECTED).all()
    shallow = np.dstack([EXPECTED, np.full(EXPECTED.shape[:2], 40, np.uint8)])
    assert (shown(tiff(shallow, order, tags=tags)) == EXPECTED).all()


def test_a_stated_opacity_is_applied_and_hidden_pixels_are_outside_the_range() -> None:
    clear = np.dstack([COLOURS, np.full(COLOURS.shape[:2], 65535, np.uint16)])
    clear[:9] = (65535, 0, 65535, 0)
    found = shown(tiff(clear, tags=[(EXTRA_SAMPLES, b"\2")]))
    seen = COLOURS[9:]
    assert (found[:9] == 255).all()
    assert (found[9:] == stretched(seen, seen.min(), seen.max())).all()


def test_no_data_is_outside_the_range() -> None:
    heights = (COLOURS[..., :1] / 7).astype(np.float32)
    seen = heights[9:, :, 0].copy()
    heights[:9], tag = -9999, [(NODATA, b"-9999\0")]
    found = shown(tiff(heights, tags=tag))
    assert (found[:9] == 255).all()
    assert np.abs(found[9:, :, 0].astype(int) - stretched(seen, seen.min(), seen.max())).max() <= 1
    colours = COLOURS + 1000
    colours[:9] = 0
    found = shown(tiff(colours, tags=[(NODATA, b"0\0")]))
    assert (found[:9] == 0).all()
    assert (found[9:] == stretched(colours[9:], colours[9:].min(), colours[9:].max())).all()
    assert shown(tiff(heights, tags=[(NODATA, b"none\0")])).max() == 255


@pytest.mark.parametrize(("planar", "tags"), [(2, []), (1, [(EXTRA_SAMPLES, b"\1")])])
def test_deep_colours_that_cannot_be_read_whole_are_an_unsupported_variant(
    planar: int, tags: Sequence[tuple[int, bytes]]
) -> None:
    data = tiff(INFRARED if tags else COLOURS, "<", planar, tags)
    with pytest.raises(NotImplementedError) as error:
        load_first(data, "TIFF")
    assert explain(data, "TIFF", error.value)[0] == "unsupported_variant"


def test_white_is_the_lowest_of_deep_samples_if_the_file_says_so() -> None:
    grey = COLOURS[..., :1]
    expected = shown(tiff(grey))
    for negative in (65535 - grey, (-1.5 - grey).astype(np.float32)):
        assert (shown(tiff(negative, photometric=0)) == expected).all()
    odd = grey.copy()
    odd[:9] = grey.max() + 10
    no_data = str(65535 - int(odd.max())).encode() + b"\0"
    found = shown(tiff(65535 - odd, photometric=0, tags=[(NODATA, no_data)]))
    assert (found[:9] == 255).all()
    assert (found[9:] == shown(tiff(grey[9:]))).all()


def test_samples_of_eight_bits_keep_their_levels_signed_or_from_white_to_black() -> None:
    grey = EXPECTED[..., :1]
    assert (shown(tiff((grey.astype(int) - 128).astype(np.int8))) == grey).all()
    assert (shown(tiff(255 - grey, photometric=0)) == grey).all()
    assert (shown(tiff(grey)) == grey).all()


def test_a_palette_is_of_eight_bits_if_no_value_needs_more() -> None:
    places = EXPECTED[..., :1]
    levels = np.random.default_rng(5).integers(0, 256, (3, 256))
    expected = levels[:, places[..., 0]].transpose(1, 2, 0)
    assert (shown(tiff(places, photometric=3, colours=levels.ravel().tolist())) == expected).all()
    assert (shown(tiff(places, photometric=3, colours=(257 * levels).ravel().tolist())) == expected).all()
