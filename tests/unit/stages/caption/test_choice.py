from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from stages.caption.choice import ChooseParams
from stages.caption.stage import CHOOSE_CAPTIONS
from stages.checks import check_outcome
from stages.contract import Context, Outcome

Scored = tuple[str, int | None, float | None]  # caption, rank by the second scorer, variance


def choose(samples: dict[str, list[Scored]], released: dict[str, str | None] | None = None, **params: Any) -> Outcome:
    rows = [
        {"sample_id": s, "n": n, "candidate_caption": text, "second_rank": rank, "rotation_variance": variance}
        for s, captions in samples.items()
        for n, (text, rank, variance) in enumerate(captions)
    ]
    images = [
        {"sample_id": s, "image_id": s, "released_caption": text}
        for s, text in (released or dict.fromkeys(samples)).items()
    ]
    inputs = {
        reads.name: pa.Table.from_pylist(
            [
                {name: row[name] for name in reads.columns}
                for row in (rows if reads.name.startswith("caption") else images)
            ],
            pa.schema([(name, FIELD[name].type) for name in reads.columns]),
        )
        for reads in CHOOSE_CAPTIONS.reads
    }
    outcome = CHOOSE_CAPTIONS.run(inputs, Context("p", ChooseParams(**params), None, {}, None, Path()))  # type: ignore[arg-type]
    check_outcome(CHOOSE_CAPTIONS, inputs, outcome)
    return outcome


RANKED: list[Scored] = [
    ("", None, None),
    ("second", 2, 0.2),
    ("sixth", 6, None),
    ("best", 1, 0.3),
    ("stillest", 3, 0.1),
    ("best", None, None),
]
MANY = {f"ben_{n}": RANKED for n in range(1000)}


@pytest.mark.parametrize(("choice", "expected"), [("top", "best"), ("invariant", "stillest")])
def test_the_best_and_the_most_invariant_caption_are_kept_and_the_setting_publishes_one(
    choice: str, expected: str
) -> None:
    (row,) = choose({"ben_1": RANKED}, choice=choice).kept.to_pylist()
    assert row == {
        "sample_id": "ben_1",
        "top_caption": "best",
        "invariant_caption": "stillest",
        "generated_caption": expected,
        "caption_model_licence": "OPT-175B License Agreement (OPT-6.7B), non-commercial research only",
    }


def test_with_equal_variances_the_better_ranked_caption_is_the_invariant_one() -> None:
    (row,) = choose({"ben_1": [("b", 2, 0.1), ("c", 3, 0.1), ("a", 1, 0.2)]}).kept.to_pylist()
    assert (row["top_caption"], row["invariant_caption"]) == ("a", "b")


def test_either_publishes_each_of_both_for_about_half_of_the_samples() -> None:
    chosen = choose(MANY).kept["generated_caption"].to_pylist()
    assert len(chosen) == 1000 and set(chosen) == {"best", "stillest"}
    assert 450 < chosen.count("best") < 550  # three standard deviations are 47


def test_the_choice_of_either_depends_only_on_the_sample_id_and_the_seed() -> None:
    rows = choose(MANY).kept.to_pylist()
    for row in rows[::50]:
        assert choose({row["sample_id"]: RANKED}).kept.to_pylist() == [row]
    other = choose(MANY, choice_seed=1).kept.to_pylist()
    assert 400 < sum(a != b for a, b in zip(rows, other, strict=True)) < 600


def test_a_sample_without_a_nonempty_caption_is_rejected() -> None:
    outcome = choose({"ben_1": [("", None, None)] * 20, "ben_2": RANKED})
    assert outcome.rejects.to_pylist() == [
        {"sample_id": "ben_1", "reason": "no_caption_generated", "detail": "20 captions, all empty"}
    ]
    assert outcome.kept["sample_id"].to_pylist() == ["ben_2"]


def test_a_sample_with_one_caption_has_it_for_both() -> None:
    (row,) = choose({"ben_1": [("", None, None), ("only", 1, 0.0)]}).kept.to_pylist()
    assert {row[name] for name in ("top_caption", "invariant_caption", "generated_caption")} == {"only"}


def test_no_samples_give_an_empty_table() -> None:
    outcome = choose({})
    assert outcome.kept.num_rows == outcome.rejects.num_rows == 0


RELEASED: dict[str, str | None] = {"ben_1": "a field, as released", "ben_2": "  ", "ben_3": "roofs"}


def test_released_texts_are_published_unchanged() -> None:
    found = choose({}, RELEASED, texts="released")
    assert [(row["sample_id"], row["generated_caption"]) for row in found.kept.to_pylist()] == [
        ("ben_1", "a field, as released"), ("ben_3", "roofs")
    ]  # fmt: skip
    (lost,) = found.rejects.to_pylist()
    assert (lost["sample_id"], lost["reason"], lost["detail"]) == (
        "ben_2", "no_caption_generated", "no text was released"
    )  # fmt: skip


def test_a_released_image_without_a_drawn_caption_is_accounted_for() -> None:
    found = choose({"ben_1": RANKED}, RELEASED, choice="top")
    assert found.kept["generated_caption"].to_pylist() == ["best"]
    assert found.rejects["sample_id"].to_pylist() == ["ben_2", "ben_3"]
    assert set(found.rejects["detail"].to_pylist()) == {"no caption was drawn"}
