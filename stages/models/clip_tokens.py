"""Counts the tokens of texts as CLIP's text encoder sees them; the merges come with the package open_clip."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

_MERGES = "bpe_simple_vocab_16e6.txt.gz"
_N_MERGES = 49_152 - 256 - 2  # number of the file's lines that CLIP uses: its vocabulary without bytes, begin and end
_END = "</w>"
# CLIP's split into words. Source: Radford et al. 2021, `simple_tokenizer.py`.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Return the number of each text's tokens, with begin and end; broken encodings are not repaired first."""
    return [len(found.ids) + 2 for found in _tokenizer().encode_batch(list(texts))]


@cache
def _tokenizer() -> Any:
    """Return CLIP's tokenizer, built from its merges: importing open_clip would import torch."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("open_clip_torch has CLIP's vocabulary: pip install 'rs5m-rebuild[models]'")
    text = gzip.decompress(Path(spec.origin).with_name(_MERGES).read_bytes()).decode()
    pairs = [line.split() for line in text.split("\n")[1 : _N_MERGES + 1]]
    letters = list(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(letter + _END for letter in letters), *("".join(pair) for pair in pairs)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[(a, b) for a, b in pairs], end_of_word_suffix=_END, fuse_unk=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
