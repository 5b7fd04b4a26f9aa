"""Where a model runs out of memory, smaller batches give the same rows, in order."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch

from stages.contract import TransientError
from stages.models.halving import Halving

ITEMS = list(range(100, 164))


class _Model:
    """Squares numbers, at most n_most at once; it notes the batches that it was asked for."""

    def __init__(self, n_most: int) -> None:
        self.n_most = n_most
        self.asked: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.asked.append(len(items))
        if len(items) > self.n_most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [item**2 for item in items]


@pytest.mark.parametrize(("n_most", "asked"), [(64, [64]), (16, [64, 32, *[16] * 4]), (5, [64, 32, 16, 8, *[4] * 16])])
@pytest.mark.filterwarnings("ignore:the GPU's memory")
def test_batches_are_halved_until_they_fit_and_no_item_is_lost(n_most: int, asked: list[int]) -> None:
    model, halving = _Model(n_most), Halving()
    found = halving.run(model, ITEMS)
    assert [value for batch in found for value in batch] == [item**2 for item in ITEMS]
    assert model.asked == asked


def test_later_batches_begin_with_the_size_that_fitted() -> None:
    model, halving = _Model(16), Halving()
    with pytest.warns(UserWarning, match="batch of 64: batches have at most 32; larger ones .* after 100 batches"):
        halving.run(model, ITEMS)
    model.asked.clear()
    halving.run(model, ITEMS)
    assert model.asked == [16] * 4


@pytest.mark.filterwarnings("ignore:the GPU's memory")
def test_batches_grow_again_when_another_program_gave_its_memory_back() -> None:
    model, halving = _Model(16), Halving()
    halving.run(model, ITEMS)
    model.n_most = 64
    for _ in range(80):
        halving.run(model, ITEMS)
    assert model.asked[-1] == 64


@pytest.mark.filterwarnings("ignore:the GPU's memory")
def test_trials_of_larger_batches_become_rare_where_the_memory_stays_small() -> None:
    model, halving = _Model(16), Halving()
    for _ in range(1000):
        halving.run(model, ITEMS)
    failed = [n for n, size in enumerate(model.asked) if size == 32]
    # The first is the halving from 64; then after 100 batches, 200, 400 and so on.
    assert [later - sooner for sooner, later in pairwise(failed)] == [101, 201, 401, 801, 1601]


@pytest.mark.filterwarnings("ignore:the GPU's memory")
def test_one_item_that_does_not_fit_is_a_fault_of_the_machine() -> None:
    with pytest.raises(TransientError, match=r"nvidia-smi.*run\.model_workers"):
        Halving().run(_Model(0), ITEMS[:3])


def test_other_errors_and_no_items_are_as_without_it() -> None:
    def fail(items: Sequence[int]) -> None:
        raise RuntimeError("a kernel failed")

    with pytest.raises(RuntimeError, match="a kernel failed"):
        Halving().run(fail, ITEMS)
    assert Halving().run(_Model(1), []) == []
    assert [len(found) for found in Halving(3).run(np.array, ITEMS[:7])] == [3, 3, 1]
