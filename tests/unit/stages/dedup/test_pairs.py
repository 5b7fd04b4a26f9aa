"""Pairs of pictures: found by vectors, compared by keypoints, judged by inliers, place and date."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from schemas.fields import FIELD
from stages.checks import check_outcome
from stages.contract import Context, InputError, Outcome, Stage
from stages.dedup.judging import JUDGE_PAIRS
from stages.dedup.pairs import COMPARE_PAIRS, FIND_PAIRS
from stages.dedup.settings import PairParams
from stages.dedup.summaries import SUMMARISE_KEYPOINTS
from tests.contract.handmade import samples_of
from tests.unit.stages.images.test_keypoints import cut, draw
from tests.unit.stages.images.test_windows import draw as draw_coarse

PICTURES: dict[str, Callable[[], Image.Image]] = {
    "a": lambda: draw(1),
    "b": lambda: cut(draw(1), 0.15),
    "c": lambda: draw(2),
    "d": lambda: ImageOps.mirror(cut(draw(2), 0.1)),
    "e": lambda: draw(3),
}


class Bodies:
    """Reads bodies by the number in their address."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.read_of: list[str] = []

    def add(self, name: str, image: Image.Image) -> dict[str, Any]:
        out = io.BytesIO()
        image.save(out, "PNG")
        body = self.bodies[name] = out.getvalue()
        facts = {
            "n_bytes": len(body),
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "body_file": name,
            "body_offset": 0,
        }
        size = {"width_px": image.width, "height_px": image.height}
        return {
            "pixel_sha256": name,
            "image_id": name,
            "image_format": "PNG",
            **size,
            **facts,
            "partition": "000-00000",
        }

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        self.read_of.append(address)
        return self.bodies[address]


def run(stage: Stage, rows: dict[str, list[dict[str, Any]]], files: Any = None, **params: Any) -> Outcome:
    inputs = {}
    for reads in stage.reads:
        schema = pa.schema([(name, FIELD[name].type) for name in reads.columns])
        given = [{name: row.get(name) for name in reads.columns} for row in rows.get(reads.name, [])]
        inputs[reads.name] = pa.Table.from_pylist(given, schema)
    outcome = stage.run(inputs, Context("whole", stage.params(**params), None, {}, files, Path()))
    check_outcome(stage, inputs, outcome)
    return outcome


@pytest.fixture(scope="module")
def bodies() -> Bodies:
    return Bodies()


@pytest.fixture(scope="module")
def tables(bodies: Bodies) -> dict[str, list[dict[str, Any]]]:
    """All tables of five pictures, up to the judged pairs."""
    pictures = [bodies.add(name, make()) for name, make in PICTURES.items()]
    image = [
        {
            **row,
            "phash": h << 20,
            "phash_orientations": [(h << 20) ^ (n * 0x0F0F0F) for n in range(8)],
            "phash_detail": 1.0,
        }
        for row, h in zip(pictures, [3, 3 << 8, 3 << 16, 0xFF, 0xFF << 12], strict=True)
    ]
    found: dict[str, list[dict[str, Any]]] = {
        "picture": pictures,
        "image": image,
        "sample": samples_of({f"cc3m_0_{n}": row["image_id"] for n, row in enumerate(pictures)}),
    }
    found["keypoint_summary"] = run(SUMMARISE_KEYPOINTS, found, bodies).kept.to_pylist()
    options = {"method": "keypoints", "candidates": "keypoints"}
    found["pair_side"] = run(FIND_PAIRS, found, **options, min_summary_cos=0.0, max_distance=0).kept.to_pylist()
    found["picture_pair"] = run(COMPARE_PAIRS, found, bodies, method="keypoints").kept.to_pylist()
    found["candidate"] = [{"sample_id": f"cc3m_0_{n}"} for n in range(len(pictures))]
    return found


def test_copies_agree_and_other_pictures_do_not(tables: dict[str, list[dict[str, Any]]]) -> None:
    pairs = {row["pair_id"]: row for row in tables["picture_pair"]}
    assert {"a-b", "c-d"} <= set(pairs)
    assert {name for name, row in pairs.items() if row["n_inliers"] >= 16} == {"a-b", "c-d"}
    assert (pairs["c-d"]["is_pair_mirrored"], pairs["a-b"]["is_pair_mirrored"]) == (True, False)
    kinds = {row["pair_id"]: row["pair_kind"] for row in run(JUDGE_PAIRS, tables, method="keypoints").kept.to_pylist()}
    assert {name for name, kind in kinds.items() if kind == "copy"} == {"a-b", "c-d"}
    assert set(kinds) == set(pairs) and set(kinds.values()) <= {"copy", "unlike"}


