"""The open_clip adapter gives unit rows independent of the batch, for small versions of each architecture."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from flows.demo.models.prepared import features
from stages.contract import InputError
from stages.models.open_clip_scorer import OpenClipScorer

TEXTS = ["a satellite image", "a chair", "aerial view of a river delta at low water, Hüttental 新港"]
WEIGHTS = "open_clip_model.safetensors"


def _small(architecture: str) -> dict[str, Any]:
    """Return open_clip's configuration of an architecture with reduced depth, width and input size."""
    from open_clip import get_model_config

    config: dict[str, Any] = deepcopy(get_model_config(architecture))
    config["text_cfg"].update(width=64, heads=2, layers=1)
    config["embed_dim"] = 32
    vision = config["vision_cfg"]
    if architecture == "convnext_xxlarge":
        vision["timm_model_name"] = "test_convnext"  # timm sizes have names: the smallest of this class
        vision["image_size"] = 64
    elif architecture == "RN50x64":
        vision.update(layers=[1, 1, 1, 1], width=8, image_size=64)
    else:
        vision.update(layers=1, width=64, head_width=32, image_size=28)
    return config


def _write(folder: Path, config: dict[str, Any]) -> Path:
    import open_clip

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    content = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    model = open_clip.create_model(f"local-dir:{folder}")
    save_file({name: values.contiguous() for name, values in model.state_dict().items()}, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module", params=["convnext_xxlarge", "ViT-H-14", "RN50x64"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("models") / request.param, _small(request.param))


def _images(n: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (300, 20), (64, 64), (31, 90), (128, 128)]
    return [Image.fromarray(rng.integers(0, 256, (*reversed(sizes[k % len(sizes)]), 3), np.uint8)) for k in range(n)]


def test_rows_have_unit_length_and_dim_columns(folder: Path) -> None:
    scorer = OpenClipScorer(folder)
    for rows in (features(scorer, _images(5)), scorer.text_features(TEXTS)):
        assert (rows.dtype, rows.shape[1]) == (np.float32, scorer.dim)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_unnormalised_text_rows_have_the_same_direction(folder: Path) -> None:
    scorer = OpenClipScorer(folder)
    raw, unit = scorer.text_features(TEXTS, is_normalised=False), scorer.text_features(TEXTS)
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-2)
    assert np.allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), unit, atol=1e-6)


def test_a_row_does_not_depend_on_other_rows_or_a_restart(folder: Path) -> None:
    images = _images(5)
    together, alone = features(OpenClipScorer(folder), images), features(OpenClipScorer(folder), images[2:3])
    assert np.allclose(together[2], alone[0], atol=1e-5)
    assert (features(OpenClipScorer(folder), images) == together).all()


def test_nan_weights_give_nan_and_no_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    weights = load_file(folder / WEIGHTS)
    save_file(
        {n: torch.full_like(v, torch.nan) if v.is_floating_point() else v for n, v in weights.items()},
        tmp_path / WEIGHTS,
    )
    assert np.isnan(features(OpenClipScorer(tmp_path), _images(2))).all()


def test_bfloat16_is_near_float32(folder: Path) -> None:
    whole, half = (features(OpenClipScorer(folder, precision=p), _images(3)) for p in ("float32", "bfloat16"))
    assert half.dtype == np.float32
    assert ((whole * half).sum(1) > 0.98).all()


@pytest.mark.filterwarnings("ignore:.*are not finite in float16")
def test_values_beyond_float16_give_the_features_of_float32(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    weights = load_file(folder / WEIGHTS)
    first = next(name for name in ("visual.trunk.stem.0.weight", "visual.conv1.weight") if name in weights)
    weights[first] *= 3e4 / weights[first].abs().max()  # in the range of float16, but not their sums
    save_file(weights, tmp_path / WEIGHTS)
    half, whole = (OpenClipScorer(tmp_path, precision=p) for p in ("float16", "float32"))
    prepared = [half.prepare(image) for image in _images(5)]
    assert not np.isfinite(half._image_rows(prepared)).all()
    rows = half.image_features(prepared)
    assert np.isfinite(rows).all()
    assert ((rows * whole.image_features(prepared)).sum(1) > 0.99).all()


def test_weights_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    save_file({"logit_scale": torch.zeros(())}, tmp_path / WEIGHTS)
    with pytest.raises(InputError, match=f"{tmp_path} should hold a model of open_clip"):
        OpenClipScorer(tmp_path)


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="should hold a model of open_clip"):
        OpenClipScorer(tmp_path)
