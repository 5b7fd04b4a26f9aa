"""Rows that overflow in half precision are those of the model in float32; other rows and the weights are unchanged."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from stages.models.features import finite_rows, lowest_precision, to_rows
from stages.models.halving import Halving
from stages.models.protocols import Floats


class _Squares(torch.nn.Module):
    """Sums of squares, which exceed the range of float16 for inputs above some 100."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = torch.nn.Linear(8, 8)
        self.norm = torch.nn.LayerNorm(8)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.norm(self.inner(values).square() * 100)


def _compute(model: _Squares, items: Sequence[torch.Tensor]) -> Floats:
    with torch.inference_mode():
        return to_rows(model(torch.stack(list(items)).to(lowest_precision(model))), is_normalised=True)


def _items() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(8) * scale for scale in (1, 200, 2, 150)]


def test_only_rows_that_overflow_are_computed_in_float32() -> None:
    exact, model = _Squares(), _Squares().half()
    once = _compute(model, _items())
    assert np.isfinite(once).all(axis=1).tolist() == [True, False, True, False]
    with pytest.warns(UserWarning, match="2 of 4 features of this batch are not finite in float16"):
        rows = finite_rows(model, _items(), Halving(), lambda items: _compute(model, items))
    assert (rows[[0, 2]] == once[[0, 2]]).all()
    assert np.allclose(rows, _compute(exact, _items()), atol=2e-2)


@pytest.mark.filterwarnings("ignore:.*are not finite in float16")
@pytest.mark.parametrize("fails", [False, True])
def test_weights_come_back_with_their_bits_and_precisions(fails: bool) -> None:
    model = _Squares().half()
    model.norm.float()  # as open_clip keeps norms
    before = {name: weights.clone() for name, weights in model.state_dict().items()}

    def compute(items: Sequence[torch.Tensor]) -> Floats:
        if fails and lowest_precision(model) is torch.float32:
            raise RuntimeError("out of memory")
        return np.full((len(items), 8), np.nan, np.float32)

    if fails:
        with pytest.raises(RuntimeError, match="out of memory"):
            finite_rows(model, _items(), Halving(), compute)
    else:
        assert np.isnan(finite_rows(model, _items(), Halving(), compute)).all()
    after = model.state_dict()
    assert {name: weights.dtype for name, weights in after.items()} == {
        name: weights.dtype for name, weights in before.items()
    }
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_float32_is_computed_once() -> None:
    calls = []

    def compute(items: Sequence[torch.Tensor]) -> Floats:
        calls.append(len(items))
        return np.full((len(items), 8), np.nan, np.float32)

    assert np.isnan(finite_rows(_Squares(), _items(), Halving(), compute)).all()
    assert calls == [4]
