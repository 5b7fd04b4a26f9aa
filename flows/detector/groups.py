"""Groups of examples that must stay on one side of a split, and the splits.

Near duplicates share a group, and so do examples with the same stated group, such as a site. Not for training.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flows.detector.examples import Example

Part = Literal["train", "val", "test"]
SHARES: dict[Part, float] = {"train": 0.7, "val": 0.1, "test": 0.2}  # the ratio of RS5M's detector
NEAR_BITS = 6  # of 64; more than in dedup, since a missed copy makes the measured figures too good
_SMALL_KIND = 5  # smaller classes are split, and left out, together
N_FOLDS = 5


def group_examples(examples: Sequence[Example], hashes: npt.NDArray[np.uint64]) -> list[int]:
    """Return a group number per example.

    Args:
        examples: the examples.
        hashes: their perceptual hashes, uint64 [n].
    """
    n = len(examples)
    left, right = [], []
    for start in range(0, n, 512):
        distances = np.bitwise_count(hashes[start : start + 512, None] ^ hashes[None, :])
        rows, columns = np.nonzero(distances <= NEAR_BITS)
        left.append(rows + start)
        right.append(columns)
    stated = defaultdict(list)
    for number, example in enumerate(examples):
        if example.group:
            stated[example.source, example.group].append(number)
    for members in stated.values():
        left.append(np.full(len(members), members[0]))
        right.append(np.array(members))
    pairs = np.concatenate(left), np.concatenate(right)
    links = coo_array((np.ones(len(pairs[0]), np.bool_), pairs), shape=(n, n))
    return [int(label) for label in connected_components(links, directed=False)[1]]


def split(examples: Sequence[Example], groups: Sequence[int], seed: str) -> list[Part]:
    """Return train, val or test for each example: about 7:1:2 in every class, without dividing a group."""
    first = {group: min(str(examples[n].path.name) for n in members) for group, members in _members(groups).items()}
    order = sorted(first, key=lambda group: _hash(f"{seed}:{first[group]}"))
    sizes = Counter(example.name for example in examples)
    counts: dict[str, Counter[Part]] = defaultdict(Counter)
    part_of: dict[int, Part] = {}
    members = _members(groups)
    for group in order:
        example = examples[members[group][0]]
        source = example.name if sizes[example.name] >= _SMALL_KIND else example.source
        # The split that is furthest below its share takes the next group.
        behind = {part: counts[source][part] / share for part, share in SHARES.items()}
        part = min(behind, key=lambda name: (behind[name], list(SHARES).index(name)))
        counts[source][part] += len(members[group])
        part_of[group] = part
    return [part_of[group] for group in groups]


def is_apart(groups: npt.NDArray[np.int64], is_out: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return whether no example of an example's group is left out; bool [n].

    A copy in another source or class would make what is left out known to the model.

    Args:
        groups: group numbers, int64 [n].
        is_out: bool [n], the examples of a left-out source or class.
    """
    return ~np.isin(groups, groups[is_out])


def fold_classes(examples: Sequence[Example], seed: str) -> npt.NDArray[np.int64]:
    """Return a fold number per example, 0 to 4; each class is in one fold, and small classes are combined."""
    sizes = Counter(example.name for example in examples)
    folds: dict[str, int] = {}
    for label in ("rs", "other"):
        names = sorted({example.name for example in examples if example.label == label})
        order = sorted(
            names, key=lambda name: (sizes[name] < _SMALL_KIND, hashlib.sha256(f"{seed}:{name}".encode()).digest())
        )
        folds |= {name: number % N_FOLDS for number, name in enumerate(order)}
    return np.array([folds[example.name] for example in examples], np.int64)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _members(groups: Sequence[int]) -> dict[int, list[int]]:
    found = defaultdict(list)
    for number, group in enumerate(groups):
        found[group].append(number)
    return found
