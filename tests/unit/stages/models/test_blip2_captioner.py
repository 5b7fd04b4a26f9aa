import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from flows.demo.models.prepared import draw
from stages.contract import ContractError, InputError
from stages.models.blip2_captioner import Blip2Captioner
from stages.models.protocols import DrawSettings, ModelNotFinite
from tests.small_blip2 import SHORT, change_weights, draw_images, save_published, save_small

GREEDY = DrawSettings(n_candidates=1, top_k=1, max_new_tokens=12)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def captioner(small: Path) -> Blip2Captioner:
    return Blip2Captioner(small)


@contextmanager
def calls(module: torch.nn.Module) -> Iterator[list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []
    handle = module.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
    yield seen
    handle.remove()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_captions_of_an_image_do_not_depend_on_batch_or_order(small: Path, precision: str):
    captioner = Blip2Captioner(small, precision=precision)
    images, seeds = draw_images(7), list(range(70, 77))
    together = draw(captioner, images, seeds, SHORT)
    alone = [draw(captioner, [image], [seed], SHORT)[0] for image, seed in zip(images, seeds, strict=True)]
    backwards = draw(captioner, images[::-1], seeds[::-1], SHORT)[::-1]
    assert together == alone == backwards
    assert len({tuple(captions) for captions in together}) == 7


@pytest.mark.filterwarnings("ignore:the GPU's memory")
def test_captions_are_the_same_in_smaller_batches_where_memory_runs_out(small: Path, captioner: Blip2Captioner):
    images, seeds, small_captioner = draw_images(5), list(range(70, 75)), Blip2Captioner(small)

    def run_out(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if len(kwargs.get("input_ids", ())) > 2 * SHORT.n_candidates:
            raise torch.OutOfMemoryError("CUDA out of memory")

    small_captioner.model.language_model.register_forward_pre_hook(run_out, with_kwargs=True)
    assert draw(small_captioner, images, seeds, SHORT) == draw(captioner, images, seeds, SHORT)


def test_captions_are_the_same_after_a_restart(small: Path, captioner: Blip2Captioner):
    images = draw_images(3)
    torch.manual_seed(99)
    assert draw(Blip2Captioner(small), images, [5, 6, 7], SHORT) == draw(captioner, images, [5, 6, 7], SHORT)


def test_seed_and_image_both_matter(captioner: Blip2Captioner):
    one, other = draw_images(2)
    captions = draw(captioner, [one, one, other], [1, 2, 1], SHORT)
    assert captions[0] != captions[1] and captions[0] != captions[2]
    assert [len(found) for found in captions] == [SHORT.n_candidates] * 3
    assert all(text == text.strip() for found in captions for text in found)


def test_image_features_are_computed_once(captioner: Blip2Captioner):
    model = captioner.model
    with calls(model.vision_model) as seen, calls(model.qformer) as asked, calls(model.language_model) as read:
        draw(captioner, draw_images(3), [1, 2, 3], SHORT)
    assert (len(seen), len(asked)) == (1, 1)
    prefixes = [tuple(kwargs["inputs_embeds"].shape[:2]) for kwargs in read if "inputs_embeds" in kwargs]
    assert prefixes == [(3, model.config.num_query_tokens + 1)]
    steps = [tuple(kwargs["input_ids"].shape) for kwargs in read if "input_ids" in kwargs]
    assert steps[0] == (3 * SHORT.n_candidates, 1)


def test_finished_captions_leave_the_batch_when_half_of_it_has_finished(small: Path):
    captioner = Blip2Captioner(small)
    images, seeds, settings = draw_images(3), [1, 2, 3], DrawSettings(n_candidates=6, max_new_tokens=20)
    with calls(captioner.model.language_model) as read:
        draw(captioner, images, seeds, settings)
    tokens = torch.cat([kwargs["input_ids"] for kwargs in read if "input_ids" in kwargs]).flatten()
    captioner.model.config.text_config.eos_token_id = tokens.bincount().topk(4).indices.tolist()
    with calls(captioner.model.language_model) as read:
        found = draw(captioner, images, seeds, settings)
    n_rows = [len(kwargs["input_ids"]) for kwargs in read if "input_ids" in kwargs]
    assert n_rows[0] == 18 and n_rows == sorted(n_rows, reverse=True)
    assert all(now == before or 2 * now <= before for before, now in itertools.pairwise(n_rows))
    assert n_rows[-1] <= 9
    alone = [draw(captioner, [image], [seed], settings)[0] for image, seed in zip(images, seeds, strict=True)]
    assert found == alone


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def test_the_reused_cache_has_no_effect_of_earlier_images(small: Path, device: str):
    captioner = Blip2Captioner(small, device=device)
    images = draw_images(4)
    expected = draw(Blip2Captioner(small, device=device), images[2:], [3, 4], SHORT)
    draw(captioner, images[:2], [1, 2], SHORT)
    steps = captioner._steps
    assert steps is not None
    with torch.inference_mode():
        for layer in steps._cache.layers:  # as after an image whose numbers overflow in the middle of a caption
            layer.keys.fill_(float("nan")), layer.values.fill_(float("inf"))
    assert draw(captioner, images[2:], [3, 4], SHORT) == expected
    assert captioner._steps is steps


def test_no_caption_has_more_than_max_new_tokens(captioner: Blip2Captioner):
    settings = DrawSettings(n_candidates=4, max_new_tokens=5)
    with calls(captioner.model.language_model) as read:
        draw(captioner, draw_images(1), [1], settings)
    assert len(read) == 5  # the prefix yields the first token
    with calls(captioner.model.language_model) as read:
        assert len(draw(captioner, draw_images(1), [1], DrawSettings(n_candidates=1, max_new_tokens=1))[0]) == 1
    assert len(read) == 1


@pytest.mark.parametrize("folder_name", ["small", "published"])
def test_greedy_captions_equal_those_of_transformers_generate(folder_name: str, request: pytest.FixtureRequest):
    captioner = Blip2Captioner(request.getfixturevalue(folder_name))
    n_read = captioner.model.config.num_query_tokens + 1
    for image in draw_images(3):
        pixels = captioner.prepare(image)
        tokens = captioner.model.generate(pixel_values=pixels, do_sample=False, max_new_tokens=12)[:, n_read:]
        expected = captioner._tokenizer.batch_decode(tokens, skip_special_tokens=True)[0].strip()
        assert draw(captioner, [image], [0], GREEDY) == [[expected]]
        assert expected


def test_an_end_token_ends_captions(small: Path):
    captioner = Blip2Captioner(small)
    image = draw_images(1)
    text = draw(captioner, image, [0], GREEDY)[0][0]
    with calls(captioner.model.language_model) as read:
        draw(captioner, image, [0], GREEDY)
    fourth = int(read[4]["input_ids"][0, 0])
    captioner.model.config.text_config.eos_token_id = [fourth]
    cut = draw(captioner, image, [0], GREEDY)[0][0]
    assert text.startswith(cut) and len(cut) < len(text)
    first = int(read[1]["input_ids"][0, 0])
    captioner.model.config.text_config.eos_token_id = first
    assert draw(captioner, image, [0], DrawSettings(n_candidates=3, top_k=1)) == [["", "", ""]]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (3, 3), (7, 3), (2000, 2)])
