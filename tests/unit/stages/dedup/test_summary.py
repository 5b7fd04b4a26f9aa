"""Summaries of keypoints: near for copies, equal for mirrored pictures, zero without keypoints."""

import numpy as np
from PIL import Image, ImageOps

from stages.dedup.summary import N_DIMENSIONS, summarise, words_digest
from stages.images.keypoints import find_keypoints, mirror_keypoints
from tests.unit.stages.images.test_keypoints import cut, draw, strip


def test_a_copy_is_nearer_than_all_other_pictures() -> None:
    summaries = np.array([summarise(find_keypoints(draw(seed))) for seed in range(10)], np.float32)
    for edit in (lambda image: cut(image, 0.2), ImageOps.mirror, strip, lambda image: ImageOps.expand(image, 15, 255)):
        near = summaries @ summarise(find_keypoints(edit(draw(3)))).astype(np.float32)
        assert near.argmax() == 3 and near[3] > 0.45


def test_a_summary_has_length_one_and_does_not_depend_on_mirroring() -> None:
    keypoints = find_keypoints(draw(6))
    one, other = summarise(keypoints), summarise(mirror_keypoints(keypoints))
    assert one.shape == (N_DIMENSIONS,) and one.dtype == np.float16
    assert np.allclose(one, other, atol=2e-3) and np.isclose(np.linalg.norm(one.astype(float)), 1, atol=1e-2)


def test_a_picture_without_enough_keypoints_has_zeros() -> None:
    assert not summarise(find_keypoints(Image.new("L", (90, 90), 7))).any()


def test_the_digest_names_the_file_of_words() -> None:
    assert len(words_digest()) == 64
