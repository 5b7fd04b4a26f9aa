import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from stages.checks import check_outcome
from stages.contract import Context
from stages.shard.groups import GROUP_SAMPLES, GroupParams, group_samples
from tests.contract.handmade import HandmadeFiles

Row = dict[str, Any]


def web(number: int, **facts: Any) -> Row:
    defaults = {"corpus": "laion2b", "text": f"caption {number}", "picture": f"image-{number:05d}"}
    return {"sample_id": f"web_{number}", "half": "pub11", **defaults, **facts}


def labelled(number: int, **facts: Any) -> Row:
    defaults = {"corpus": "fmow", "text": f"generated {number}", "picture": f"scene-{number:05d}"}
    return {"sample_id": f"rs_{number}", "half": "rs3", **defaults, **facts}


def group(
    rows: Sequence[Row],
    folder: Path,
    pairs: Sequence[tuple[str, str, str]] = (),
    removed: Sequence[Row] = (),
    **params: float,
) -> dict[str, Row]:
    """Return the split_group row of each sample; removed ones are only members of clusters."""
    halves = {half: [row for row in rows if row["half"] == half] for half in ("pub11", "rs3")}
    pictures = {row["picture"] for row in (*rows, *removed)}
    given = {
        "relevant": [{**row, "image_id": row["picture"]} for row in halves["pub11"]],
        "candidate": [{**row, "caption": row["text"]} for row in halves["pub11"]],
        "caption": [{**row, "generated_caption": row["text"]} for row in halves["rs3"]],
        "labelled_image": [{**row, "scene_id": row["picture"]} for row in halves["rs3"]],
        "geometa": [{**row, "latitude_deg": row.get("at", (None, None))[0],
                     "longitude_deg": row.get("at", (None, None))[1]} for row in rows],
        "cluster_member": [
            {**row, "image_id": row["picture"], "cluster_id": row.get("cluster", row["sample_id"])}
            for row in (*rows, *removed)
        ],
        "image": [{"image_id": name, "pixel_sha256": f"of {name}"} for name in sorted(pictures)],
        "judged_pair": [
            {"pair_id": one + other, "first_sha256": f"of {one}", "second_sha256": f"of {other}", "pair_kind": kind}
            for one, other, kind in pairs
        ],
    }  # fmt: skip
    inputs = {
        reads.table: pa.Table.from_pylist(
            [{name: row.get(name) for name in reads.columns} for row in given[reads.table]],
            pa.schema([(name, FIELD[name].type) for name in reads.columns]),
        )
        for reads in GROUP_SAMPLES.reads
    }
    context = Context("whole", GroupParams(**params), None, {}, HandmadeFiles(folder), folder)
    outcome = group_samples(inputs, context)
    check_outcome(GROUP_SAMPLES, inputs, outcome)
    return {row["sample_id"]: row for row in outcome.kept.to_pylist()}


def test_pairs_of_one_place_share_a_group_and_pairs_unlike_do_not(tmp_path: Path) -> None:
    rows = [web(1), web(2), labelled(3), web(4), web(5, picture="image-00004")]
    pairs = [
        ("image-00001", "scene-00003", "same_place"),
        ("image-00001", "image-00002", "unlike"),
        ("image-00004", "image-00002", "copy"),
        ("image-00004", "scene-00003", "not_compared"),
    ]
    found = group(rows, tmp_path, pairs)
    keys = {name: row["group_key"] for name, row in found.items()}
    assert keys["web_1"] == keys["rs_3"] and keys["web_4"] == keys["web_2"] == keys["web_5"] != keys["web_1"]


def test_a_removed_picture_stands_for_its_cluster_in_pairs(tmp_path: Path) -> None:
    rows = [web(n, cluster=f"c{n}") for n in range(1, 7)]
    removed = [web(11, cluster="c1"), web(12, cluster="c2"), web(13, cluster="gone"), web(14, cluster="gone")]
    pairs = [
        ("image-00011", "image-00003", "copy"),  # one of the pair is removed
        ("image-00012", "image-00013", "same_place"),  # both are, and one cluster has no published sample
        ("image-00014", "image-00004", "copy"),
        ("image-00011", "image-00005", "unlike"),
        ("image-00006", "nowhere", "copy"),
    ]
    found = group(rows, tmp_path, pairs, removed)
    groups: dict[str, set[str]] = defaultdict(set)
    for name, row in found.items():
        groups[row["group_key"]].add(name)
        assert row["group_n_samples"] == (2 if name in ("web_1", "web_2", "web_3", "web_4") else 1)
    assert sorted(map(sorted, groups.values())) == [["web_1", "web_3"], ["web_2", "web_4"], ["web_5"], ["web_6"]]


def test_clusters_of_one_place_at_several_dates_share_a_group_also_by_removed_samples(tmp_path: Path) -> None:
    rows = [web(n, cluster=f"c{n}") for n in range(1, 5)]
    rows[0]["same_place_id"] = "web_9"
    removed = [web(11, cluster="c2", same_place_id="web_9"), web(9, cluster="gone", same_place_id="web_9")]
    found = group([*rows, labelled(5, same_place_id="web_9")], tmp_path, (), removed)
    keys = {name: row["group_key"] for name, row in found.items()}
    assert keys["web_1"] == keys["web_2"] == keys["rs_5"]
    assert len(set(keys.values())) == 3