def test_tiny_and_thin_images_are_captioned(captioner: Blip2Captioner, size: tuple[int, int]):
    pixels = captioner.prepare(Image.new("RGB", size, (255, 0, 0)))
    assert tuple(pixels.shape) == (1, 3, 64, 64)
    assert [float(channel.std()) < 1e-4 for channel in pixels[0]] == [True] * 3
    assert float(pixels[0, 0].mean()) > 1.5 > 0 > float(pixels[0, 1].mean())


def test_images_in_other_modes_and_missing_seeds_are_a_fault_of_the_code(captioner: Blip2Captioner):
    with pytest.raises(ContractError, match="RGB"):
        draw(captioner, [Image.new("L", (9, 9))], [0], SHORT)
    with pytest.raises(ContractError, match="seed"):
        draw(captioner, draw_images(2), [0], SHORT)
    assert draw(captioner, [], [], SHORT) == []


def test_more_new_tokens_than_the_models_positions_are_refused(captioner: Blip2Captioner):
    assert len(draw(captioner, draw_images(1), [0], DrawSettings(n_candidates=1, max_new_tokens=55))) == 1
    with pytest.raises(InputError, match="at most 55"):
        draw(captioner, draw_images(1), [0], DrawSettings(max_new_tokens=56))


@pytest.mark.parametrize(
    "name", ["vision_model.post_layernorm.weight", "language_model.model.decoder.layers.1.fc1.bias"]
)
def test_a_model_with_nan_weights_gives_no_captions(small: Path, tmp_path: Path, name: str):
    folder = change_weights(small, tmp_path, lambda weights: weights[name].fill_(float("nan")))
    with pytest.raises(ModelNotFinite):
        draw(Blip2Captioner(folder), draw_images(1), [0], SHORT)
