"""A committed scorer is opened with checks, on an existing device, with fixed threads, without a network."""

import os
import subprocess
import sys

import pytest
import torch
from PIL import Image

from flows.demo.models.prepared import features
from schemas.manifests import load_models
from stages.contract import InputError
from stages.models.opening import check_model, open_scorer

SCORERS = [name for name, model in load_models().items() if model.folder and model.task == "scorer"]


def test_the_demo_has_two_scorers() -> None:
    assert SCORERS == ["demo-clip", "demo-clip-2"]


@pytest.mark.parametrize("name", SCORERS)
def test_a_committed_scorer_opens_and_scores(name: str) -> None:
    with open_scorer(name, models="absent", device="cpu", n_threads=1) as scorer:
        assert features(scorer, [Image.new("RGB", (9, 5))]).shape == (1, scorer.dim)
        assert scorer.text_features(["a satellite image"] * 3).shape == (3, scorer.dim)
    assert torch.get_num_threads() == 1
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps", ""])
def test_a_missing_device_is_refused_with_the_existing_ones(device: str) -> None:
    with pytest.raises(InputError, match="expected auto or one of cpu"):
        check_model(SCORERS[0], "scorer", models="", device=device, n_threads=1)


def test_half_precision_needs_a_device_that_supports_it() -> None:
    assert check_model(SCORERS[0], "scorer", models="", device="cpu", n_threads=1).precision == "float32"


def test_importing_model_stages_imports_no_model_libraries() -> None:
    heavy = "torch transformers open_clip ultralytics timm"
    code = f"import stages.models.opening, sys; sys.exit(any(n in sys.modules for n in {heavy.split()!r}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
