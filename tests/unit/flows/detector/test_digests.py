"""The list of training images keeps any name, and finds its images by file and by near hash."""

from pathlib import Path

import numpy as np

from flows.detector.digests import USED, Digests, contradictions, read_used, write_used
from flows.detector.examples import Example

HASHES = np.array([0, (1 << 63) + (1 << 40) - 1, 0xFFFF_0000_FFFF_0000], np.uint64)
EXAMPLES = [Example(Path('a, b"c.jpg'), "rs", "s", "k"), *(Example(Path(f"{n}.jpg"), "other", "s", "k") for n in "de")]


def test_the_list_keeps_any_name_and_leaves_the_test_split_out(tmp_path: Path) -> None:
    write_used(tmp_path, ["train", "test", "val"], EXAMPLES, Digests(["f1", "f2", "f3"], HASHES))
    assert 'train,rs,s/k,"a, b""c.jpg",f1,0000000000000000' in (tmp_path / USED).read_text().splitlines()
    found = read_used(tmp_path)
    assert found is not None and list(found.files) == ["f1", "f3"] and found.hashes.tolist() == HASHES[[0, 2]].tolist()


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


def test_files_with_both_labels_are_named() -> None:
    assert contradictions(EXAMPLES, Digests(["x", "x", "z"], HASHES)) == ['a, b"c.jpg and d.jpg']
    assert contradictions(EXAMPLES, Digests(["y", "x", "x"], HASHES)) == []
