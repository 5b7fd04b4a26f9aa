import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Blip2ForConditionalGeneration

from flows.demo.models.prepared import draw
from stages.contract import InputError
from stages.models.blip2_captioner import Blip2Captioner
from tests.small_blip2 import SHORT, change_weights, draw_images, save_published, save_small


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_published(tmp_path_factory.mktemp("published"))


def test_missing_weights_are_not_replaced_by_random_ones(small: Path, tmp_path: Path):
    folder = change_weights(small, tmp_path, lambda weights: weights.pop("language_projection.bias"))
    with pytest.raises(InputError, match=r"language_projection\.bias"):
        Blip2Captioner(folder)


def test_weights_of_another_shape_are_refused(small: Path, tmp_path: Path):
    def narrow(weights: dict[str, torch.Tensor]) -> None:
        weights["query_tokens"] = weights["query_tokens"][:, :3].clone()

    with pytest.raises(InputError, match="query_tokens"):
        Blip2Captioner(change_weights(small, tmp_path, narrow))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize("fault", ["missing", "cut"])
def test_a_folder_with_a_broken_file_is_refused_with_what_to_do(small: Path, tmp_path: Path, name: str, fault: str):
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if fault == "cut":
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="how_to_get"):
        Blip2Captioner(tmp_path)


def test_another_language_model_than_opt_is_refused(small: Path, tmp_path: Path):
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    config = json.loads((small / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "text_config": {"model_type": "t5"}}))
    with pytest.raises(InputError, match="OPT"):
        Blip2Captioner(tmp_path)


def save_adapter(folder: Path, out: Path, targets: tuple[str, ...] = ("self_attn.qkv", "self_attn.projection")) -> Any:
    """Save a LoRA adapter as published (rank 16, alpha 16, dropout 0.05), with weights of a large effect."""
    torch.manual_seed(8)
    model = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    config = LoraConfig(r=16, lora_alpha=16, lora_dropout=0.05, bias="none", target_modules=list(targets))
    adapted = get_peft_model(model, config)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.2)
    adapted.save_pretrained(out)
    return adapted.eval()


def test_a_published_architecture_runs_with_its_adapter_merged(published: Path, tmp_path: Path):
    adapted = save_adapter(published, tmp_path)
    plain, captioner = Blip2Captioner(published), Blip2Captioner(published, adapter=tmp_path)
    assert not any("lora" in name for name, _ in captioner.model.named_modules())
    before = plain.model.state_dict()
    changed = [name for name, weight in captioner.model.state_dict().items() if not torch.equal(weight, before[name])]
    assert sorted(changed) == sorted(
        f"vision_model.encoder.layers.{n}.self_attn.{name}.weight" for n in range(2) for name in ("qkv", "projection")
    )
    images = draw_images(3)
    with torch.inference_mode():
        pixels = captioner.prepare(images[0])
        tuned = adapted.get_base_model().get_image_features(pixels).pooler_output
        merged = captioner.model.get_image_features(pixels).pooler_output
    assert torch.allclose(tuned, merged, atol=1e-4)
    found = draw(captioner, images, [1, 2, 3], SHORT)
    assert found[::-1] == draw(captioner, images[::-1], [3, 2, 1], SHORT)
    assert found != draw(plain, images, [1, 2, 3], SHORT)


def test_half_precision_runs_with_a_merged_adapter(published: Path, tmp_path: Path):
    save_adapter(published, tmp_path)
    captioner = Blip2Captioner(published, precision="float16", adapter=tmp_path)
    assert captioner.model.language_model.dtype == torch.float16
    assert captioner.model.vision_model.encoder.layers[0].self_attn.qkv.weight.dtype == torch.float16
    image = draw_images(1)
    assert draw(captioner, image, [1], SHORT) == draw(captioner, image, [1], SHORT)


def test_an_adapter_as_a_pickle_is_refused(published: Path, tmp_path: Path):
    save_adapter(published, tmp_path)
    torch.save(load_file(tmp_path / "adapter_model.safetensors"), tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"adapter_model\.safetensors"):
        Blip2Captioner(published, adapter=tmp_path)


def test_an_adapter_that_does_not_fit_is_refused(small: Path, published: Path, tmp_path: Path):
    save_adapter(published, tmp_path)
    with pytest.raises(InputError):
        Blip2Captioner(small, adapter=tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    name = min(weights)
    save_file({key: value for key, value in weights.items() if key != name}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match="1 missing"):
        Blip2Captioner(published, adapter=tmp_path)
    weights["base_model.model.elsewhere.lora_A.weight"] = weights[name].clone()
    save_file(weights, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match="model does not have"):
        Blip2Captioner(published, adapter=tmp_path)
