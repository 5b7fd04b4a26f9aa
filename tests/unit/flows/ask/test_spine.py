"""Commands find a sample's rows in every table by the table's declaration, also for new stages."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from flows.ask.explain import explain
from flows.ask.fates import fates_query
from flows.ask.report import stage_report, stage_reports, unbalanced
from flows.ask.spine import known_by, samples_query, ways
from flows.ask.views import open_views
from flows.run.executor import InlineExecutor
from schemas.fields import FIELD
from stages import STAGES
from tests.contract import spine_toys
from tests.small_build import Build

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def toys(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The finished build with two more stages."""
    copied = finished.copy_to(tmp_path_factory.mktemp("toys") / "build")
    build = replace(copied, stages=spine_toys.STAGES, catalogue="tests.contract.spine_toys:STAGES")
    build.run(InlineExecutor(), ["toy"])
    return build


def test_the_spine_has_every_candidate_and_labelled_image_with_its_image(finished: Build) -> None:
    rows = {row["sample_id"]: row for row in finished.rows("sample")}
    corpora = {row["sample_id"]: row["corpus"] for row in finished.rows("candidate")}
    fetch_ids = {row["sample_id"]: row["fetch_id"] for row in finished.rows("planned")}
    web = {name: row for name, row in rows.items() if row["half"] == "pub11"}
    assert {name: row["corpus"] for name, row in web.items()} == corpora
    assert {name: row["image_id"] for name, row in web.items()} == {name: fetch_ids.get(name) for name in corpora}
    assert sum(row["image_id"] is None for row in web.values()) == 2
    labelled = {row["sample_id"] for row in finished.rows("labelled_image")}
    rs3 = {name: row["image_id"] for name, row in rows.items() if row["half"] == "rs3"}
    assert {name for name, image_id in rs3.items() if image_id == name} == labelled
    assert set(rs3.values()) - labelled == {None}


def test_the_spine_is_the_same_before_its_table_is_written(finished: Build, damaged: Build) -> None:
    for receipt in damaged.ledger().state(damaged.stage("list_samples")).receipts:
        (damaged.root / receipt.folder / "receipt.json").unlink()
    found = []
    for build in (finished, damaged):
        with open_views(build.ledger()) as db:
            query = samples_query(build.ledger())
            found.append(db.execute(f"SELECT sample_id, corpus, half, image_id FROM ({query}) ORDER BY 1").fetchall())
    assert found[0] == found[1] and len(found[0]) > 60
    assert "cluster: not run" in "\n".join(explain(damaged.ledger(), "cc3m_0_0", None))


def test_each_half_has_its_own_partitions(finished: Build) -> None:
    ledger = finished.ledger()
    halves = {receipt.partition: set() for receipt in ledger.state(finished.stage("list_samples")).receipts}
    for receipt in ledger.state(finished.stage("list_samples")).receipts:
        with open_views(ledger, (finished.stage("list_samples"),)) as db:
            file = ledger.store.path(receipt.kept_file)
            found = db.execute(f"SELECT DISTINCT half FROM read_parquet('{file}')").fetchall()
        halves[receipt.partition] |= {half for (half,) in found}
    assert len(halves) > 2 and all(len(found) <= 1 for found in halves.values())


def test_the_joins_to_all_keys_of_samples_are_declared() -> None:
    assert set(ways(STAGES)) == {"sample_id", "fetch_id", "image_id", "pixel_sha256", "caption_id"}
    for stage in STAGES:
        assert set(stage.writes.leads_to) <= set(stage.writes.columns)
        assert all(FIELD[name].type == "string" for name in stage.writes.leads_to)


def test_a_stage_with_a_new_key_is_explained(toys: Build) -> None:
    text = explain(toys.ledger(), "cc3m_0_0", None)
    assert text[-2:] == [
        "cut_tiles: kept\n    cluster_id = tile cc3m",
        "tag_tiles: REJECTED\n    cluster_id = tile cc3m\n    reason = no_score\n    detail = x",
    ]
    kept = next(row["sample_id"] for row in toys.rows("shard") if row["sample_id"].startswith("laion2b"))
    assert explain(toys.ledger(), kept, None)[-1].startswith("tag_tiles: kept\n    cluster_id = tile laion2b\n")


