"""Nucleus sampling: choose the next tokens from logits and previously drawn random numbers.

blip2_captioner.py runs the model and calls this once per step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.models.protocols import ModelNotFinite

if TYPE_CHECKING:
    import torch


def draw_numbers(seed: int, n_candidates: int, n_steps: int) -> torch.Tensor:
    """Return the random numbers of all captions of an image, float64 [n_candidates, n_steps] in [0, 1).

    All are drawn before the first token, so the length of a caption does not affect the numbers of the others.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.rand((n_candidates, n_steps), generator=generator, dtype=torch.float64)


def choose_tokens(logits: torch.Tensor, numbers: torch.Tensor, *, top_p: float, top_k: int) -> torch.Tensor:
    """Return one token per row, int64 [n] on the CPU, drawn from the nucleus of each row at temperature 1.

    Keeps the top_k most probable tokens, then the fewest of these that together reach top_p.

    Args:
        logits: [n, vocabulary], any float type, on any device.
        numbers: float64 [n] in [0, 1), on the CPU: the position in the nucleus of a row's token.
        top_p: share of the probability, above 0.
        top_k: 0 for all tokens.

    Raises:
        ModelNotFinite: logits contain NaN or infinity.

    Source: Holtzman et al., The curious case of neural text degeneration, section 3.1.
    """
    n_kept = min(top_k, logits.shape[-1]) or logits.shape[-1]
    values, tokens = logits.float().topk(n_kept, dim=-1)
    # On the CPU in double precision, because rounding on a device could change the nucleus.
    values, tokens = values.cpu().double(), tokens.cpu()
    if not values.isfinite().all():
        raise ModelNotFinite("the captioner's logits contain NaN or infinity")
    probs = values.softmax(-1)
    is_nucleus = probs.cumsum(-1) - probs < top_p
    is_nucleus[:, 0] = True
    reached = (probs * is_nucleus).cumsum(-1)
    places = (reached <= numbers[:, None] * reached[:, -1:]).sum(-1)
    places = places.minimum(is_nucleus.sum(-1) - 1)
    return tokens.gather(1, places[:, None])[:, 0]
