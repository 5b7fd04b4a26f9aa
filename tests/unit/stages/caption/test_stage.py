import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from schemas.fields import FIELD
from stages.caption.choice import TextParams
from stages.caption.drawing import draw_seed
from stages.caption.settings import DrawParams, RankParams
from stages.caption.stage import CHOOSE_CAPTIONS, DRAW_CAPTIONS, RANK_CAPTIONS
from stages.checks import check_outcome
from stages.contract import Context, ContractError, InputError, Outcome, Params, Stage
from stages.embed.stage import ModelResources
from stages.models.protocols import DrawSettings, Floats, ModelNotFinite
from tests.contract.handmade import BODIES
from tests.contract.inputs_caption import HANDMADE, TOOLS

Rows = list[dict[str, Any]]
WORDS = ("", "a field", "a river", "roofs", "trees", "a field near water", "a road", "bare earth")
SAMPLES = ("ben_1", "ben_2", "fmow_airport_1_0_rgb", "millionaid_P0000001", "millionaid_P0000002")


class SeededCaptioner:
    """Derives captions from the digits of a seed; fails for images wider than `limit_px`."""

    def __init__(self, limit_px: int = 1000, n_more: int = 0) -> None:
        self.limit_px, self.n_more = limit_px, n_more

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def draw(self, images: Sequence[Image.Image], seeds: Sequence[int], settings: DrawSettings) -> list[list[str]]:
        if any(image.width > self.limit_px for image in images):
            raise ModelNotFinite("the logits contain NaN")
        return [[WORDS[(seed >> 3 * n) % 8] for n in range(settings.n_candidates + self.n_more)] for seed in seeds]