def test_rows_on_two_samples_are_explained_by_the_columns_that_name_them(toys: Build) -> None:
    linked = replace(toys, stages=spine_toys.LINKING, catalogue="tests.contract.spine_toys:LINKING")
    linked.run(InlineExecutor(), ["toy"])
    name = next(row["sample_id"] for row in toys.rows("shard") if row["sample_id"].startswith("coyo700m"))
    text = explain(linked.ledger(), name, None)
    others = sorted({row["corpus"] for row in toys.rows("sample")} - {"coyo700m"})
    links = [" + ".join(sorted(("tile coyo700m", f"tile {other}"))) for other in others]
    assert len(links) > 3 and [one.split("\n")[:2] for one in text if one.startswith("link_tiles")] == [
        ["link_tiles: kept", f"    survivor_id = {link}"] for link in sorted(links)
    ]
    seams = [one for one in text if one.startswith("look_at_seams")]
    assert len(seams) == len(links)
    assert seams[-1] == (
        "look_at_seams: REJECTED\n    survivor_id = tile coyo700m + tile fmow\n    reason = no_score\n    detail = y"
    )
    assert text[0].startswith(f"sample {name}: published in ")


def test_the_compared_pairs_of_a_picture_are_explained_from_both_of_its_sides(finished: Build) -> None:
    pictures = {row["image_id"]: row["pixel_sha256"] for row in finished.rows("image")}
    shown = {
        row["sample_id"]: pictures[row["image_id"]]
        for row in finished.rows("shard_plan", ["sample_id"])
        for row in [next(one for one in finished.rows("sample") if one["sample_id"] == row["sample_id"])]
    }
    n_sides = 0
    for name, picture in sorted(shown.items())[:6]:
        text = explain(finished.ledger(), name, None)
        pairs = [row for row in finished.rows("judged_pair") if picture in (row["first_sha256"], row["second_sha256"])]
        for stage in ("compare_pairs", "judge_pairs"):
            found = [one.split("\n")[1] for one in text if one.startswith(f"{stage}: kept")]
            assert found == [f"    pair_id = {pair['pair_id']}" for pair in pairs]
        n_sides |= sum(1 << (picture == pair["second_sha256"]) for pair in pairs[:1])
    assert n_sides, "no sample of a pair was looked at"


def test_a_reject_by_a_new_key_decides_the_fate_of_its_samples(toys: Build) -> None:
    of_cc3m = {row["sample_id"] for row in toys.rows("sample") if row["corpus"] == "cc3m"}
    found = {}
    for stages in (spine_toys.STAGES, spine_toys.SHARING):
        ledger = replace(toys, stages=stages).ledger()
        with open_views(ledger) as db:
            rows = db.execute(f"SELECT sample_id FROM ({fates_query(ledger)}) WHERE stage = 'tag_tiles'").fetchall()
        found[stages] = {name for (name,) in rows}
    assert found == {spine_toys.STAGES: of_cc3m, spine_toys.SHARING: set()}


def test_a_stage_with_a_new_key_is_counted_by_corpus_once_per_sample(toys: Build) -> None:
    n_of = {row["corpus"]: 0 for row in toys.rows("sample")}
    for row in toys.rows("sample"):
        n_of[row["corpus"]] += 1
    (report,) = stage_reports(toys.ledger(), "toy")
    assert unbalanced(report.rows) == []
    given = {row["corpus"]: row["given"] for row in report.rows if row["stage"] == "tag_tiles"}
    assert given == {**n_of, "Total": sum(n_of.values())}
    rejected = {row["corpus"] for row in report.rows if row["stage"] == "tag_tiles" and row["rejected"]}
    assert rejected == {"cc3m", "Total"}


@pytest.mark.parametrize("name", [stage.name for stage in STAGES if stage.module != "stats"])
def test_the_counts_of_every_stage_add_up(finished: Build, name: str) -> None:
    report = stage_report(finished.ledger(), finished.stage(name))
    assert unbalanced(report.rows) == []
    if finished.stage(name).writes.key[0] == "sample_id":
        assert "all" not in {row["corpus"] for row in report.rows}, "a row without its corpus"


def test_a_key_that_no_table_links_to_is_not_found(finished: Build) -> None:
    assert known_by(finished.ledger(), "prompt") is None
    assert known_by(finished.ledger(), "pixel_sha256", (finished.stage("list_samples"),)) is None


def test_only_the_stage_makes_the_spine_and_parses_ids() -> None:
    files = [path for layer in ("flows", "stages", "schemas") for path in sorted((ROOT / layer).rglob("*.py"))]
    parsing = re.compile(r"split_part\(\w*\.?sample_id|regexp_extract\(\w*\.?sample_id|string_split\(\w*\.?sample_id")
    # screen and embed read the images of both halves by image_id, not samples.
    both = re.compile(
        r"FROM planned\b[^;]{0,300}?UNION[^;]{0,200}?FROM labelled_image|fetch_id AS image_id FROM planned"
    )
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}
    assert len(texts) > 100
    assert [name for name, text in texts.items() if parsing.search(text)] == []
    assert [name for name, text in texts.items() if both.search(text)] == []
    assert [name for name, text in texts.items() if "LEFT JOIN planned USING (sample_id)" in text] == [
        "stages/sample/stage.py"
    ]
