from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.manifests import Grammar, load_prompts
from stages.contract import Context
from stages.outliers.scores import SCORE_VLM, PromptParams, chosen_prompts, mean_direction

PROMPTS = load_prompts()


@pytest.mark.parametrize("grammar", ["published", "english"])
def test_the_prompts_of_one_grammar_are_averaged(grammar: Grammar) -> None:
    texts = PROMPTS.all_texts()
    chosen = chosen_prompts(texts, grammar)
    assert {text for text, is_in in zip(texts, chosen, strict=True) if is_in} == set(PROMPTS.texts(grammar))
    features = np.random.default_rng(0).normal(size=(len(texts), 4)).astype(np.float32)
    inputs = {
        "embedding": pa.table({
            "pixel_sha256": ["p"], "image_feature": pa.array([[1.0, 0.0, 0.0, 0.0]], pa.list_(pa.float16())),
        }),
        "prompt": pa.table({"prompt": list(texts), "prompt_feature": list(features)}),
    }  # fmt: skip
    params = PromptParams(prompt_grammar=grammar)
    outcome = SCORE_VLM.run(inputs, Context("whole", params, None, {}, None, Path()))  # type: ignore[arg-type]
    expected = mean_direction(features[[texts.index(text) for text in PROMPTS.texts(grammar)]], "normalised")[0]
    assert outcome.kept["vlm_score_cos"].to_pylist() == pytest.approx([expected], abs=1e-6)


def test_prompts_that_no_manifest_has_are_averaged_too() -> None:
    assert chosen_prompts(["one", "a aerial image", "an aerial image"], "english").tolist() == [True, False, True]
