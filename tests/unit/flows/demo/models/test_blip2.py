"""The committed demo captioner describes generated scenes far better than captions that ignore the image."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from flows.demo.models.blip2 import caption_loss
from flows.demo.models.blip2_data import DEVIATIONS, MEANS, Examples, draw_examples, normalise, turn
from flows.demo.models.blip2_model import SIDE_PX, build_model, train_tokenizer
from flows.demo.models.blip2_quality import GREEDY, Measured, names_kind, word_f1
from flows.demo.models.prepared import draw
from flows.demo.models.scenes import draw_scene
from schemas.manifests import MANIFESTS
from stages.models.opening import open_captioner
from stages.models.protocols import Captioner, DrawSettings

# Not used in training or in QUALITY.md.
SEEDS, N = 140_000_000, 60


@pytest.fixture(scope="module")
def captioner() -> Iterator[Captioner]:
    n_threads = torch.get_num_threads()
    with open_captioner("demo-blip2", models="", device="cpu", n_threads=1) as captioner:
        yield captioner
    torch.set_num_threads(n_threads)
    torch.use_deterministic_algorithms(False)


def images_of(examples: Examples) -> list[Image.Image]:
    return [Image.fromarray(square) for square in examples.squares]


@pytest.mark.parametrize(("is_held_out", "least_kind", "least_f1"), [(False, 0.75, 0.55), (True, 0.5, 0.5)])
def test_greedy_captions_describe_unseen_scenes(
    captioner: Captioner, is_held_out: bool, least_kind: float, least_f1: float
) -> None:
    examples = draw_examples(SEEDS, N, is_held_out=is_held_out)
    captions = draw(captioner, images_of(examples), range(N), GREEDY)
    own, others = Measured.of(captions, examples), Measured.of(captions[1:] + captions[:1], examples)
    assert own.kind > least_kind > 0.3 > others.kind
    assert own.word_f1 > least_f1 > others.word_f1 + 0.05
    assert own.elements > others.elements


def test_candidates_differ_and_mostly_name_the_kind(captioner: Captioner) -> None:
    examples = draw_examples(SEEDS + N, 20)
    captions = draw(captioner, images_of(examples), range(20), DrawSettings())
    assert {len(found) for found in captions} == {20}
    assert float(np.mean([len(set(found)) for found in captions])) > 10
    assert Measured.of(captions, examples).kind > 0.6


def test_full_size_scenes_are_captioned_like_the_reduced_ones_of_training(captioner: Captioner) -> None:
    scenes = [draw_scene(seed) for seed in range(SEEDS + 200, SEEDS + 230)]
    captions = draw(captioner, [scene.image for scene in scenes], range(30), GREEDY)
    right = [names_kind(found[0], scene.facts) for found, scene in zip(captions, scenes, strict=True)]
    assert sum(right) > 20


def test_the_committed_captioner_is_small() -> None:
    files = [path for path in (MANIFESTS / "models" / "demo-blip2").iterdir() if path.is_file()]
    assert 1e6 < sum(path.stat().st_size for path in files) < 5e6
    assert [path.name for path in files if path.suffix in (".bin", ".pt")] == []


def test_training_normalises_as_the_image_processor_does(captioner: Captioner) -> None:
    examples = draw_examples(SEEDS, 1)
    expected = captioner.prepare(images_of(examples)[0])  # type: ignore[attr-defined]
    assert torch.allclose(normalise(torch.from_numpy(examples.squares)), expected, atol=1e-5)
    assert (len(MEANS), len(DEVIATIONS)) == (3, 3)


def test_only_views_from_above_are_turned_and_no_pixel_is_lost() -> None:
    pixels = torch.rand((64, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    is_from_above = torch.arange(64) < 32
    turned = turn(pixels, is_from_above, torch.Generator().manual_seed(2))
    mirrored = [torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(turned, pixels, strict=True)]
    assert all(mirrored[32:]) and not all(mirrored[:32])
    assert torch.equal(turned.flatten(2).sort().values, pixels.flatten(2).sort().values)


def test_the_loss_of_a_model_without_knowledge_is_that_of_guessing() -> None:
    torch.manual_seed(0)
    words = ("a river", "a town with roofs", "fields") * 3
    tokenizer = train_tokenizer(words)
    model = build_model(len(tokenizer)).eval()
    texts = [tokenizer(word)["input_ids"] for word in words[:4]]
    loss = caption_loss(model, torch.zeros((2, 3, SIDE_PX, SIDE_PX)), texts)
    assert loss.item() == pytest.approx(float(np.log(len(tokenizer))), abs=0.5)


def test_word_f1_counts_words_once_each() -> None:
    assert word_f1("a river near a town", ["x y", "a river near a town"]) == 1
    assert word_f1("a a a a", ["a b c d"]) == 0.25
    assert word_f1("", ["a b"]) == 0
