"""A TIFF without all of its strips or tiles is refused, packed or not; a whole one never."""

import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from stages.images.first_picture import load_first
from stages.images.formats import explain
from stages.images.shown import show
from tests.unit.stages.images.drawn import draw, encode, write_tiff

PIXELS = np.asarray(draw("RGB", 48, 40))
N_ROWS, SIDE = 8, 16
UNPACKED, DEFLATE, YCBCR = 1, 8, 6
TILES = [
    np.pad(PIXELS, ((0, 8), (0, 0), (0, 0)))[top : top + SIDE, left : left + SIDE].tobytes()
    for top in range(0, 40, SIDE)
    for left in range(0, 48, SIDE)
]
STRIPS = [PIXELS[top : top + N_ROWS].tobytes() for top in range(0, 40, N_ROWS)]
PLANES = [np.ascontiguousarray(PIXELS[..., band]).tobytes() for band in range(3)]
LAYOUTS = {
    "strips": (STRIPS, {278: (3, [N_ROWS])}),
    "planes": (PLANES, {278: (3, [40]), 284: (3, [2])}),
    "tiles": (TILES, {322: (3, [SIDE]), 323: (3, [SIDE])}),
}


def tiff(layout: str, compression: int, is_given: Sequence[bool], is_sparse: bool) -> bytes:
    """Return a TIFF with the given pieces; those that are not have no entry, or are empty ones if it is sparse."""
    pieces, tags = LAYOUTS[layout]
    packed = [zlib.compress(piece) if compression == DEFLATE else piece for piece in pieces]
    kept = [piece for piece, is_kept in zip(packed, is_given, strict=True) if is_kept]
    places, counts, at = [], [], 8
    for piece, is_kept in zip(packed, is_given, strict=True):
        if is_kept or is_sparse:
            places.append(at if is_kept else 0)
            counts.append(len(piece) if is_kept else 0)
            at += len(piece) if is_kept else 0
    kinds = (324, 325) if layout == "tiles" else (273, 279)
    shape = {256: (3, [48]), 257: (3, [40]), 258: (3, [8] * 3), 259: (3, [compression]), 262: (3, [2]), 277: (3, [3])}
    return write_tiff({**shape, **tags, kinds[0]: (4, places), kinds[1]: (4, counts)}, kept)


def reason(data: bytes) -> str:
    with pytest.raises((OSError, NotImplementedError, SyntaxError)) as error:
        load_first(data, "TIFF")
    return explain(data, "TIFF", error.value)[0]


@pytest.mark.parametrize("compression", [UNPACKED, DEFLATE])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_picture_without_all_pieces_is_refused(layout: str, compression: int) -> None:
    n = len(LAYOUTS[layout][0])
    assert (np.asarray(show(load_first(tiff(layout, compression, [True] * n, False), "TIFF"))) == PIXELS).all()
    for n_given in (1, n // 2, n - 1):
        is_given = [at < n_given for at in range(n)]
        assert reason(tiff(layout, compression, is_given, False)) == "truncated_image"
        assert reason(tiff(layout, compression, is_given, True)) == "unsupported_variant"
        assert reason(tiff(layout, compression, is_given[::-1], True)) == "unsupported_variant"


def test_unpacked_colours_of_fewer_samples_than_pixels_are_an_unsupported_variant() -> None:
    colours = np.asarray(draw("YCbCr", 48, 40))
    shape = {256: (3, [48]), 257: (3, [40]), 258: (3, [8] * 3), 259: (3, [1]), 262: (3, [YCBCR]), 277: (3, [3])}
    # The samples are followed by others, of further pages, which PIL would take for the picture's.
    for tags in ({}, {530: (3, [2, 2])}):
        data = write_tiff({**shape, **tags}, [colours.tobytes()[: 48 * 40 * 3 // 2]]) + bytes(48 * 40 * 3)
        assert reason(data) == "unsupported_variant"
    expected = load_first(write_tiff({**shape, 530: (3, [1, 1])}, [colours.tobytes()]), "TIFF").tobytes()
    assert expected == load_first(write_tiff(shape, [colours.tobytes()]), "TIFF").tobytes() == colours.tobytes()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_a_file_cut_within_its_directory_is_truncated(compression: str | None) -> None:
    data = encode(draw(), "TIFF", compression=compression)
    for n_cut in (1, 2, 10, 60, 150):
        assert reason(data[:-n_cut]) == "truncated_image", n_cut
