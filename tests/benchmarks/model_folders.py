"""Model folders with the published architectures and sizes and random weights, which cost as much as trained ones.

Not for results: they are meaningless with random weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from stages.models.lite0_detector import ARCHITECTURE, N_FEATURES
from stages.models.weights import DIGESTS, file_digest, weight_files

# By name in manifests/models.toml: open_clip's name of the architecture.
OPEN_CLIP = {
    "clip-convnext-xxl": "convnext_xxlarge",
    "clip-vit-h-14": "ViT-H-14",
    "clip-rn50x64": "RN50x64-quickgelu",
}
OPT_6_7B = {"hidden_size": 4096, "word_embed_proj_dim": 4096, "ffn_dim": 16384, "num_hidden_layers": 32}
N_TOKENS, LINE_END, IMAGE_TOKEN = 50_304, 50_118, 50_265


def write_folder(name: str, models: Path) -> Path:
    """Write the folder of a model unless it exists, and return it."""
    folder = models / name
    if not (folder / DIGESTS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        makers: dict[str, Callable[[Path], None]] = {
            "blip2-opt-6.7b": _write_blip2, "rs-detector": _write_detector, "rs-lite0": _write_lite0
        }  # fmt: skip
        makers.get(name, lambda folder: _write_open_clip(name, folder))(folder)
        lines = [f"{file_digest(path)}  {path.relative_to(folder).as_posix()}" for path in weight_files(folder)]
        (folder / DIGESTS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        torch.cuda.empty_cache()
    return folder


def _write_open_clip(name: str, folder: Path) -> None:
    import open_clip
    from open_clip.model import CLIP

    config: dict[str, Any] = open_clip.get_model_config(OPEN_CLIP[name])
    known = {key: config[key] for key in ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu") if key in config}
    torch.manual_seed(0)
    with torch.device(_device()):
        model = CLIP(**{key: dict(value) if isinstance(value, dict) else value for key, value in known.items()})
    weights = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    save_file(weights, folder / "open_clip_model.safetensors", {"format": "pt"})
    content = {"model_cfg": known, "preprocess_cfg": {"interpolation": "bicubic", "resize_mode": "shortest"}}
    (folder / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")


def _write_blip2(folder: Path) -> None:
    from transformers import Blip2Config, Blip2ForConditionalGeneration, OPTConfig
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    language = OPTConfig(vocab_size=N_TOKENS, num_attention_heads=32, eos_token_id=LINE_END, **OPT_6_7B)
    # By default the vision encoder and the Q-Former have the published sizes.
    config = Blip2Config(vision_config={"initializer_range": 0.02}, text_config=language, image_token_index=IMAGE_TOKEN)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device(_device()):
            model = Blip2ForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.half().save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    BlipImageProcessorPil(size={"height": 224, "width": 224}).save_pretrained(folder)
    _write_adapter(model, folder / "rsitmd-lora")


def _write_adapter(model: Any, folder: Path) -> None:
    """Write a LoRA adapter of the published shape: rank 16, on the vision encoder's attention."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=16, lora_alpha=16, bias="none", target_modules=["self_attn.qkv", "self_attn.projection"])
    get_peft_model(model, config).save_pretrained(folder)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"word{number}": number for number in range(N_TOKENS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="word3"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="word0", pad_token="word1", eos_token="word2", unk_token="word3",
        extra_special_tokens={"image_token": f"word{IMAGE_TOKEN}"},
    )  # fmt: skip


def _write_detector(folder: Path) -> None:
    from tests.random_detector import make_folder, published

    # The largest classifier of its family, with its published depth, width and input size of 224 px.
    full = {"x": [1.0, 1.5, 512]}
    make_folder(folder, published("11/yolo11-cls.yaml", "x", 1.5, scales=full, input_px=224))


def _write_lite0(folder: Path) -> None:
    import timm

    torch.manual_seed(0)
    network = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0).state_dict()
    head = {"head.weight": torch.randn(N_FEATURES), "head.bias": torch.zeros(1)}
    save_file({**network, **head}, folder / "model.safetensors", {"format": "pt"})


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
