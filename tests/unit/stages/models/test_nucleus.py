import numpy as np
import pytest
import torch

from stages.models.nucleus import choose_tokens, draw_numbers
from stages.models.protocols import ModelNotFinite

PROBS = [0.5, 0.25, 0.15, 0.06, 0.04]  # probabilities of tokens 3, 1, 4, 0, 2
TOKENS = [3, 1, 4, 0, 2]
LOGITS = torch.tensor([[dict(zip(TOKENS, PROBS, strict=True))[n] for n in range(5)]]).log() + 3.0


def choose(numbers: list[float], *, top_p: float, top_k: int = 0) -> list[int]:
    values = torch.tensor(numbers, dtype=torch.float64)
    return choose_tokens(LOGITS.expand(len(numbers), -1), values, top_p=top_p, top_k=top_k).tolist()


def test_the_nucleus_is_the_smallest_set_of_likeliest_tokens_that_reaches_top_p():
    numbers = np.linspace(0, 1, 1000, endpoint=False).tolist()
    for top_p, expected in ((1e-9, {3}), (0.5, {3}), (0.51, {3, 1}), (0.89, {3, 1, 4}), (0.95, {3, 1, 4, 0})):
        assert set(choose(numbers, top_p=top_p)) == expected
    assert set(choose(numbers, top_p=1.0)) == set(TOKENS)


def test_top_k_comes_before_top_p():
    numbers = np.linspace(0, 1, 1000, endpoint=False).tolist()
    assert set(choose(numbers, top_p=1.0, top_k=2)) == {3, 1}
    # Among the top two the first has 2/3, which reaches 0.6; among all it has only 1/2.
    assert set(choose(numbers, top_p=0.6, top_k=2)) == {3}
    assert set(choose(numbers, top_p=0.6, top_k=0)) == {3, 1}


def test_token_frequencies_equal_probabilities_within_the_nucleus():
    numbers = draw_numbers(5, 1, 20_000)[0]
    chosen = choose_tokens(LOGITS.expand(20_000, -1), numbers, top_p=0.89, top_k=50).numpy()
    shares = [float((chosen == token).mean()) for token in TOKENS[:3]]
    assert shares == pytest.approx([p / 0.9 for p in PROBS[:3]], abs=0.01)


def test_the_extreme_random_numbers_give_tokens_of_the_nucleus():
    last = float(np.nextafter(1.0, 0.0))
    assert choose([0.0, last], top_p=0.89) == [3, 4]
    assert choose([0.0, last], top_p=1.0) == [3, 2]


def test_equal_and_tiny_probabilities_can_be_drawn():
    logits = torch.tensor([[0.0, 0.0, -1e4, -1e4]])
    numbers = torch.tensor([0.25, 0.75], dtype=torch.float64)
    chosen = choose_tokens(logits.expand(2, -1), numbers, top_p=1.0, top_k=0)
    assert sorted(chosen.tolist()) == [0, 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_nan_logits_are_refused(bad: float, dtype: torch.dtype):
    logits = torch.zeros((3, 100), dtype=dtype)
    logits[1, 70] = bad
    with pytest.raises(ModelNotFinite):
        choose_tokens(logits, torch.zeros(3, dtype=torch.float64), top_p=0.95, top_k=5)


def test_random_numbers_depend_only_on_the_seed():
    torch.manual_seed(1)
    first = draw_numbers(77, 20, 50)
    torch.rand(3)
    assert torch.equal(first, draw_numbers(77, 20, 50))
    assert not torch.equal(first, draw_numbers(78, 20, 50))
    assert torch.equal(first[:10], draw_numbers(77, 10, 50))
    assert float(first.min()) >= 0 and float(first.max()) < 1
    assert draw_numbers(2**63 - 1, 1, 1).shape == (1, 1)
