from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from flows.ask.views import open_views
from flows.detector.digests import Digests, write_used
from flows.detector.examples import Example
from flows.detector.used import detector_folder, say_used
from flows.rate.sample import allocate, draw
from flows.rate.strata import _OUTLIERS
from stages.contract import InputError
from stages.rows import run_sql
from tests.small_build import Build


def test_items_are_proportional_to_strata_with_at_least_one() -> None:
    assert allocate({"ben": 344, "fmow": 727, "millionaid": 991, "tiny": 1}, 200, is_even=False) == {
        "ben": 33, "fmow": 70, "millionaid": 96, "tiny": 1,
    }  # fmt: skip


def test_half_of_the_items_are_even_and_no_stratum_gives_more_than_it_has() -> None:
    places = allocate({"kept": 9_000, "low": 1_000, "rare": 5}, 100, is_even=True)
    assert sum(places.values()) == 100 and places["rare"] == 5 and places["low"] >= 20 and places["kept"] >= 60
    assert allocate({"a": 2, "b": 3}, 100, is_even=True) == {"a": 2, "b": 3}
    assert allocate({"a": 9, "b": 9, "c": 9}, 1, is_even=True) == {"a": 1, "b": 1, "c": 1}


TASKS = ["rating rs3", "rating pub11", "audit_filter", "audit_outliers", "audit_dedup", "audit_caption", "audit_gpe"]


@pytest.mark.parametrize("name", TASKS)
def test_the_sample_is_seeded_and_its_strata_cover_the_build(finished: Build, name: str) -> None:
    first, again, other = (draw(finished.ledger(), name, 8, seed, is_even=True) for seed in ("0", "0", "1"))
    assert first == again and len(first.items) >= 5
    assert [item.item for item in first.items] != [item.item for item in other.items]
    assert Counter(item.stratum for item in first.items) == {s.name: s.n_drawn for s in first.strata}
    assert all(1 <= s.n_drawn <= s.size for s in first.strata)
    has_pictures = name not in ("audit_filter", "audit_gpe")
    assert all((len(item.pictures) > 0) == has_pictures and None not in item.pictures for item in first.items)
    assert all((item.text is None) == (name in ("audit_outliers", "audit_dedup")) for item in first.items)


def test_a_larger_sample_keeps_the_items_of_a_smaller_one(finished: Build) -> None:
    small, large = (draw(finished.ledger(), "rating pub11", n, "0", is_even=False) for n in (6, 12))
    assert len(small.items) < len(large.items)
    assert {item.item for item in small.items} <= {item.item for item in large.items}


def test_strata_of_the_outliers_contain_every_survivor_with_its_decision(finished: Build) -> None:
    drawn = draw(finished.ledger(), "audit_outliers", 10_000, "0", is_even=True)
    ledger = finished.ledger()
    receipt = ledger.state(ledger.writer["relevant"]).receipts[0]
    n_by = Counter(item.decision for item in drawn.items)
    assert n_by == {"kept": receipt.n_kept, "rejected": sum(receipt.rejected.values())}
    assert {s.decision for s in drawn.strata if s.name.startswith("kept")} == {"kept"}
    assert any("near" in s.name for s in drawn.strata)
    assert all(set(item.facts) == {"vlm_score_cos", "detector_prob"} for item in drawn.items)


def test_no_sample_without_scores_is_near_a_threshold() -> None:
    tables = {
        "outlier_rule": {"score": ["vlm", "detector"], "threshold": [None, 0.5], "n_at_least": [1, 1]},
        "survivor": {"sample_id": ["a", "b"], "image_id": ["a", "b"]},
        "image": {"image_id": ["a", "b"], "pixel_sha256": ["a", "b"]},
        "vlm_score": {"pixel_sha256": pa.array([], pa.string()), "vlm_score_cos": pa.array([], pa.float32())},
        "detector_score": {"pixel_sha256": ["a"], "detector_prob": [0.9]},
        "relevant": {"sample_id": ["a", "b"]},
        "relevant_rejects": {"sample_id": pa.array([], pa.string()), "reason": pa.array([], pa.string())},
    }
    found = run_sql(_OUTLIERS, {name: pa.table(columns) for name, columns in tables.items()})
    assert dict(zip(found["item"].to_pylist(), found["stratum"].to_pylist(), strict=True)) == {
        "a": "kept, near a threshold", "b": "kept",
    }  # fmt: skip


