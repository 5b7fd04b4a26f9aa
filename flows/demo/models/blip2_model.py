"""The untrained demo captioner: BLIP-2's architecture at a small size, and a tokenizer for its captions.

Not for training it (flows/demo/models/blip2.py).
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

SIDE_PX = 64
SPECIAL = START, PAD, END, UNKNOWN, IMAGE = "<s>", "<pad>", "</s>", "<unk>", "<image>"
START_ID, PAD_ID, END_ID, IMAGE_ID = 0, 1, 2, 4
MOST_TOKENS = 800
N_QUERIES = 8
MAX_POSITIONS = 64  # 8 queries, the start token and 50 new tokens fit
SPREAD = 0.02  # initial standard deviation; the library's 1e-10 for the vision encoder assumes published weights


def train_tokenizer(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on captions, like OPT's; its alphabet is the bytes that occur."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MOST_TOKENS, special_tokens=list(SPECIAL), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(captions, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, pad_token=PAD, eos_token=END, unk_token=UNKNOWN,
        extra_special_tokens={"image_token": IMAGE},
    )  # fmt: skip


def build_model(n_tokens: int) -> Blip2ForConditionalGeneration:
    """Return the untrained model; torch's seed determines its weights."""
    vision = Blip2VisionConfig(
        hidden_size=96, intermediate_size=288, num_hidden_layers=4, num_attention_heads=4, image_size=SIDE_PX,
        patch_size=8, initializer_range=SPREAD,
    )  # fmt: skip
    qformer = Blip2QFormerConfig(
        vocab_size=1, hidden_size=96, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192,
        encoder_hidden_size=vision.hidden_size, cross_attention_frequency=1, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    language = OPTConfig(
        vocab_size=n_tokens, hidden_size=96, ffn_dim=384, num_hidden_layers=3, num_attention_heads=4,
        word_embed_proj_dim=96, max_position_embeddings=MAX_POSITIONS, dropout=0.1, bos_token_id=START_ID,
        pad_token_id=PAD_ID, eos_token_id=END_ID,
    )  # fmt: skip
    config = Blip2Config(
        vision_config=vision, qformer_config=qformer, text_config=language, num_query_tokens=N_QUERIES,
        image_token_index=IMAGE_ID, initializer_range=SPREAD,
    )  # fmt: skip
    model = Blip2ForConditionalGeneration(config)
    # Queries that start equal stay equal: nothing else distinguishes them.
    torch.nn.init.normal_(model.query_tokens, std=1.0)
    return model


def save(model: Blip2ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write model (as float16), tokenizer and image processor in the layout of published weights."""
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    BlipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}).save_pretrained(folder)