class PixelScorer:
    """Uses the means of an image's halves and the letters of a text as features; NaN above `limit_px`."""

    dim = 4

    def __init__(self, limit_px: int = 1000) -> None:
        self.limit_px = limit_px

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def image_features(self, images: Sequence[Image.Image]) -> Floats:
        rows = []
        for image in images:
            values = np.asarray(image, float)
            halves = (values[: image.height // 2 + 1], values[:, : image.width // 2 + 1], values[:, :, :1], values)
            rows.append([np.nan if image.width > self.limit_px else half.mean() for half in halves])
        return self._unit(rows)

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        return self._unit([[len(text), text.count("a") - 1, text.count("e") + 1, text.count("r")] for text in texts])

    def _unit(self, rows: Sequence[Sequence[float]]) -> Floats:
        found = np.array(rows, np.float32)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


@dataclass
class Bodies:
    """Files whose bodies are in memory, by offset."""

    bodies: list[bytes] = field(default_factory=list)

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        return self.bodies[offset]


def picture(seed: int, size: tuple[int, int]) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize(size).save(out, "PNG")
    return out.getvalue()


class World:
    """Some labelled images, and runs of the stages on them."""

    def __init__(self, sizes: Mapping[str, tuple[int, int]] | None = None) -> None:
        sizes = sizes or dict.fromkeys(SAMPLES, (40, 30))
        self.files = Bodies([picture(n, size) for n, size in enumerate(sizes.values())])
        self.labelled: Rows = [
            {
                "sample_id": sample_id,
                "n_bytes": len(self.files.bodies[n]),
                "body_sha256": hashlib.sha256(self.files.bodies[n]).hexdigest(),
                "body_file": "tar",
                "body_offset": n,
            }
            for n, sample_id in enumerate(sizes)
        ]

        self.images: Rows = [
            {"image_id": sample_id, "image_format": "PNG", "width_px": width_px, "height_px": height_px}
            for sample_id, (width_px, height_px) in sizes.items()
        ]

    def run(self, stage: Stage, params: Params, tools: Mapping[str, Any], **rows: Rows) -> Outcome:
        rows = {"labelled_image": self.labelled, "image": self.images, **rows}
        inputs = {
            reads.name: pa.Table.from_pylist(
                [{name: row[name] for name in reads.columns} for row in rows[reads.name]],
                pa.schema([(name, FIELD[name].type) for name in reads.columns]),
            )
            for reads in stage.reads
        }
        context = Context("p", params, ModelResources(), tools, self.files, Path())  # type: ignore[arg-type]
        outcome = stage.run(inputs, context)
        check_outcome(stage, inputs, outcome)
        return outcome

    def draw(self, captioner: Any = None, valid: Sequence[str] = SAMPLES, **params: Any) -> Outcome:
        images = [row for row in self.images if row["image_id"] in valid]
        return self.run(
            DRAW_CAPTIONS, DrawParams(**params), {"captioner": captioner or SeededCaptioner()}, image=images
        )

    def rank(self, candidates: Rows, first: Any = None, second: Any = None, **params: Any) -> Outcome:
        tools = {"first_scorer": first or PixelScorer(), "second_scorer": second or PixelScorer()}
        return self.run(RANK_CAPTIONS, RankParams(**params), tools, caption_candidate=candidates)


def candidates_of(world: World) -> Rows:
    rows: Rows = world.draw().kept.to_pylist()
    assert len(rows) == 20 * len(world.labelled)
    return rows


def test_all_captions_of_valid_images_are_kept_including_empty_and_repeated_ones() -> None:
    outcome = World().draw(valid=SAMPLES[1:3])
    rows = outcome.kept.to_pylist()
    assert [(row["sample_id"], row["n"]) for row in rows] == [(s, n) for s in SAMPLES[1:3] for n in range(20)]
    captions = [row["candidate_caption"] for row in rows[:20]]
    assert "" in captions and len(set(captions)) < 20
    assert outcome.rejects.num_rows == 0


def test_a_seed_derives_from_the_sample_id_and_the_setting() -> None:
    digest = hashlib.sha256(b"3:ben_1").digest()
    assert draw_seed("ben_1", 3) == int.from_bytes(digest[:8], "big") < 2**64
    assert len({draw_seed(sample_id, seed) for sample_id in SAMPLES for seed in (0, 1)}) == 2 * len(SAMPLES)


def test_captions_of_an_image_do_not_depend_on_other_images() -> None:
    world = World()
    together = world.draw().kept.to_pylist()
    for sample_id in SAMPLES:
        alone = world.draw(valid=[sample_id]).kept.to_pylist()
        assert alone == [row for row in together if row["sample_id"] == sample_id]


def test_an_image_with_nan_logits_is_rejected_and_the_others_are_kept() -> None:
    world = World({"ben_1": (40, 30), "ben_2": (80, 30)})
    outcome = world.draw(SeededCaptioner(limit_px=50), valid=["ben_1", "ben_2"])
    assert outcome.rejects.to_pylist() == [
        {"sample_id": "ben_2", "n": 0, "reason": "model_not_finite", "detail": "the logits contain NaN"}
    ]
    assert set(outcome.kept["sample_id"].to_pylist()) == {"ben_1"}


def test_a_captioner_that_draws_the_wrong_number_of_captions_breaks_the_contract() -> None:
    with pytest.raises(ContractError, match="drew 21 captions, not 20"):
        World().draw(SeededCaptioner(n_more=1))


def test_an_image_file_that_was_changed_stops_the_stages() -> None:
    world = World()
    candidates = candidates_of(world)
    world.files.bodies[1] = picture(99, (40, 30))
    with pytest.raises(InputError, match="was changed"):
        world.draw()
    with pytest.raises(InputError, match="was changed"):
        world.rank(candidates)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_an_image_that_no_longer_decodes_is_rejected_and_the_others_are_kept(batch_size: int) -> None:
    world = World()
    candidates = candidates_of(world)
    whole = world.rank(candidates).kept
    world.images[1]["image_format"] = "TIFF"
    world.images[3]["width_px"] -= 1
    odd = {SAMPLES[1], SAMPLES[3]}
    drawn = world.draw(captioner_batch_size=batch_size)
    ranked = world.rank(candidates, scorer_batch_size=batch_size)
    assert {(row["sample_id"], row["n"], row["reason"]) for row in drawn.rejects.to_pylist()} == {
        (sample_id, 0, "decoding_failed") for sample_id in odd
    }
    assert {(row["sample_id"], row["n"], row["reason"]) for row in ranked.rejects.to_pylist()} == {
        (sample_id, n, "decoding_failed") for sample_id in odd for n in range(20)
    }
    assert "40 x 30, more than" in drawn.rejects["detail"].to_pylist()[1]
    assert ranked.kept.to_pylist() == [row for row in whole.to_pylist() if row["sample_id"] not in odd]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_scores_do_not_depend_on_batches_or_the_order_of_samples(batch_size: int) -> None:
    world = World(dict(zip(SAMPLES, [(40, 30), (64, 64), (1, 1), (30, 200), (33, 47)], strict=True)))
    candidates = candidates_of(world)
    expected = world.rank(candidates).kept
    world.labelled.reverse()
    assert world.rank(candidates[::-1], scorer_batch_size=batch_size).kept.equals(expected)
    assert expected.num_rows == 100 and expected["rotation_variance"].null_count < 100


def test_every_caption_has_a_row_with_nulls_for_scores_that_it_did_not_get() -> None:
    world = World()
    candidates = candidates_of(world)
    kept = world.rank(candidates, n_first=4, n_second=2).kept.to_pylist()
    assert [(row["sample_id"], row["n"]) for row in kept] == [(row["sample_id"], row["n"]) for row in candidates]
    for sample_id in SAMPLES:
        rows = [row for row in kept if row["sample_id"] == sample_id]
        texts = {row["candidate_caption"] for row in candidates if row["sample_id"] == sample_id} - {""}
        assert sorted(row["first_rank"] for row in rows if row["first_rank"]) == list(range(1, len(texts) + 1))
        assert sorted(row["second_rank"] for row in rows if row["second_rank"]) == list(
            range(1, min(4, len(texts)) + 1)
        )
        turned = [row for row in rows if row["rotation_variance"] is not None]
        assert sorted(row["second_rank"] for row in turned) == [1, 2]
        assert all(row["rotation_mean_cos"] is not None for row in turned)


@pytest.mark.parametrize(("first_px", "second_px", "said"), [(50, 1000, "first scorer"), (1000, 50, "second scorer: ")])
def test_all_captions_of_an_image_are_rejected_when_a_scorer_gives_nan(
    first_px: int, second_px: int, said: str
) -> None:
    world = World({"ben_1": (40, 30), "ben_2": (80, 30), "ben_3": (30, 30)})
    candidates = world.draw(valid=["ben_1", "ben_2", "ben_3"]).kept.to_pylist()
    outcome = world.rank(candidates, PixelScorer(first_px), PixelScorer(second_px))
    rejects = outcome.rejects.to_pylist()
    assert [(row["sample_id"], row["n"]) for row in rejects] == [("ben_2", n) for n in range(20)]
    assert {row["reason"] for row in rejects} == {"model_not_finite"}
    assert all(row["detail"].startswith(said) for row in rejects)
    assert set(outcome.kept["sample_id"].to_pylist()) == {"ben_1", "ben_3"}


def test_an_image_of_one_pixel_is_captioned_and_ranked() -> None:
    world = World({"ben_1": (1, 1)})
    rows = world.rank(world.draw(valid=["ben_1"]).kept.to_pylist()).kept.to_pylist()
    assert {row["rotation_variance"] for row in rows if row["rotation_variance"] is not None} == {0.0}
    assert sum(row["rotation_variance"] is not None for row in rows) == 5


def test_a_changed_choice_leaves_drawing_and_ranking_current() -> None:
    stages = (DRAW_CAPTIONS, RANK_CAPTIONS, CHOOSE_CAPTIONS)
    fields = [set(stage.params.model_fields) - set(TextParams.model_fields) for stage in stages]
    # All three change with the captioner: it draws the texts, and its licence is recorded beside the chosen one.
    assert {"choice"} <= fields[2] and not fields[0] & fields[1]
    assert fields[2] & (fields[0] | fields[1]) == {"captioner"}


@pytest.mark.parametrize("stage", [DRAW_CAPTIONS, RANK_CAPTIONS, CHOOSE_CAPTIONS], ids=lambda stage: stage.name)
def test_handmade_inputs_of_the_contract_tests_give_every_reason(stage: Stage, tmp_path: Path) -> None:
    make: Callable[[Path], Any] = HANDMADE[stage.name]
    world = World()
    with make(tmp_path) as handmade:
        world.files.bodies = list(BODIES)
        outcome = world.run(stage, stage.params(**handmade.params), TOOLS, **handmade.rows)
    assert outcome.kept.num_rows > 0
    assert set(outcome.rejects["reason"].to_pylist()) == set(stage.reasons)
