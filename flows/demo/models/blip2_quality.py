"""Measures the saved demo captioner on unseen scenes, against captions chosen without looking at the image.

Not for ranking captions: the caption stage does that.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from flows.demo.models.blip2_data import Examples, draw_examples
from flows.demo.models.prepared import draw
from flows.demo.models.scene_captions import ELEMENTS, SUBJECTS, Facts
from stages.models.blip2_captioner import Blip2Captioner
from stages.models.protocols import DrawSettings

N_EVALUATE = 200
UNSEEN_SEEDS, HELD_OUT_SEEDS = 120_000_000, 130_000_000
GREEDY = DrawSettings(n_candidates=1, top_k=1)
DRAWN = DrawSettings()
ALIKE = DrawSettings(top_k=1)  # deterministic: both ways of drawing do the same work
N_TIMED = 10


@dataclass(frozen=True)
class Measured:
    """Scores of a set of captions, each in [0, 1] and a mean over captions.

    Attributes:
        word_f1: F1 of words with the most similar of the scene's own captions.
        kind: share of captions that name the scene's kind.
        elements: share of the scenes' elements that the captions name.
    """

    word_f1: float
    kind: float
    elements: float

    @classmethod
    def of(cls, captions: Sequence[Sequence[str]], examples: Examples) -> "Measured":
        """Measure captions, any number per image."""
        rows = [
            (word_f1(text, own), names_kind(text, facts), count_named(text, facts), len(facts.elements))
            for texts, own, facts in zip(captions, examples.captions, examples.facts, strict=True)
            for text in texts
        ]
        f1, kind, named, elements = np.array(rows, np.float64).sum(0)
        return cls(f1 / len(rows), kind / len(rows), named / elements)


def measure(folder: Path, trained_on: Examples) -> str:
    """Return the tables of QUALITY.md."""
    captioner = Blip2Captioner(folder)
    usual = Counter(caption for captions in trained_on.captions for caption in captions).most_common(1)[0][0]
    lines = [
        f"Each number is a mean over {N_EVALUATE} scenes: word F1 with the nearest of the scene's captions / captions"
        " that name the kind of scene / its elements named. Sampled: one of 20 candidates as the caption stage draws"
        " them (top_p 0.95, top_k 50). The best of 20 knows the answer: it bounds what ranking can reach.",
        "",
        "| tested on | greedy | sampled | best of 20 | another image's greedy caption | the most frequent caption |",
        "|---|---|---|---|---|---|",
    ]
    sets = {
        "unseen seeds": draw_examples(UNSEEN_SEEDS, N_EVALUATE),
        "held-out compositions": draw_examples(HELD_OUT_SEEDS, N_EVALUATE, is_held_out=True),
    }
    for name, examples in sets.items():
        columns = " | ".join(_tell(found) for found in compare(captioner, examples, usual))
        lines.append(f"| {name} | {columns} |")
    return "\n".join([*lines, "", tell_saving(captioner, sets["unseen seeds"]), ""])


def compare(captioner: Blip2Captioner, examples: Examples, usual: str) -> list[Measured]:
    """Return the scores of greedy, sampled, best sampled, another image's and the most frequent captions."""
    images = [Image.fromarray(square) for square in examples.squares]
    seeds = list(range(len(images)))
    greedy = draw(captioner, images, seeds, GREEDY)
    drawn = draw(captioner, images, seeds, DRAWN)
    best = [
        [max(texts, key=lambda text: word_f1(text, own))] for texts, own in zip(drawn, examples.captions, strict=True)
    ]
    others = [greedy[n - 1] for n in range(len(greedy))]
    return [Measured.of(found, examples) for found in (greedy, drawn, best, others, [[usual]] * len(images))]


def word_f1(text: str, own: Sequence[str]) -> float:
    """Return the highest F1 in [0, 1] between a caption's words and those of any of the scene's captions."""
    return max(_f1(Counter(text.split()), Counter(other.split())) for other in own)


def _f1(words: Counter[str], others: Counter[str]) -> float:
    n_words, n_others = words.total(), others.total()
    return 2 * (words & others).total() / (n_words + n_others) if n_words + n_others else 0.0


def names_kind(text: str, facts: Facts) -> bool:
    """Return whether a caption contains a phrase for the scene's kind."""
    return any(phrase in text for phrase in SUBJECTS[facts.kind])


def count_named(text: str, facts: Facts) -> int:
    """Return how many of the scene's elements a caption names."""
    return sum(any(phrase in text for phrase in ELEMENTS[element]) for element in facts.elements)


def tell_saving(captioner: Blip2Captioner, examples: Examples) -> str:
    """Return a sentence on the savings of encoding the prefix once; transformers encodes it per candidate."""
    images = [Image.fromarray(square) for square in examples.squares[:N_TIMED]]
    shared = _cost(lambda image: draw(captioner, [image], [0], ALIKE), images)
    expanded = _cost(lambda image: _generate(captioner, image), images)
    return (
        f"{ALIKE.n_candidates} candidates an image, the same captions both ways: prefix read once {shared[0]:.2f}"
        f" GFLOP, {shared[1] * 1000:.0f} ms; `generate(num_return_sequences={ALIKE.n_candidates})`"
        f" {expanded[0]:.2f} GFLOP, {expanded[1] * 1000:.0f} ms (means over {N_TIMED} images, one thread)."
    )


def _generate(captioner: Blip2Captioner, image: Image.Image) -> torch.Tensor:
    drawn: torch.Tensor = captioner.model.generate(
        pixel_values=captioner.prepare(image), do_sample=True, num_return_sequences=ALIKE.n_candidates,
        top_k=ALIKE.top_k, max_new_tokens=ALIKE.max_new_tokens,
    )  # fmt: skip
    return drawn


def _cost(draw: Callable[[Image.Image], object], images: Sequence[Image.Image]) -> tuple[float, float]:
    """Return GFLOP and seconds per image."""
    with FlopCounterMode(display=False) as counter:
        for image in images:
            draw(image)
    started = time.perf_counter()
    for image in images:
        draw(image)
    return counter.get_total_flops() / len(images) / 1e9, (time.perf_counter() - started) / len(images)


def _tell(found: Measured) -> str:
    return f"{found.word_f1:.2f} / {found.kind:.0%} / {found.elements:.0%}"
