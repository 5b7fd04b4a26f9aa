"""Copies and stated groups stay on one side of a split; every class is split 7:1:2."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from flows.detector.digests import Digests
from flows.detector.examples import Example
from flows.detector.groups import fold_left_out, group_examples, is_apart, split
from stages.contract import InputError

RNG = np.random.default_rng(1)
EXAMPLES = [Example(Path(f"{n}.jpg"), "rs" if n % 2 else "other", f"s{n % 4}", f"k{n % 8}") for n in range(400)]
HASHES = RNG.integers(0, 1 << 63, 400, np.uint64)


def test_copies_share_a_group_and_so_do_members_of_a_stated_group() -> None:
    hashes = HASHES.copy()
    hashes[7] = hashes[100] ^ np.uint64(0b10110)
    examples = [*EXAMPLES]
    for n, source in ((3, "s3"), (11, "s3"), (12, "maps")):
        examples[n] = Example(Path(f"{n}.jpg"), "rs", source, "k3", "site 1")
    groups = group_examples(examples, Digests([""] * 400, hashes))
    assert groups[7] == groups[100] and groups[3] == groups[11] == groups[12]
    assert len(set(groups)) == 397


def test_a_split_keeps_groups_together_and_its_shares_in_every_class() -> None:
    groups = [n // 2 * 2 if n < 100 else n for n in range(400)]
    parts = split(EXAMPLES, groups, "x")
    assert all(parts[n] == parts[n + 1] for n in range(0, 100, 2))
    assert parts == split(EXAMPLES, groups, "x") != split(EXAMPLES, groups, "y")
    for kind in range(8):
        counts = Counter(part for part, e in zip(parts, EXAMPLES, strict=True) if e.kind == f"k{kind}")
        assert abs(counts["train"] - 35) <= 4 and abs(counts["test"] - 10) <= 4 and abs(counts["val"] - 5) <= 4


def test_a_source_whose_classes_have_one_image_is_split_too() -> None:
    examples = [Example(Path(f"{n}.jpg"), "other", "net", f"k{n}") for n in range(100)]
    counts = Counter(split(examples, list(range(100)), "x"))
    assert (counts["train"], counts["val"], counts["test"]) == (70, 10, 20)


def test_equal_names_under_both_labels_are_two_classes() -> None:
    examples = [Example(Path(f"{n}.jpg"), "rs" if n < 40 else "other", "web", "beach") for n in range(200)]
    parts = split(examples, list(range(200)), "x")
    for chosen, n in ((slice(0, 40), 40), (slice(40, 200), 160)):
        assert Counter(parts[chosen]) == {"train": 0.7 * n, "val": 0.1 * n, "test": 0.2 * n}


def test_a_class_is_in_one_fold() -> None:
    found = fold_left_out(EXAMPLES, np.arange(400), np.ones(400, bool), "x")
    names = np.array([example.name for example in EXAMPLES])
    assert all(len(set(found.numbers[names == name])) == 1 for name in set(names))
    assert set(found.numbers) <= set(range(5)) and found.describe() == "classes"


@pytest.mark.parametrize("n_large", [200, 190])
def test_a_label_with_too_few_classes_is_folded_by_groups(n_large: int) -> None:
    rs = [Example(Path(f"{n}.jpg"), "rs", "s", f"k{n % 8}") for n in range(200)]
    others = [Example(Path(f"img_{n}.jpg"), "other", "net" if n < n_large else "maps", "img") for n in range(200)]
    groups = np.arange(400) // 2 * 2
    is_known = np.arange(400) % 10 < 8
    found = fold_left_out(rs + others, groups, is_known, "x")
    assert found.are_classes == {"rs": True, "other": False}
    assert found.describe().startswith("label rs: classes; label other: single images")
    assert Counter(found.numbers[200:][is_known[200:]].tolist()) == dict.fromkeys(range(5), 32)
    assert (found.numbers[::2] == found.numbers[1::2])[100:].all()


def test_both_labels_remain_whatever_is_left_out() -> None:
    examples = [Example(Path(f"{n}.jpg"), "rs" if n < 50 else "other", "s", f"k{n % 8}") for n in range(100)]
    groups = np.array([0] * 50 + list(range(1, 51)))
    with pytest.raises(InputError, match="label rs: all images outside the test split are near duplicates"):
        fold_left_out(examples, groups, np.ones(100, bool), "x")
    groups[:50] = np.arange(50) % 2 + 100  # two groups through all classes
    found = fold_left_out(examples, groups, np.ones(100, bool), "x")
    assert found.are_classes == {"rs": False, "other": True}


def test_with_left_out_examples_their_groups_are_left_out() -> None:
    groups = np.array([0, 0, 1, 2, 2, 3])
    is_out = np.array([True, False, False, False, True, False])
    assert is_apart(groups, is_out).tolist() == [False, False, True, False, False, True]
