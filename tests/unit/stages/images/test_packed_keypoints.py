import numpy as np
import pytest

from flows.demo.world import views
from stages.images.keypoints import compare_keypoints, find_keypoints
from stages.images.packed_keypoints import pack_keypoints, unpack_keypoints


def test_packed_keypoints_agree_as_the_picture_s_own_do() -> None:
    picture = views.draw_town(np.random.default_rng(4), 300, 220)
    own = find_keypoints(picture)
    packed = unpack_keypoints(pack_keypoints(own))
    assert np.abs(packed.points - own.points).max() <= 1 / 128 and packed.width_px == own.width_px
    assert (packed.descriptors == own.descriptors).all() and (packed.small == own.small).all()
    copy = find_keypoints(picture.crop((20, 20, 280, 200)))
    found, expected = compare_keypoints(packed, copy), compare_keypoints(own, copy)
    assert abs(found.n_inliers - expected.n_inliers) <= 0.05 * expected.n_inliers and expected.n_inliers > 50


def test_pictures_with_few_keypoints_have_none() -> None:
    blank = find_keypoints(views.draw_town(np.random.default_rng(4), 300, 220).crop((0, 0, 4, 4)))
    assert pack_keypoints(blank) == b""
    empty = unpack_keypoints(b"")
    other = find_keypoints(views.draw_town(np.random.default_rng(4), 300, 220))
    assert not len(empty.points) and compare_keypoints(empty, other).n_inliers == 0
    assert compare_keypoints(other, empty).n_inliers == 0


@pytest.mark.parametrize("data", [b"x", b"\x10\x00" * 4 + b"short"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="packed keypoints"):
        unpack_keypoints(data)