def are_joined(one: Row, other: Row, folder: Path) -> bool:
    found = group([one, other, web(99, at=(-45.05, 100.05))], folder)
    keys = [found[row["sample_id"]]["group_key"] for row in (one, other)]
    assert found["web_99"]["group_n_samples"] == 1
    return keys[0] == keys[1]


@pytest.mark.parametrize(
    ("one", "other", "is_one_group"),
    [
        (web(1), web(2), False),
        (web(1, picture="a"), web(2, picture="a"), True),
        (web(1, cluster="c"), labelled(2, cluster="c"), True),
        (labelled(1, picture="s"), labelled(2, picture="s"), True),
        (web(1, corpus="yfcc15m", owner_id="me"), web(2, corpus="yfcc15m", owner_id="me"), True),
        (web(1, corpus="yfcc15m", owner_id="me"), web(2, corpus="yfcc15m", owner_id="you"), False),
        (web(1, corpus="yfcc15m", owner_id="me"), web(2, corpus="cc3m", owner_id="me"), False),
        (web(1, at=(47.61, -122.29)), labelled(2, at=(47.69, -122.21)), True),
        (web(1, at=(47.61, -122.29)), labelled(2, at=(47.71, -122.29)), False),
        (web(1, at=(-0.05, 0.05)), labelled(2, at=(0.06, 0.05)), False),  # rounded down, not towards zero
        (web(1, at=(10.0, None)), labelled(2, at=(10.0, None)), False),
        (labelled(1, corpus="ben", at=(47.0, 8.0)), labelled(2, corpus="fmow", at=(47.0, 8.0)), False),
        (web(1, text="same"), web(2, text="same"), False),
    ],
)
def test_two_samples_are_joined_by_common_keys(one: Row, other: Row, is_one_group: bool, tmp_path: Path) -> None:
    assert are_joined(one, other, tmp_path) == is_one_group


def test_blocks_are_as_wide_as_high_at_any_latitude(tmp_path: Path) -> None:
    # One degree of latitude is 111.2 km; ten degrees of longitude are 416 km at 68 degrees north.
    north = [labelled(n, corpus="ben", at=(60 + n / 100, 20.0)) for n in range(100)]
    east = [labelled(n, corpus="ben", at=(68.0, 20 + n / 100)) for n in range(1000)]
    n_blocks = [len({row["group_key"] for row in group(rows, tmp_path).values()}) for rows in (north, east)]
    assert n_blocks[0] in (9, 10, 11) and n_blocks[1] in (34, 35, 36, 37)


def test_groups_are_connected_components_named_by_their_smallest_image_or_scene(tmp_path: Path) -> None:
    rng = random.Random(7)
    rows = []
    for n in range(400):
        kind = rng.choice((web, labelled))
        facts: Row = {"cluster": f"c{rng.randrange(500)}"}
        if rng.random() < 0.3:
            facts["at"] = (rng.randrange(300) / 10 + 0.05, 5.05)
        if kind is labelled:
            facts["picture"] = f"scene-{rng.randrange(300):05d}"
        elif rng.random() < 0.4:
            facts |= {"corpus": "yfcc15m", "owner_id": f"u{rng.randrange(150)}"}
        rows.append(kind(n, **facts))
    found = group(rows, tmp_path)
    groups = {row["sample_id"]: {row["sample_id"]} for row in rows}
    links: dict[Any, list[str]] = defaultdict(list)
    for row in rows:
        for name in ("cluster", "picture", "owner_id", "at"):
            if name in row:
                links[name, row[name]].append(row["sample_id"])
    for first, *others in links.values():
        for other in others:
            joined = groups[first] | groups[other]
            groups.update(dict.fromkeys(joined, joined))
    pictures = {row["sample_id"]: row["picture"] for row in rows}
    expected = {name: (min(pictures[m] for m in members), len(members)) for name, members in groups.items()}
    assert {name: (row["group_key"], row["group_n_samples"]) for name, row in found.items()} == expected
    assert len({key for key, _ in expected.values()}) == len({frozenset(g) for g in groups.values()})
    assert 5 < max(n for _, n in expected.values()) < 400
    # The result does not depend on the order of rows.
    rng.shuffle(rows)
    assert group(rows, tmp_path) == found


def test_a_caption_of_another_group_keeps_the_whole_group_for_training(tmp_path: Path) -> None:
    rows = [
        web(1, text="twice", cluster="c"), web(2, cluster="c"), web(3, text="twice"), web(4),
        labelled(5, text="within", picture="s"), labelled(6, text="within", picture="s"),
    ]  # fmt: skip
    found = group(rows, tmp_path)
    assert [name for name, row in found.items() if row["is_caption_shared"]] == ["web_1", "web_3"]
    assert [name for name, row in found.items() if row["is_train_group"]] == ["web_1", "web_2", "web_3"]
    assert Counter(row["group_n_samples"] for row in found.values()) == {2: 4, 1: 2}


def test_the_size_of_blocks_is_a_setting(tmp_path: Path) -> None:
    rows = [web(1, at=(47.61, 8.01)), web(2, at=(47.91, 8.31))]
    sizes = [max(row["group_n_samples"] for row in group(rows, tmp_path, block_deg=deg).values()) for deg in (0.1, 1)]
    assert sizes == [1, 2]