def test_captioned_copies_are_pairs_of_windows_and_copies_without_inliers() -> None:
    bodies = Bodies()
    own = draw_coarse(1)
    strip = own.copy()
    strip.paste((20, 20, 20), (0, round(strip.height * 0.88), strip.width, strip.height))
    pictures = [bodies.add(name, image) for name, image in (("a", own), ("f", strip), ("g", draw_coarse(5)))]
    hashes = {name: n << 20 | 0xFFF << 8 * n for n, name in enumerate("afg")}
    image = [
        {
            **row,
            "phash": hashes[row["image_id"]],
            "phash_orientations": [hashes[row["image_id"]]] * 8,
            "phash_detail": 1.0,
        }
        for row in pictures
    ]
    spine = samples_of({f"cc3m_0_{n}": row["image_id"] for n, row in enumerate(pictures)})
    found: dict[str, list[dict[str, Any]]] = {"picture": pictures, "image": image, "sample": spine}
    found["keypoint_summary"] = run(SUMMARISE_KEYPOINTS, found, bodies).kept.to_pylist()
    options = {"method": "keypoints", "candidates": "keypoints", "max_distance": 0}
    options |= {"min_summary_cos": 1, "min_first_cos": 1}
    found["pair_side"] = run(FIND_PAIRS, found, **options).kept.to_pylist()
    assert [(row["pair_id"], row["pair_source"]) for row in found["pair_side"]] == [("a-f", "windows")] * 2
    assert -1 <= found["pair_side"][0]["feature_cos"] <= 1
    assert not run(FIND_PAIRS, {**found, "keypoint_summary": _plain(found)}, **options).kept.num_rows
    compared = run(COMPARE_PAIRS, found, bodies, method="keypoints").kept.to_pylist()
    assert compared[0]["window_correlation"] >= 0.7
    unmatched = [{**compared[0], "n_inliers": 0}]
    for correlation, source, kind in (
        (0.7, "windows", "copy"),
        (0.69, "windows", "unlike"),
        (0.9, "keypoints", "unlike"),
    ):
        sides = [{**row, "pair_source": source} for row in found["pair_side"]]
        tables = {**found, "pair_side": sides, "picture_pair": [{**unmatched[0], "window_correlation": correlation}]}
        assert [row["pair_kind"] for row in run(JUDGE_PAIRS, tables, method="keypoints").kept.to_pylist()] == [kind]


@pytest.mark.parametrize(
    ("n_inliers", "correlation", "kind"),
    [
        *((5, 0.985, "copy"), (4, 0.99, "unlike"), (11, 0.98, "unlike")),
        *((12, 0.97, "copy"), (23, 0.96, "unlike"), (24, 0.0, "copy")),
    ],
)
def test_few_inliers_make_a_copy_if_the_aligned_pictures_correlate(
    tables: dict[str, list[dict[str, Any]]], n_inliers: int, correlation: float, kind: str
) -> None:
    facts = {"n_inliers": n_inliers, "pair_correlation": correlation, "window_correlation": 0.0}
    changed = {**tables, "picture_pair": [{**row, **facts} for row in tables["picture_pair"]]}
    assert {row["pair_kind"] for row in run(JUDGE_PAIRS, changed, method="keypoints").kept.to_pylist()} == {kind}


@pytest.mark.parametrize(
    ("n_inliers", "pair_distance", "window_distance", "kind"),
    [
        *((24, 14.0, 99.0, "copy"), (24, 14.1, 0.0, "unlike"), (24, None, 99.0, "copy"), (47, 14.1, 99.0, "unlike")),
        *((48, 28.0, 99.0, "copy"), (48, 28.1, 99.0, "unlike"), (400, 99.0, 99.0, "unlike"), (48, None, 99.0, "copy")),
        *((0, None, 14.0, "copy"), (0, 0.0, 14.1, "unlike")),
    ],
)
def test_colours_of_copies_may_differ_more_if_many_places_agree_but_not_at_will(
    tables: dict[str, list[dict[str, Any]]],
    n_inliers: int,
    pair_distance: float | None,
    window_distance: float,
    kind: str,
) -> None:
    colours = {"pair_colour_distance": pair_distance, "window_colour_distance": window_distance}
    facts = {"n_inliers": n_inliers, "pair_correlation": 0.0, "window_correlation": 0.0 if n_inliers else 0.9}
    changed = {
        **tables,
        "pair_side": [{**row, "pair_source": "windows"} for row in tables["pair_side"]],
        "picture_pair": [{**row, **facts, **colours} for row in tables["picture_pair"]],
    }
    assert {row["pair_kind"] for row in run(JUDGE_PAIRS, changed, method="keypoints").kept.to_pylist()} == {kind}


