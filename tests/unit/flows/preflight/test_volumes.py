"""Row counts of the stages, from published counts and extrapolated from a pilot."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.preflight.growth import growth, lengths_factor, pictures_factor, survivors_factor
from flows.preflight.history import Run
from flows.preflight.volumes import (
    AFTER_DEDUP,
    BY_DOWNLOAD,
    Halves,
    asks_the_web,
    halves_of,
    own_rows,
    published_volumes,
    shares_listed,
    shares_present,
)
from schemas import corpora
from stages import STAGES
from stages.readers.corpora import load_corpora


def run(stage: str, partition: str, n_rows: int, n_kept: int = 0, **reasons: int) -> Run:
    return Run(stage, partition, n_rows, n_kept, reasons, 1, 1, 0, 0, 0, 0, 1, "a")


def test_an_empty_folder_is_planned_as_all_of_rs5m(tmp_path: Path) -> None:
    shares = shares_present(tmp_path, load_corpora(), "paper")
    assert len(shares) == 14 and set(shares.values()) == {1.0}
    rows = published_volumes(shares, 1.0, STAGES)
    assert rows["download"].total == 6_121_583
    assert rows["draw_captions"].total == 20 * 2_062_377
    assert rows["write_shards"].total == 3_007_809 + 2_062_377
    assert set(rows) == {stage.name for stage in STAGES}


@pytest.mark.parametrize(
    ("profile", "n_asked", "n_rs3"), [("from-metafile", 3_007_809, 0), ("from-release", 0, 2_062_377)]
)
def test_an_empty_folder_is_planned_by_the_profile(tmp_path: Path, profile: str, n_asked: int, n_rs3: int) -> None:
    rows = published_volumes(shares_present(tmp_path, load_corpora(), profile), 1.0, STAGES)
    assert rows["filter"].total == 3_007_809
    assert (rows["download"].total, rows["draw_captions"].total) == (n_asked, 20 * n_rs3)
    assert asks_the_web(tmp_path, load_corpora(), profile) == bool(n_asked)


@pytest.mark.parametrize("n_rows", [310, 40_000])
def test_the_rows_of_a_list_are_counted_not_guessed_by_its_size(tmp_path: Path, n_rows: int) -> None:
    (tmp_path / "rs5m").mkdir()
    # Rows of one corpus are longer than those of another, and lie together.
    texts = ["aerial view " * (1 + 20 * (n > n_rows // 2)) for n in range(n_rows)]
    lines = [f"http://x.test/{n}.jpg,laion2b_0_{n},{text}\n" for n, text in enumerate(texts)]
    (tmp_path / "rs5m" / "pub11_train_metadata.csv").write_text("url,img_name,text\n" + "".join(lines))
    pq.write_table(pa.table({"url": ["u"] * 90}), tmp_path / "rs5m" / "more.parquet")
    rows = published_volumes(shares_present(tmp_path, load_corpora(), "from-metafile"), 1.0, STAGES)
    assert rows["download"].total == pytest.approx(n_rows + 90, rel=0.05)


def test_corpora_that_rs5m_does_not_have_count_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "manifests"
    shutil.copytree(corpora.CORPORA, folder)
    monkeypatch.setattr(corpora, "CORPORA", folder)
    rights = 'annotation_licence = "CC0-1.0"\nimage_rights = "Free."\n'
    (folder / "myweb.toml").write_text(
        f"reader = 'parquet'\nfile_pattern = 'part-(?P<part>\\d+).parquet'\n{rights}"
        "[columns]\nurl = ['url']\nsource_caption = ['text']\n"
    )
    (folder / "mytiles.toml").write_text(
        f"half = 'rs3'\nreader = 'millionaid'\nfile_pattern = '(?:.*/)?(?P<name>tile\\d+).png'\n{rights}"
    )
    sources = tmp_path / "sources"
    (sources / "myweb").mkdir(parents=True)
    pq.write_table(pa.table({"url": ["u"] * 125, "text": ["t"] * 125}), sources / "myweb" / "part-0.parquet")
    (sources / "mytiles" / "below").mkdir(parents=True)
    for n in range(8):
        (sources / "mytiles" / "below" / f"tile{n}.png").write_bytes(b"x")
    known = load_corpora()
    shares = shares_present(sources, known, "paper")
    own = own_rows(sources, known, shares)
    assert own == Halves(125, 8)
    rows = published_volumes(shares, 1.0, STAGES, own)
    assert (rows["filter"].total, rows["download"].total, rows["read_labelled"].total) == (125, 125, 8)
    assert 0 < rows["write_shards"].pub11 < rows["drop_duplicates"].pub11 < 125 and rows["draw_captions"].rs3 == 160
    many = published_volumes({}, 1.0, STAGES, Halves(4.2e9))
    assert many["download"].total == pytest.approx(6_121_583)
    assert own_rows(tmp_path / "gone", known, {"myweb": 1.0}) == Halves(1, 0)  # the filter's receipts scale it


def test_only_present_files_count(tmp_path: Path) -> None:
    (tmp_path / "laion400m").mkdir()
    table = pa.table({"URL": ["u"] * 413, "TEXT": ["t"] * 413})
    pq.write_table(table, tmp_path / "laion400m" / "part-00000-x.snappy.parquet")
    (tmp_path / "millionaid" / "test").mkdir(parents=True)
    for n in range(7):
        (tmp_path / "millionaid" / "test" / f"P000000{n}.jpg").write_bytes(b"x")
    shares = shares_present(tmp_path, load_corpora(), "paper")
    assert set(shares) == {"laion400m", "millionaid"}
    assert shares["laion400m"] == pytest.approx(1e-6)
    rows = published_volumes(shares, 1.0, STAGES)
    assert rows["download"].total == pytest.approx(0.286102)
    assert rows["read_labelled"].total == pytest.approx(7, rel=0.01)


def test_a_listing_gives_the_shares_if_nothing_is_under_sources(tmp_path: Path) -> None:
    rows = [
        ("cc12m", "cc12m/cc12m.tsv", 2_707_204, None, 1.0), ("fmow", "fmow/a.jpg", 9, "fmow_a", 0.5),
        ("fmow", "fmow/a.json", 9, "fmow_a", 0.5), ("fmow", "fmow/b.jpg", 9, "fmow_b", 0.5),
        ("rs5m", "rs5m/list.csv", 50 * 30_078, None, 1.0), ("rs5m", "rs5m/train/0.tar", 98_600 * 3_008, None, 1.0),
        ("rs5mrs3", "rs5mrs3/0.tar", 98_600 * 2_062, None, 1.0),
    ]  # fmt: skip
    names = ("corpus", "path", "size_bytes", "sample_id", "pilot_share")
    listing = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    known = load_corpora()
    shares = shares_present(tmp_path, known, "paper", lambda: shares_listed(listing, known))
    assert shares == {
        "cc12m": pytest.approx(1e-3), "fmow": 4 / 727_144, "rs5m": pytest.approx(0.01, rel=1e-3),
        "rs5m tars": pytest.approx(1e-3, rel=1e-3), "rs5mrs3": pytest.approx(1e-3, rel=1e-3),
    }  # fmt: skip
    assert shares_listed(listing.slice(0, 0), known) == {}
    (tmp_path / "cc12m").mkdir()
    (tmp_path / "cc12m" / "cc12m.tsv").write_text("x")
    assert set(shares_present(tmp_path, known, "paper", lambda: shares_listed(listing, known))) == {"cc12m"}


def test_a_pilot_is_extrapolated_by_the_rows_outside_its_slice() -> None:
    found = growth(
        [run("filter", "cc3m-00000", 1000, 40, outside_pilot=440)], [(100, "1,100 files of scenes …")], 0.1, 1.0
    )
    assert found.pub11 == pytest.approx(12.0) and found.rs3 == pytest.approx(12.0)
    assert growth([], [], 0.1, 0.5).pub11 == pytest.approx(5.0)


def test_the_whole_has_duplicates_that_a_slice_does_not_show() -> None:
    few = [run("drop_duplicates", "whole", 1000, 980, near_duplicate=20)]
    assert survivors_factor(few, 10.0) == pytest.approx((1 - 0.2) / (1 - 0.02))
    by_url = [run("drop_duplicates", "whole", 1000, 980, url_duplicate=20)]
    assert survivors_factor(by_url, 1.0) == pytest.approx(1 - 1_224_790 / 5_244_251)
    assert survivors_factor([], 10.0) == 1.0


def test_the_whole_has_copies_that_a_slice_does_not_show() -> None:
    assert pictures_factor(1491, 1482, 9.18) == pytest.approx(0.95, abs=0.003)  # measured: 13,694 and 12,941 of all
    assert pictures_factor(100, 50, 10.0) == 1.0 and pictures_factor(0, 0, 10.0) == 1.0


def test_halves_are_recognised_by_the_names_of_partitions() -> None:
    runs = [run("screen", "fmow-train", 10), run("screen", "00003", 30), run("write_shards", "rs3-val-0000", 5)]
    found = halves_of(runs, 0.0)
    assert (found.pub11, found.rs3) == (30, 15)
    assert halves_of([run("cluster", "whole", 100)], 0.25).rs3 == 25


def test_each_stage_of_the_survivors_shrinks_with_them() -> None:
    of_all = {"drop_duplicates", "list_left_out", "count_funnel", "count_rs3", "count_emails"}  # also of removed rows
    after = {"survivor"}
    for stage in STAGES:
        if after & {reads.table for reads in stage.reads} and stage.name not in of_all:
            assert stage.name in AFTER_DEDUP, f"{stage.name} reads survivors: add it to AFTER_DEDUP"
            after.add(stage.writes.name)
    assert after >= {"relevant", "shard_plan", "metafile"}


def test_each_stage_with_partitions_of_urls_has_as_many_as_the_download() -> None:
    by_urls = {"fetch_pass", "fetched", "picture", "embedding", "own_caption"}
    assert {stage.name for stage in STAGES if by_urls & set(stage.partitions_from)} == BY_DOWNLOAD


def test_captions_outside_a_pilot_change_what_a_caption_costs() -> None:
    # 10 captions of 100 characters in the pilot; outside it 90 of 130, since it has too few of the longest.
    pilot = replace(
        run("filter", "cc3m-00000", 1000, 10, outside_pilot=90),
        measured={"n_characters": 1000, "n_characters_left": 90 * 130},
    )
    assert lengths_factor([pilot]) == pytest.approx((1000 + 11_700) / 100 / 100)
    assert lengths_factor([run("filter", "cc3m-00000", 1000, 10, outside_pilot=90)]) == 1.0, "an earlier receipt"
    assert lengths_factor([]) == 1.0
