"""The list of training images keeps any name, and finds its images by file and by near hash."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from flows.demo.models.scenes import draw_scene
from flows.detector.digests import (
    USED,
    Digests,
    contradictions,
    digest_images,
    join_digests,
    read_used,
    stored_digests,
    write_used,
)
from flows.detector.examples import Example

HASHES = np.array([0, (1 << 63) + (1 << 40) - 1, 0xFFFF_0000_FFFF_0000], np.uint64)
EXAMPLES = [Example(Path('a, b"c.jpg'), "rs", "s", "k"), *(Example(Path(f"{n}.jpg"), "other", "s", "k") for n in "de")]


def test_the_list_keeps_any_name_and_leaves_the_test_split_out(tmp_path: Path) -> None:
    write_used(tmp_path, ["train", "test", "val"], EXAMPLES, Digests(["f1", "f2", "f3"], HASHES))
    assert 'train,rs,s/k,"a, b""c.jpg",f1,0000000000000000,,' in (tmp_path / USED).read_text().splitlines()
    found = read_used(tmp_path)
    assert found is not None and list(found.files) == ["f1", "f3"] and found.hashes.tolist() == HASHES[[0, 2]].tolist()


def test_the_images_of_the_start_follow_those_of_the_training(tmp_path: Path) -> None:
    start, folder = tmp_path / "start", tmp_path / "own"
    start.mkdir()
    folder.mkdir()
    write_used(start, ["train", "test", "val"], EXAMPLES, Digests(["f1", "f2", "f3"], HASHES))
    write_used(folder, ["train"], EXAMPLES[1:2], Digests(["f2"], HASHES[1:2]), start)
    found = read_used(folder)
    assert found is not None and list(found.files) == ["f2", "f1", "f3"]
    assert (folder / USED).read_text().splitlines()[-1] == f"start,other,s/k,e.jpg,f3,{HASHES[2]:016x},,"
    known = Digests(["f1", "f2", "f3"], HASHES).take([2, 0])
    assert list(known.files) == ["f3", "f1"] and found.find(known).all()


def test_a_list_without_digests_is_told_from_one_with_them(tmp_path: Path) -> None:
    assert read_used(tmp_path) is None
    (tmp_path / USED).write_text("part,label,class,file\ntrain,rs,s/k,a.jpg\n")
    assert read_used(tmp_path) is None


def test_images_are_found_by_file_and_by_near_hash() -> None:
    known = Digests(["f1", "f2"], HASHES[:2])
    near, far = HASHES[1] ^ np.uint64(0b111111), HASHES[1] ^ np.uint64(0b1111111)
    others = Digests(["f2", "x", "y"], np.array([HASHES[2], near, far], np.uint64))
    assert known.find(others).tolist() == [True, True, False]
    assert not Digests((), HASHES[:0]).find(others).any() and not known.find(Digests((), HASHES[:0])).size


def caption(image: Image.Image) -> Image.Image:
    """Return the image with a strip of another colour over its bottom."""
    copy = image.copy()
    copy.paste("white", (0, 215, 256, 256))
    return copy


COPIES = {
    "mirrored": ImageOps.mirror,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "bordered": lambda image: ImageOps.expand(image, 20, "white"),
    "captioned": caption,
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_near_and_other_images_are_not(tmp_path: Path, name: str) -> None:
    images = [draw_scene(seed).image.resize((256, 256), Image.Resampling.BICUBIC) for seed in range(12)]
    digests = digest_images([str(n) for n in range(12)], images)
    copy = digest_images(["copy"], [COPIES[name](images[5])])
    assert np.bitwise_count(copy.hashes[0] ^ digests.hashes[5]) > 6
    first, second = join_digests([digests, copy], np.array([[1, 9]])).pairs()
    assert {5, 12} in [{a, b} for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    assert {1, 9} in [{a, b} for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    assert not any({a, b} == {n, 12} for a, b in zip(first.tolist(), second.tolist(), strict=True) for n in {0, 7})
    known = tmp_path / name
    known.mkdir()
    write_used(known, ["train"] * 12, [Example(Path("x"), "rs", "s", "k")] * 12, digests)
    found = read_used(known)
    assert found is not None and found.find(copy).tolist() == [True]
    write_used(
        known,
        ["train"] * 11,
        [Example(Path("x"), "rs", "s", "k")] * 11,
        digest_images([""] * 11, images[6:] + images[:5]),
    )
    assert (other := read_used(known)) is not None and other.find(copy).tolist() == [False]


def test_lists_without_turned_hashes_and_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / USED).write_text("part,label,class,file,file_sha256,phash\ntrain,rs,s/k,a.jpg,f1,00000000000000ff\n")
    found = read_used(tmp_path)
    assert found is not None and found.hashes.tolist() == [255] and not found.turned.size and not found.windows.size
    image = Image.effect_noise((64, 64), 90)
    assert found.find(digest_images(["f1", "x"], [image, image])).tolist() == [True, False]


def test_stored_windows_without_detail_are_not_compared() -> None:
    known = Digests(["a"], HASHES[:1], windows=np.array([[7, 1 << 20, 0]], np.uint64))
    far = [int(HASHES[2])] * 3
    others = stored_digests(["x", "y", "z"], far, [[7, 0, 0], [7, 0, 0], None], [[1.0] * 3, [0.01] * 3, None])
    assert known.find(others).tolist() == [True, False, False]


def test_files_with_both_labels_are_named() -> None:
    assert contradictions(EXAMPLES, Digests(["x", "x", "z"], HASHES)) == ['a, b"c.jpg and d.jpg']
    assert contradictions(EXAMPLES, Digests(["y", "x", "x"], HASHES)) == []
