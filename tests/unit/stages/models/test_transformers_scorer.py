"""The transformers adapter for CLIP and SigLIP gives unit rows independent of the batch, for small random models."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from flows.demo.models.prepared import features
from stages.contract import InputError
from stages.models.transformers_scorer import TransformersScorer

TEXTS = ["a satellite image", "a chair", "aerial view of a river delta " * 9]
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}


def _make(kind: str, folder: Path) -> Path:
    """Write a model with random weights, and a tokenizer and image processor like those of published models."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(0)
    words = ["<pad>", "<s>", "<unk>", *sorted(set(" ".join(TEXTS).split())), "</s>"]
    ends = [("<s>", 1), ("</s>", len(words) - 1)]
    tokens = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>")
    tokenizer.save_pretrained(folder)
    text = {**SIZES, "vocab_size": len(words), "max_position_embeddings": 16, "eos_token_id": len(words) - 1}
    vision = {**SIZES, "image_size": 32, "patch_size": 16}
    size: dict[str, Any] = {"height": 32, "width": 32}
    if kind == "clip":
        config: Any = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
        model: Any = transformers.CLIPModel(config)
        processor: Any = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    else:
        config = transformers.SiglipConfig(text_config={**text, "projection_size": 32}, vision_config=vision)
        model, processor = transformers.SiglipModel(config), transformers.SiglipImageProcessor(size=size)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["clip", "siglip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(request.param, tmp_path_factory.mktemp(request.param))


def _images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for w, h in ((1, 1), (200, 15), (40, 40), (17, 60))
    ]


def test_rows_have_unit_length_and_dim_columns(folder: Path) -> None:
    scorer = TransformersScorer(folder)
    for rows in (features(scorer, _images()), scorer.text_features(TEXTS)):
        assert (rows.dtype, rows.shape[1]) == (np.float32, scorer.dim)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_unnormalised_text_rows_have_the_same_direction(folder: Path) -> None:
    scorer = TransformersScorer(folder)
    raw, unit = scorer.text_features(TEXTS, is_normalised=False), scorer.text_features(TEXTS)
    assert np.allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), unit, atol=1e-6)


def test_a_row_does_not_depend_on_other_rows(folder: Path) -> None:
    scorer, images = TransformersScorer(folder), _images()
    assert np.allclose(features(scorer, images)[2], features(scorer, images[2:3])[0], atol=1e-5)
    assert np.allclose(scorer.text_features(TEXTS)[0], scorer.text_features(TEXTS[:1])[0], atol=1e-5)


def test_nan_weights_give_nan_and_no_error(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    broken = {n: torch.full_like(v, torch.nan) if v.is_floating_point() else v for n, v in weights.items()}
    save_file(broken, tmp_path / "model.safetensors", {"format": "pt"})
    assert np.isnan(features(TransformersScorer(tmp_path), _images()[:2])).all()


@pytest.mark.filterwarnings("ignore:.*are not finite in float16")
def test_values_beyond_float16_give_the_features_of_float32(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    weights = load_file(folder / "model.safetensors")
    first = next(name for name in weights if name.endswith("patch_embedding.weight"))
    weights[first] *= 3e4 / weights[first].abs().max()  # in the range of float16, but not their sums
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    half, whole = (TransformersScorer(tmp_path, precision=p) for p in ("float16", "float32"))
    prepared = [half.prepare(image) for image in _images()]
    assert not np.isfinite(half._image_rows(prepared)).all()
    rows = half.image_features(prepared)
    assert np.isfinite(rows).all()
    assert ((rows * whole.image_features(prepared)).sum(1) > 0.99).all()


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="model_type is 'bert', expected one of clip, siglip"):
        TransformersScorer(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="should hold a CLIP or SigLIP model"):
        TransformersScorer(tmp_path)
