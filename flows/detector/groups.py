"""Groups of examples that must stay on one side of a split, and the splits.

Near duplicates share a group, and so do examples with the same stated group, such as a site or a
pair of pictures of one place. Not for training.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flows.detector.digests import Digests
from flows.detector.examples import Example
from flows.detector.manifest import LABELS, Label
from stages.contract import InputError

Class = tuple[str, ...]  # label, source and class
Part = Literal["train", "val", "test"]
SHARES: dict[Part, float] = {"train": 0.7, "val": 0.1, "test": 0.2}  # the ratio of RS5M's detector
_SMALL_KIND = 5  # smaller classes are split, and left out, together
N_FOLDS = 5
LEAST_LEFT = 0.4  # of a label's examples, to train on while a fold is left out


@dataclass(frozen=True)
class Folds:
    """Folds that are left out of training, one at a time, to choose the threshold.

    Attributes:
        numbers: int64 [n], the fold of each example, 0 to 4.
        are_classes: whether a label's folds are whole classes, else groups of near duplicates.
    """

    numbers: npt.NDArray[np.int64]
    are_classes: Mapping[Label, bool]

    def describe(self) -> str:
        """Return what is left out, in words."""
        if len(set(self.are_classes.values())) == 1:
            return _describe(self.are_classes[LABELS[0]])
        return "; ".join(f"label {label}: {_describe(found)}" for label, found in self.are_classes.items())


def group_examples(examples: Sequence[Example], digests: Digests) -> list[int]:
    """Return a group number per example."""
    n = len(examples)
    first, second = digests.pairs()
    left, right = [first], [second]
    stated = defaultdict(list)
    for number, example in enumerate(examples):
        if example.group:
            stated[example.group].append(number)
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
    sizes = Counter(_class_of(example) for example in examples)
    counts: dict[tuple[str, ...], Counter[Part]] = defaultdict(Counter)
    part_of: dict[int, Part] = {}
    members = _members(groups)
    for group in order:
        example = examples[members[group][0]]
        name = _class_of(example)
        source = name if sizes[name] >= _SMALL_KIND else name[:2]
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


def fold_left_out(
    examples: Sequence[Example], groups: npt.NDArray[np.int64], is_known: npt.NDArray[np.bool_], seed: str
) -> Folds:
    """Return folds of whole classes for each label that keeps enough classes to learn from, else folds of groups.

    Args:
        examples: the examples.
        groups: group numbers, int64 [n].
        is_known: bool [n], the examples outside the test split.
        seed: orders classes and groups.

    Raises:
        InputError: a label has one group alone, so nothing is left to train on.
    """
    by_class = _fold_classes(examples, seed)
    by_group = _fold_groups(examples, groups, is_known, seed)
    labels = np.array([example.label for example in examples])
    numbers, are_classes = by_group.copy(), {}
    for label in LABELS:
        is_label = labels == label
        are_classes[label] = _n_left(by_class, groups, is_known, is_label) >= LEAST_LEFT * (is_label & is_known).sum()
        if are_classes[label]:
            numbers[is_label] = by_class[is_label]
    for label in LABELS:
        if not _n_left(numbers, groups, is_known, labels == label):
            raise InputError(
                f"label {label}: all images outside the test split are near duplicates or of one group, so none can be"
                " left out to choose the threshold. Add other images"
            )
    return Folds(numbers, are_classes)


def _n_left(
    numbers: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], is_known: npt.NDArray[np.bool_],
    is_label: npt.NDArray[np.bool_],
) -> int:  # fmt: skip
    """Return the least number of a label's examples that remain to train on when a fold of any label is left out."""
    left = [is_known & is_label & is_apart(groups, is_known & (numbers == number)) for number in range(N_FOLDS)]
    return min(int(remaining.sum()) for remaining in left)


def _fold_classes(examples: Sequence[Example], seed: str) -> npt.NDArray[np.int64]:
    """Return a fold number per example, 0 to 4; each class is in one fold, and small classes are combined."""
    sizes = Counter(_class_of(example) for example in examples)
    folds: dict[Class, int] = {}
    for label in LABELS:
        names = sorted(name for name in sizes if name[0] == label)
        order = sorted(names, key=lambda name: (sizes[name] < _SMALL_KIND, _hash(f"{seed}:{name[1]}/{name[2]}")))
        folds |= {name: number % N_FOLDS for number, name in enumerate(order)}
    return np.array([folds[_class_of(example)] for example in examples], np.int64)


def _fold_groups(
    examples: Sequence[Example], groups: npt.NDArray[np.int64], is_known: npt.NDArray[np.bool_], seed: str
) -> npt.NDArray[np.int64]:
    """Return a fold number per example, 0 to 4; each group is in one fold, and folds have about equal sizes."""
    members = _members(groups.tolist())
    first = {group: min(examples[n].path.name for n in numbers) for group, numbers in members.items()}
    folds = np.zeros(len(examples), np.int64)
    counts = {label: [0] * N_FOLDS for label in LABELS}
    for group in sorted(members, key=lambda group: _hash(f"{seed}:{first[group]}")):
        numbers = members[group]
        sizes = counts[examples[numbers[0]].label]
        number = sizes.index(min(sizes))
        sizes[number] += int(is_known[numbers].sum())
        folds[numbers] = number
    return folds


def _class_of(example: Example) -> Class:
    return example.label, example.source, example.kind


def _describe(are_classes: bool) -> str:
    return "classes" if are_classes else "single images with their near duplicates (too few classes)"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _members(groups: Sequence[int]) -> dict[int, list[int]]:
    found = defaultdict(list)
    for number, group in enumerate(groups):
        found[group].append(number)
    return found
