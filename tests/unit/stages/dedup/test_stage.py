from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from schemas.tables import JUDGED_PAIR, SAMPLE
from stages.checks import check_outcome
from stages.contract import Context, InputError, Outcome
from stages.dedup.settings import ClusterParams
from stages.dedup.stage import CLUSTER, DROP_DUPLICATES
from tests.contract.handmade import samples_of

FAR = [0, 0xFFFF, 0xFFFF_0000, 0xFFFF_FFFF_0000_0000]  # at least 16 bits apart

STATED = {
    reads.table: pa.schema([(name, FIELD[name].type) for name in reads.columns]).empty_table()
    for reads in CLUSTER.reads
    if reads.table in ("candidate", "labelled_image")
}


def spine(images: Mapping[str, str | None]) -> pa.Table:
    """Return the table sample from image_id by sample_id."""
    return pa.Table.from_pylist(samples_of(images), SAMPLE.schema)


def judged(pairs: list[tuple[str, str, str]]) -> pa.Table:
    """Return what cluster reads of judged pairs, each (pixels, pixels, pair_kind)."""
    rows = [{"first_sha256": a, "second_sha256": b, "pair_kind": kind} for a, b, kind in pairs]
    names = ("first_sha256", "second_sha256", "pair_kind")
    return pa.Table.from_pylist(rows, pa.schema([JUDGED_PAIR.schema.field(name) for name in names]))


def cluster(
    samples: list[tuple[str, str, str, int]],
    details: Mapping[str, float] | None = None,
    turned: Mapping[str, list[int]] | None = None,
    pairs: list[tuple[str, str, str]] | None = None,
    dates: Mapping[str, str] = MappingProxyType({}),
    **params: Any,
) -> dict[str, dict[str, Any]]:
    """Return the rows of `cluster_member` by sample_id.

    Args:
        samples: (sample_id, URL, pixels, phash); a labelled sample's URL is its sample_id.
        details: detail of the hash, by pixels; 1 by default.
        turned: the eight hashes, by pixels; by default those of a fully symmetric picture.
        pairs: judged pairs: pixels, pixels, pair_kind.
        dates: date, by pixels, of pictures that state a place too.
    """
    images = {url: (pixels, phash) for _, url, pixels, phash in samples}
    inputs = {
        "sample": spine({sample_id: url for sample_id, url, _, _ in samples}),
        "image": pa.table(
            {
                "image_id": pa.array(list(images), pa.string()),
                "pixel_sha256": pa.array([pixels for pixels, _ in images.values()], pa.string()),
                "phash": pa.array([phash for _, phash in images.values()], FIELD["phash"].type),
                "phash_orientations": pa.array(
                    [(turned or {}).get(pixels, [phash] * 8) for pixels, phash in images.values()],
                    FIELD["phash_orientations"].type,
                ),
                "exif_latitude_deg": pa.array([9.0 if p in dates else None for p, _ in images.values()], pa.float64()),
                "exif_datetime": pa.array([dates.get(p) for p, _ in images.values()], pa.string()),
                "phash_detail": pa.array(
                    [(details or {}).get(pixels, 1.0) for pixels, _ in images.values()], FIELD["phash_detail"].type
                ),
            }
        ),
        "judged_pair": judged(pairs or []),
        **STATED,
    }
    outcome = CLUSTER.run(inputs, Context("whole", ClusterParams(**params), None, {}, None, None))  # type: ignore[arg-type]
    check_outcome(CLUSTER, inputs, outcome)
    return {row["sample_id"]: row for row in outcome.kept.to_pylist()}


