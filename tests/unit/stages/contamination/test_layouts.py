"""Hashes of simple layouts are told from others, however the picture is turned."""

import numpy as np
from PIL import Image

from stages.contamination.layouts import layout_shares
from stages.contamination.settings import NearParams
from stages.screen.perceptual_hash import hash_grey

LIMIT = NearParams().max_layout_share


def test_products_of_rows_and_columns_have_share_one_and_noise_has_less() -> None:
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(0, 2, (2, 8))
    product = np.packbits(rows[:, None] ^ columns[None]).view(">u8").astype(np.uint64)
    noise = rng.integers(0, 1 << 63, 1000, np.uint64)
    assert layout_shares(product).tolist() == [1.0]
    shares = layout_shares(noise)
    assert shares.min() >= 1 / 8 and shares.max() < LIMIT
    assert layout_shares(noise[:0]).tolist() == []


def test_a_bright_corner_is_simple_and_a_textured_picture_is_not() -> None:
    rng = np.random.default_rng(2)
    corner = rng.normal(60, 4, (160, 160))
    corner[:60, :70] += 90
    land = rng.normal(120, 40, (10, 10)).repeat(16, 0).repeat(16, 1)
    for values, is_simple in ((corner, True), (land, False)):
        picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
        hashes = np.array(hash_grey(picture)["phash_orientations"], np.uint64)
        assert ((layout_shares(hashes) > LIMIT) == is_simple).all(), layout_shares(hashes)