def test_colours_are_compared_where_the_pictures_agree(tables: dict[str, list[dict[str, Any]]]) -> None:
    distances = {row["pair_id"]: row["pair_colour_distance"] for row in tables["picture_pair"]}
    assert distances["a-b"] <= 5 and distances["c-d"] <= 5  # a window, and a mirrored copy
    assert all(value is None or value >= 0 for value in distances.values())


def test_near_features_and_near_insides_are_united(tables: dict[str, list[dict[str, Any]]]) -> None:
    features = [[1.0, 0, 0], [0.99, 0.1, 0], [0, 1.0, 0], [0, 0.2, 1.0], [0, 0, 1.0]]
    embedding = [{"pixel_sha256": n, "image_feature": f} for n, f in zip(PICTURES, features, strict=True)]
    # The insides of two pictures, of which one is near another by features too, have equal hashes.
    equal = {
        "a": [1, 0xFFFF, 0xFFFF << 16],
        "b": [1, 0xFFFF << 32, 0xFFFF << 40],
        "e": [0xFFFF << 48, 0xFFFF, 0xFF << 20],
    }
    known = [
        {
            **row,
            "window_hashes": equal.get(row["pixel_sha256"], [0xFFFF << n * 16 for n in range(3)]),
            "window_details": [1.0 if row["pixel_sha256"] in equal else 0.0] * 3,
        }
        for row in tables["keypoint_summary"]
    ]
    given = {**tables, "embedding": embedding, "keypoint_summary": known}
    options = {"method": "keypoints", "max_distance": 0}
    sources = {
        candidates: {
            row["pair_id"]: row["pair_source"]
            for row in run(FIND_PAIRS, given, **options, candidates=candidates).kept.to_pylist()
        }
        for candidates in ("features", "both")
    }
    assert sources["features"] == {"a-b": "embedding", "d-e": "embedding"}
    assert sources["both"] == {"a-b": "windows", "a-e": "windows", "d-e": "embedding"}


def _plain(tables: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{**row, "window_details": [0.01] * 3} for row in tables["keypoint_summary"]]


def test_a_smaller_cosine_than_the_least_makes_no_pair(tables: dict[str, list[dict[str, Any]]]) -> None:
    options = {"method": "keypoints", "candidates": "keypoints", "max_distance": 0}
    found = run(FIND_PAIRS, tables, **options, min_summary_cos=0.35, min_first_cos=0.45).kept.to_pylist()
    assert {"a-b", "c-d"} <= {row["pair_id"] for row in found} and all(row["feature_cos"] >= 0.35 for row in found)
    assert run(FIND_PAIRS, tables, **options, min_summary_cos=0.999, min_first_cos=0.999).kept.num_rows == 0


def test_the_nearest_picture_is_compared_from_a_smaller_cosine_on(tables: dict[str, list[dict[str, Any]]]) -> None:
    options = {"method": "keypoints", "candidates": "keypoints", "max_distance": 0, "min_summary_cos": 0.999}
    found = run(FIND_PAIRS, tables, **options, min_first_cos=0.45).kept["pair_id"].to_pylist()
    assert {"a-b", "c-d"} <= set(found)


def test_pictures_of_one_cluster_by_hash_are_not_compared(tables: dict[str, list[dict[str, Any]]]) -> None:
    near = [{**row, "phash": 5, "phash_orientations": [5] * 8} for row in tables["image"][:2]] + tables["image"][2:]
    options = {"method": "keypoints", "candidates": "keypoints", "max_distance": 0}
    found = run(FIND_PAIRS, {**tables, "image": near}, **options, min_summary_cos=-1)
    assert "a-b" not in found.kept["pair_id"].to_pylist() and "c-d" in found.kept["pair_id"].to_pylist()