def test_training_images_of_the_detector_are_left_out_of_the_audit_of_outliers(
    finished: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models/demo-yolo"
    folder.mkdir(parents=True)
    build = finished.with_settings(outliers={"models": str(folder.parent)})
    whole = draw(build.ledger(), "audit_outliers", 10_000, "0", is_even=True)
    used = sorted(item.item for item in whole.items)[:2]
    with open_views(build.ledger()) as db:
        rows = db.execute(
            "SELECT body_sha256, phash FROM survivor JOIN image USING (image_id) WHERE sample_id IN"
            " (SELECT unnest(?::VARCHAR[])) ORDER BY sample_id",
            [used],
        ).fetchall()
    hashes = np.array([~np.uint64(rows[0][1]), rows[1][1]], np.uint64)  # one by its file, one by its hash
    digests = Digests([rows[0][0], "of another file"], hashes)
    write_used(folder, ["train", "val"], [Example(Path("x.jpg"), "rs", "s", "k")] * 2, digests)
    drawn = draw(build.ledger(), "audit_outliers", 10_000, "0", is_even=True)
    assert drawn.n_used >= 2 and not {item.item for item in drawn.items} & set(used)
    assert sum(s.size for s in drawn.strata) == sum(s.size for s in whole.strata) - drawn.n_used
    assert (
        detector_folder(build.ledger()) == folder
        and whole.n_used == draw(build.ledger(), "audit_dedup", 8, "0", is_even=True).n_used == 0
    )
    say_used(folder, drawn.n_used, Console())
    assert f": {drawn.n_used} images" in " ".join(capsys.readouterr().out.split())


def test_a_removed_sample_is_shown_beside_its_survivor_and_a_kept_one_beside_its_nearest(finished: Build) -> None:
    drawn = draw(finished.ledger(), "audit_dedup", 10_000, "0", is_even=True)
    by_name = {item.item: item for item in drawn.items}
    assert by_name["coyo700m_0_1"].stratum.startswith("near_duplicate") and len(by_name["coyo700m_0_1"].pictures) == 2
    assert by_name["laion2b_0_0"].stratum == "url_duplicate"
    kept = [item for item in drawn.items if item.decision == "kept"]
    assert kept and all(item.other_id != item.sample_id and item.other_id in by_name for item in kept)


def test_a_marked_sample_is_shown_beside_the_picture_of_the_evaluation_set(finished: Build) -> None:
    drawn = draw(finished.ledger(), "audit_contamination", 10_000, "0", is_even=True)
    marked = {(row["sample_id"], row["evaluation_set"]) for row in finished.rows("contaminated")}
    assert {(item.sample_id, str(item.other_id).partition("/")[0]) for item in drawn.items} == marked
    assert all(item.decision == "marked" and len(item.pictures) == 2 for item in drawn.items)
    outside = [item.pictures[1] for item in drawn.items if item.pictures[1]]
    assert outside and all(place.is_outside and Path(place.file).stat().st_size == place.n_bytes for place in outside)


def test_a_build_without_the_stage_says_which_to_run(small_sources: object, tmp_path: object) -> None:
    build = Build(tmp_path / "empty", small_sources)  # type: ignore[operator,arg-type]
    with pytest.raises(InputError, match="make stage-outliers"):
        draw(build.ledger(), "audit_outliers", 10, "0", is_even=True)