def reasons(rows: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    return {name: row["duplicate_reason"] for name, row in rows.items()}


def test_different_pictures_are_not_clustered() -> None:
    rows = cluster([(f"laion2b_0_{n}", f"u{n}", f"p{n}", phash) for n, phash in enumerate(FAR)])
    assert {row["cluster_n_samples"] for row in rows.values()} == {1}
    assert {row["survivor_id"] for row in rows.values()} == set(rows)
    assert set(reasons(rows).values()) == {None}


def test_duplicates_by_url_pixels_and_near_hash_have_different_reasons() -> None:
    rows = cluster(
        [
            ("laion2b_0_0", "u0", "p0", 0),
            ("cc3m_0_1", "u0", "p0", 0),
            ("cc3m_0_2", "u2", "p0", 0),
            ("cc3m_0_3", "u3", "p3", 0b1111),
        ]
    )
    assert reasons(rows) == {
        "laion2b_0_0": None, "cc3m_0_1": "url_duplicate", "cc3m_0_2": "pixel_duplicate", "cc3m_0_3": "near_duplicate",
    }  # fmt: skip
    assert {row["cluster_n_samples"] for row in rows.values()} == {4}
    assert {row["cluster_id"] for row in rows.values()} == {"laion2b_0_0"}
    assert rows["cc3m_0_3"]["phash_distance"] == 4 and rows["cc3m_0_2"]["phash_distance"] == 0


@pytest.mark.parametrize(("distance", "is_one"), [(3, False), (4, True), (10, True)])
def test_hashes_are_near_up_to_the_largest_distance_and_no_further(distance: int, is_one: bool) -> None:
    rows = cluster([("laion2b_0_0", "u0", "p0", 0), ("laion2b_0_1", "u1", "p1", 0b1111)], max_distance=distance)
    assert len({row["cluster_id"] for row in rows.values()}) == (1 if is_one else 2)


TURNED = {
    "p0": [0xF0, *FAR[1:], 1 << 9, 1 << 23, 5 << 50, 0xABCD],
    "p1": [0xF_0000_0000, *FAR[:3], 0xF1, 3, 9 << 33, 7 << 60],
}


def test_a_turned_copy_is_a_duplicate_with_its_orientation_unless_only_upright_pictures_are_compared() -> None:
    samples = [("laion2b_0_0", "u0", "p0", 0xF0), ("cc3m_0_1", "u1", "p1", 0xF_0000_0000)]
    row = cluster(samples, turned=TURNED)["cc3m_0_1"]
    assert (row["duplicate_reason"], row["phash_distance"], row["phash_orientation"]) == ("turned_duplicate", 1, 5)
    assert row["survivor_id"] == "laion2b_0_0"
    assert cluster(samples, turned=TURNED, is_chained=True)["cc3m_0_1"]["duplicate_reason"] == "turned_duplicate"
    alone = cluster(samples, turned=TURNED, orientations="upright")
    assert set(reasons(alone).values()) == {None}


def test_a_too_expensive_search_is_refused_with_its_estimate() -> None:
    samples = [(f"laion2b_0_{n}", f"u{n}", f"p{n}", n) for n in range(50)]
    with pytest.raises(InputError, match=r"max_distance = 10 would take about .* lower it, or raise dedup.max_minutes"):
        cluster(samples, max_distance=10, max_minutes=1e-12)


CHAIN = [(f"laion2b_0_{n}", f"u{n}", f"p{n}", 2 ** (4 * n) - 1) for n in range(7)]


def test_a_chain_of_near_pictures_is_one_cluster_if_chains_are_joined() -> None:
    rows = cluster(CHAIN, is_chained=True)
    assert {row["cluster_n_samples"] for row in rows.values()} == {7}
    assert sum(reason is None for reason in reasons(rows).values()) == 1


@pytest.mark.parametrize("seed", range(6))
def test_a_duplicate_is_near_the_sample_that_is_kept(seed: int) -> None:
    rows = cluster(CHAIN, seed=str(seed))
    assert all(row["phash_distance"] <= 4 for row in rows.values())
    survivors = [name for name, reason in reasons(rows).items() if reason is None]
    assert 3 <= len(survivors) <= 4
    # No two survivors are near, since one would have removed the other.
    kept = sorted(int(name.rpartition("_")[2]) for name in survivors)
    assert all(second - first > 1 for first, second in pairwise(kept))
    assert cluster(CHAIN[::-1], seed=str(seed)) == rows


def test_the_survivor_is_from_the_first_tier_and_laion_coco_is_last() -> None:
    corpora = ["laioncoco", "cc3m", "laion400m"]
    for first in range(3):
        present = corpora[: first + 1]
        rows = cluster([(f"{corpus}_0_7", f"u{corpus}", "same", 0) for corpus in present])
        assert {row["survivor_id"] for row in rows.values()} == {f"{present[-1]}_0_7"}


def test_corpora_that_are_not_listed_rank_at_the_star_or_last_without_one() -> None:
    samples = [("newcorpus_0_0", "u0", "same", 0), ("laioncoco_0_0", "u1", "same", 0)]
    assert cluster(samples)["laioncoco_0_0"]["survivor_id"] == "newcorpus_0_0"
    assert cluster(samples, priority=(("laioncoco",),))["newcorpus_0_0"]["survivor_id"] == "laioncoco_0_0"


def test_ties_are_resolved_by_seed_and_sample_id_only() -> None:
    samples = [(f"laion2b_0_{n}", f"u{n}", "same", 0) for n in range(8)]
    survivor = cluster(samples)["laion2b_0_0"]["survivor_id"]
    assert cluster(samples[::-1])["laion2b_0_0"]["survivor_id"] == survivor
    fewer = [s for s in samples if s[0] in ("laion2b_0_0", survivor, "laion2b_0_5")]
    assert cluster(fewer)["laion2b_0_0"]["survivor_id"] == survivor
    assert len({cluster(samples, seed=str(n))["laion2b_0_0"]["survivor_id"] for n in range(8)}) > 1


@pytest.mark.parametrize("is_chained", [False, True])
def test_pictures_with_little_detail_are_only_duplicates_by_equal_pixels(is_chained: bool) -> None:
    samples = [("laion2b_0_0", "u0", "grey", 1 << 63), ("laion2b_0_1", "u1", "blue", 1 << 63)]
    samples += [("laion2b_0_2", "u2", "grey", 1 << 63), ("laion2b_0_3", "u3", "photo", 1 << 63)]
    details = {"grey": 0.0, "blue": 0.049, "photo": 0.05}
    rows = cluster(samples, details, is_chained=is_chained)
    assert rows["laion2b_0_0"]["cluster_id"] == rows["laion2b_0_2"]["cluster_id"]
    assert len({row["cluster_id"] for row in rows.values()}) == 3
    assert len({row["cluster_id"] for row in cluster(samples, details, min_detail=0).values()}) == 1


def test_equal_pixels_join_clusters_that_hashes_do_not() -> None:
    rows = cluster([("laion2b_0_0", "u0", "same", 0), ("laion2b_0_1", "u1", "same", FAR[3])])
    assert len({row["cluster_id"] for row in rows.values()}) == 1
    assert max(row["phash_distance"] for row in rows.values()) == 32


def test_labelled_samples_are_marked_and_remove_no_web_samples() -> None:
    labelled = ("ben_1", "ben_1", "same", 0), ("ben_2", "ben_2", "same", 0)
    rows = cluster([*labelled, ("cc3m_0_0", "u0", "same", 0)])
    assert {row["survivor_id"] for row in rows.values()} == {"cc3m_0_0"}
    assert reasons(rows) == {"ben_1": "pixel_duplicate", "ben_2": "pixel_duplicate", "cc3m_0_0": None}
    assert sorted(map(str, reasons(cluster([*labelled])).values())) == ["None", "pixel_duplicate"]


def test_samples_without_a_valid_image_have_no_row_and_no_images_give_no_rows() -> None:
    assert cluster([]) == {}
    inputs = {
        "sample": spine({"laion2b_0_0": "u0", "laion2b_0_1": "gone", "millionaid_P0000001": None}),
        "image": pa.table(
            {
                "image_id": ["u0"],
                "pixel_sha256": ["p"],
                "phash": pa.array([0], pa.uint64()),
                "phash_orientations": pa.array([[0] * 8], pa.list_(pa.uint64())),
                "phash_detail": pa.array([1], pa.float64()),
                "exif_latitude_deg": pa.array([None], pa.float64()),
                "exif_datetime": pa.array([None], pa.string()),
            }
        ),
        "judged_pair": judged([]),
        **STATED,
    }
    outcome = CLUSTER.run(inputs, Context("whole", ClusterParams(), None, {}, None, None))  # type: ignore[arg-type]
    check_outcome(CLUSTER, inputs, outcome)
    assert outcome.kept["sample_id"].to_pylist() == ["laion2b_0_0"]


def test_pairs_of_copies_join_clusters_of_hashes_and_the_others_do_not() -> None:
    samples = [(f"cc3m_0_{n}", f"u{n}", f"p{n}", phash) for n, phash in enumerate([*FAR, 0b11])]
    pairs = [("p0", "p1", "copy"), ("p2", "p3", "same_place"), ("p1", "p2", "unlike"), ("p0", "p3", "not_compared")]
    rows = cluster(samples, pairs=pairs)
    survivor = rows["cc3m_0_0"]["survivor_id"]
    joined = {name for name, row in rows.items() if row["survivor_id"] == survivor}
    assert joined == {"cc3m_0_0", "cc3m_0_1", "cc3m_0_4"}
    assert {row["cluster_n_samples"] for name, row in rows.items() if name in joined} == {3}
    # The cluster by hashes has two of them; the other one's reason is the pair.
    by_hash = {"cc3m_0_0", "cc3m_0_4"}
    expected = {
        name: "near_duplicate" if survivor in by_hash and name in by_hash else "edited_duplicate" for name in joined
    }
    assert {name: rows[name]["duplicate_reason"] for name in joined} == {**expected, survivor: None}
    assert {reasons(rows)[f"cc3m_0_{n}"] for n in (2, 3)} == {None}


SAME_PLACE = {"p0": "2015-06-01T10:00:00", "p2": "2019:09:12 10:00:00", "p3": "2019-09-12"}


@pytest.mark.parametrize("is_chained", [False, True])
@pytest.mark.parametrize("phash", [0, 0b11])
def test_near_and_equal_hashes_of_one_place_at_two_dates_are_no_duplicates(phash: int, is_chained: bool) -> None:
    samples = [(f"{corpus}_0_{n}", f"u{n}", f"p{n}", phash * n) for n, corpus in enumerate(["laion2b"] + ["cc3m"] * 3)]
    rows = cluster([*samples, ("cc3m_0_4", "u4", "p4", FAR[2])], dates=SAME_PLACE, is_chained=is_chained)
    later = {rows[name]["survivor_id"] for name in ("cc3m_0_2", "cc3m_0_3")}
    assert len(later) == 1 and later < {"cc3m_0_2", "cc3m_0_3"}  # copies of one date among themselves
    assert rows["cc3m_0_1"]["survivor_id"] == "laion2b_0_0"  # states nothing
    assert sorted(str(reason) for reason in reasons(rows).values()) == ["None"] * 3 + ["near_duplicate"] * 2
    assert {name: row["same_place_id"] for name, row in rows.items()} == {
        **dict.fromkeys((name for name, *_ in samples), "laion2b_0_0"), "cc3m_0_4": None
    }  # fmt: skip


def test_equal_pixels_are_one_acquisition_whatever_their_dates() -> None:
    samples = [("laion2b_0_0", "u0", "same", 0), ("cc3m_0_1", "u1", "same", 0)]
    row = cluster(samples, dates={"same": "2015-06-01"})["cc3m_0_1"]
    assert (row["duplicate_reason"], row["same_place_id"]) == ("pixel_duplicate", None)


@pytest.mark.parametrize("method", ["keypoints", "features"])
def test_a_picture_without_a_date_joins_no_two_dates_by_pairs_of_copies(method: str) -> None:
    samples = [(f"{name}_0_0", f"u{n}", f"p{n}", FAR[n]) for n, name in enumerate(("laion2b", "cc3m", "laioncoco"))]
    pairs = [("p0", "p1", "copy"), ("p0", "p2", "copy"), ("p1", "p2", "same_place")]
    found = reasons(cluster(samples, pairs=pairs, dates={"p1": "2015-06-01", "p2": "2019-09-12"}, method=method))
    assert [reason is None for reason in found.values()] == [name != "cc3m_0_0" for name in found]


def test_a_copy_of_a_copy_is_joined_in_chains_alone() -> None:
    samples = [(f"{corpus}_0_0", f"u{n}", f"p{n}", FAR[n]) for n, corpus in enumerate(("laion2b", "cc3m", "laioncoco"))]
    pairs = [("p0", "p1", "copy"), ("p1", "p2", "copy")]
    assert reasons(cluster(samples, pairs=pairs)) == {
        "laion2b_0_0": None, "cc3m_0_0": "edited_duplicate", "laioncoco_0_0": None
    }  # fmt: skip
    assert reasons(cluster(samples, pairs=pairs, is_chained=True))["laioncoco_0_0"] == "edited_duplicate"


def test_by_features_near_hashes_join_nothing_and_pairs_are_chained() -> None:
    samples = [(f"{corpus}_0_0", f"u{n}", f"p{n}", n) for n, corpus in enumerate(("laion2b", "cc3m", "laioncoco"))]
    pairs = [("p1", "p2", "copy"), ("p0", "p1", "copy")]
    assert set(reasons(cluster(samples, method="features")).values()) == {None}
    found = reasons(cluster([*samples, ("cc12m_0_0", "u4", "p0", 0)], pairs=pairs, method="features"))
    assert found.pop("cc12m_0_0") == "pixel_duplicate"
    assert found == {"laion2b_0_0": None, "cc3m_0_0": "feature_duplicate", "laioncoco_0_0": "feature_duplicate"}


def test_one_sample_of_each_cluster_is_kept_and_the_others_name_it() -> None:
    names = ["sample_id", "image_id", "cluster_id", "survivor_id", "duplicate_reason"]
    rows = [
        ("a_0_0", "u0", "a_0_0", "a_0_0", None),
        ("a_0_1", "u1", "a_0_0", "a_0_0", "near_duplicate"),
        ("fmow_airport_1_0_rgb", "fmow_airport_1_0_rgb", "a_0_0", "a_0_0", "pixel_duplicate"),  # marked, never removed
    ]
    inputs = {
        "cluster_member": pa.table(
            {n: pa.array(c, pa.string()) for n, c in zip(names, zip(*rows, strict=True), strict=True)}
        ),
        "sample": spine({row[0]: row[1] for row in rows}),
    }
    outcome: Outcome = DROP_DUPLICATES.run(inputs, None)  # type: ignore[arg-type]
    check_outcome(DROP_DUPLICATES, inputs, outcome)
    assert outcome.kept.to_pylist() == [{"sample_id": "a_0_0", "image_id": "u0", "cluster_id": "a_0_0"}]
    assert outcome.rejects.to_pylist() == [{"sample_id": "a_0_1", "reason": "near_duplicate", "detail": "kept: a_0_0"}]