def test_features_of_embed_find_pairs_too_and_are_needed_where_they_are_asked_for(
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    features = [[1.0, 0, 0], [0.99, 0.1, 0], [0, 1.0, 0], [0, 0.2, 1.0], [0, 0, 1.0]]
    embedding = [{"pixel_sha256": n, "image_feature": f} for n, f in zip(PICTURES, features, strict=True)]
    for method in ("keypoints", "features"):
        found = run(FIND_PAIRS, {**tables, "embedding": embedding}, method=method, max_distance=0).kept.to_pylist()
        assert {row["pair_id"] for row in found} == {"a-b", "d-e"} and {row["pair_source"] for row in found} == {
            "embedding"
        }
        assert sorted(row["side"] for row in found) == [0, 0, 1, 1]
    for candidates in ("features", "both"):
        with pytest.raises(InputError, match=r'expected dedup\.candidates = "keypoints", or dedup\.method = "hashes"'):
            run(FIND_PAIRS, tables, method="keypoints", candidates=candidates)
    with pytest.raises(
        InputError, match=r'expected dedup\.method = "keypoints" with dedup\.candidates = "keypoints", or'
    ):
        run(FIND_PAIRS, tables, method="features")
    judged = run(JUDGE_PAIRS, {**tables, "pair_side": found, "picture_pair": []}, method="features").kept.to_pylist()
    found_kinds = [(row["pair_id"], row["pair_kind"], row["n_inliers"]) for row in judged]
    assert found_kinds == [("a-b", "copy", None), ("d-e", "copy", None)]


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        (({}, {}), "copy"),
        (({"stated_latitude_deg": 3.0, "stated_datetime": "2014-05-06"}, {"stated_datetime": "2015-05-06"}), "copy"),
        (({"stated_latitude_deg": 3.0}, {"stated_latitude_deg": 3.0, "stated_datetime": "2015-05-06"}), "copy"),
        (
            (
                {"stated_latitude_deg": 3.0, "stated_datetime": "2014-05-06 10:00:00"},
                {"stated_latitude_deg": 3.0, "stated_datetime": "2014-05-07T10:00:00Z"},
            ),
            "same_place",
        ),
        (
            (
                {"stated_latitude_deg": 3.0, "stated_datetime": "2014-05-06 10:00:00"},
                {"stated_latitude_deg": 3.0, "stated_datetime": "2014:05:06 17:30:00"},
            ),
            "copy",
        ),
    ],
)
def test_pictures_of_one_place_at_two_dates_are_no_copies(
    tables: dict[str, list[dict[str, Any]]], facts: tuple[dict[str, Any], dict[str, Any]], kind: str
) -> None:
    candidate = [{"sample_id": f"cc3m_0_{n}", **one} for n, one in enumerate(facts)]
    judged = run(JUDGE_PAIRS, {**tables, "candidate": candidate}, method="keypoints").kept.to_pylist()
    assert next(row for row in judged if row["pair_id"] == "a-b")["pair_kind"] == kind


def test_a_scene_states_the_place_of_a_labelled_picture(tables: dict[str, list[dict[str, Any]]]) -> None:
    names = [f"fmow_port_1_{n}_rgb" for n in range(2)]
    labelled = [
        {"sample_id": name, "scene_id": "port_1", "stated_datetime": f"201{n}-01-01"} for n, name in enumerate(names)
    ]
    sample = samples_of(dict(zip(names, ("a", "b"), strict=True)))
    judged = run(
        JUDGE_PAIRS, {**tables, "sample": sample, "labelled_image": labelled}, method="keypoints"
    ).kept.to_pylist()
    assert next(row for row in judged if row["pair_id"] == "a-b")["pair_kind"] == "same_place"
    own = [{**row, "scene_id": row["sample_id"]} for row in labelled]
    judged = run(JUDGE_PAIRS, {**tables, "sample": sample, "labelled_image": own}, method="keypoints").kept.to_pylist()
    assert next(row for row in judged if row["pair_id"] == "a-b")["pair_kind"] == "copy"


def test_a_pair_with_a_picture_that_cannot_be_decoded_is_refused_and_not_compared(
    tables: dict[str, list[dict[str, Any]]], bodies: Bodies
) -> None:
    odd = [{**row, "image_format": "GIF"} if row["pixel_sha256"] == "b" else row for row in tables["pair_side"]]
    outcome = run(COMPARE_PAIRS, {"pair_side": odd}, bodies, method="keypoints")
    refused = {row["pair_id"] for row in outcome.rejects.to_pylist()}
    assert refused == {row["pair_id"] for row in odd if row["pixel_sha256"] == "b"} and "a-b" in refused
    assert set(outcome.rejects["reason"].to_pylist()) == {"decoding_failed"}
    judged = run(JUDGE_PAIRS, {**tables, "picture_pair": outcome.kept.to_pylist()}, method="keypoints").kept.to_pylist()
    assert {row["pair_id"] for row in judged if row["pair_kind"] == "not_compared"} == refused


def test_a_picture_of_several_pairs_is_decoded_once(tables: dict[str, list[dict[str, Any]]], bodies: Bodies) -> None:
    bodies.read_of.clear()
    run(COMPARE_PAIRS, tables, bodies, method="keypoints")
    assert len(bodies.read_of) == len(set(bodies.read_of)) < len(tables["pair_side"])


def test_partitions_of_pairs_grow_with_their_number() -> None:
    from stages.dedup.pairs import PAIRS_PER_PARTITION, _n_digits

    assert [_n_digits(PAIRS_PER_PARTITION * n) for n in (0, 1, 2, 16, 17, 2500)] == [0, 0, 1, 1, 2, 3]
    assert PairParams().method == "hashes" and FIND_PAIRS.off(PairParams()) == "dedup.method = hashes"
