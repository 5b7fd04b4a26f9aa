"""The generated world's source files have the planned content in the publishers' formats."""

import csv
import gzip
import io
import json
import zipfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.demo.world.corpora import COCO, LAION, LAION400M, LARGE, REDCAPS, SBU, VG, WEB, WIT, YFCC
from flows.demo.world.places import place
from flows.demo.world.plan import Plan
from flows.demo.world.rows import Row
from flows.demo.world.source_reading import SourceRow, read_sources
from flows.demo.world.world import World, holds_keyword

ANYWHERE = {"no_caption", "no_keyword", "no_url"}
IN_SOME = {
    "laion400m": {"shifted_row"},
    "wit": {"wrong_field_count", "invalid_utf8"},
    "yfcc15m": {"wrong_field_count", "invalid_utf8", "no_metadata_row", "listed_again"},
    "cc12m": {"wrong_field_count", "invalid_utf8"},
    "cc3m": {"wrong_field_count", "invalid_utf8"},
    "redcaps": {"bad_record", "listed_again"},
    "vg": {"listed_again"},
}  # fmt: skip
CAPTIONS_OF_WIT = ("caption_reference_description", "caption_attribution_description", "caption_alt_text_description")


@pytest.fixture(scope="module")
def planned(world: World) -> list[Row]:
    placed = place(Plan(world.n_rows, world.seed, world.port).rows, world.seed)
    return [row for rows in placed.values() for row in rows]


@pytest.fixture(scope="module")
def found(world: World) -> list[SourceRow]:
    return read_sources(world.sources)


@pytest.mark.parametrize("corpus", WEB)
def test_each_planned_row_is_in_its_file_with_its_caption_and_url(
    corpus: str, planned: list[Row], found: list[SourceRow]
) -> None:
    wanted = [row for row in planned if row.corpus == corpus]
    rows = [row for row in found if row.sample_id.startswith(f"{corpus}_")]
    assert len(rows) == len(wanted) > 10
    by_id = {(row.sample_id, row.fault == "listed_again"): row for row in rows}
    assert len(by_id) == len(rows)
    for row in wanted:
        one = by_id[row.sample_id, row.reason == "listed_again"]
        assert one.url == row.url or (one.url or "") == (row.url or "")
        if not row.reason or row.reason in ANYWHERE or row.stage != "filter":
            text = one.caption
            if corpus == YFCC and row.caption is not None:  # a blank caption cannot be split into title and description
                assert (text or "").strip() == row.caption.strip()
            else:
                assert text == row.caption, row
        assert one.reason == (row.reason if row.stage == "filter" else ""), row


@pytest.mark.parametrize("corpus", WEB)
def test_every_fate_of_a_format_occurs_three_times_in_each_corpus(corpus: str, world: World) -> None:
    fates = [fate for fate in world.web_fates if fate.corpus == corpus]
    n_rows = Counter(fate.reason for fate in fates if fate.stage == "filter")
    assert set(n_rows) == ANYWHERE | IN_SOME.get(corpus, set())
    assert min(n_rows.values()) >= 3
    assert sum(fate.fate == "kept" for fate in fates) >= 3


def test_the_large_corpora_are_the_largest(world: World) -> None:
    n_rows = Counter(fate.corpus for fate in world.web_fates)
    assert {corpus for corpus, _ in n_rows.most_common(2)} == set(LARGE)
    assert set(n_rows) == set(WEB)


def test_laion_400m_has_its_own_column_order_and_shifted_rows(world: World) -> None:
    tables = [pq.read_table(path) for path in sorted((world.sources / LAION400M).iterdir())]
    types = {
        "SAMPLE_ID": pa.int64(), "URL": pa.string(), "TEXT": pa.string(), "HEIGHT": pa.int32(), "WIDTH": pa.int32(),
        "LICENSE": pa.string(), "NSFW": pa.string(), "similarity": pa.float64(),
    }  # fmt: skip
    assert [dict(zip(table.schema.names, table.schema.types, strict=True)) for table in tables] == [types, types]
    rows = [row for table in tables for row in table.to_pylist()]
    wild = [row for row in rows if not -1 <= row["similarity"] <= 1]
    assert {holds_keyword(row["TEXT"] or "") for row in wild} == {True, False}
    assert len(wild) < len(rows) / 3


def test_laion_coco_has_keywords_in_captions_and_as_traps_across_captions_and_in_the_alt_text(world: World) -> None:
    rows = [row for path in sorted((world.sources / COCO).iterdir()) for row in pq.read_table(path).to_pylist()]
    n_found: Counter[str] = Counter()
    for row in rows:
        top, captions = row["top_caption"] or "", row["all_captions"] or []
        if any(map(holds_keyword, captions)):
            n_found["in all, not in top"] += not holds_keyword(top)
        elif holds_keyword(top):
            n_found["in top alone"] += 1
        elif holds_keyword(row["TEXT"] or ""):
            n_found["in alt text, with captions"] += bool(top.strip())
            n_found["in alt text, without"] += not top.strip()
        else:
            n_found["at a seam of all"] += any(map(holds_keyword, (" ".join(captions), "".join(captions))))
            joined = (between.join((top, *captions)) for between in ("", " "))
            n_found["at a seam"] += any(map(holds_keyword, joined))
        assert row["all_captions"] is None or len(row["all_similarities"]) == len(captions)
    assert n_found["at a seam"] > n_found["at a seam of all"]
    assert len(n_found) == 6 and min(n_found.values()) >= 2, n_found


def test_laion_coco_shares_urls_with_laion_2b_which_survives(world: World) -> None:
    urls = {fate.sample_id: fate.url for fate in world.web_fates}
    pairs = [fate for fate in world.web_fates if fate.corpus == COCO and fate.survivor.startswith(f"{LAION}_")]
    assert any(fate.reason == "url_duplicate" and urls[fate.survivor] in fate.url for fate in pairs)


def test_wit_needs_a_reader_of_quoted_fields(world: World) -> None:
    for path in sorted((world.sources / WIT).iterdir()):
        text = gzip.decompress(path.read_bytes()).decode(errors="replace")
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
        assert text.count("\n") > len(records) + 3
        assert '""' in text
        header = records[0]
        assert len(header) == 17 and header[10:12] == ["original_height", "original_width"]
        rows = [dict(zip(header, fields, strict=True)) for fields in records[1:] if len(fields) == 17]
        assert len({row["language"] for row in rows}) > 3
        firsts = [next((row[name] for name in CAPTIONS_OF_WIT if row[name].strip()), "") for row in rows]
        traps = [
            row for row, first in zip(rows, firsts, strict=True)
            if not holds_keyword(first) and holds_keyword(row[CAPTIONS_OF_WIT[2]])
        ]  # fmt: skip
        assert traps


def test_wit_has_planned_rows_in_all_languages(world: World) -> None:
    languages = Counter()
    kept = {fate.sample_id for fate in world.web_fates if fate.corpus == WIT and fate.stage != "filter"}
    for path in sorted((world.sources / WIT).iterdir()):
        text = gzip.decompress(path.read_bytes()).decode(errors="replace")
        part = int(path.name.split("-")[1])
        for n, fields in enumerate(list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))[1:]):
            languages[fields[0]] += f"{WIT}_{part}_{n}" in kept
    assert sum(n > 0 for n in languages.values()) > 3


def test_captions_of_cc12m_contain_tabs_and_quotes(world: World) -> None:
    lines = (world.sources / "cc12m" / "cc12m.tsv").read_bytes().split(b"\n")
    assert sum(line.count(b"\t") > 1 for line in lines) >= 2
    assert sum(line.count(b'"') % 2 for line in lines) >= 1
    assert sum(b"<PERSON>" in line for line in lines) >= 2


def test_sbu_is_one_object_of_parallel_lists(world: World) -> None:
    text = (world.sources / SBU / "sbu-captions-all.json").read_bytes()
    lists = json.loads(text)
    assert list(lists) == ["image_urls", "user_ids", "captions"]
    assert len({len(values) for values in lists.values()}) == 1
    assert text.isascii() and any(not caption.isascii() for caption in lists["captions"])


def test_visual_genome_is_joined_by_id(world: World) -> None:
    with zipfile.ZipFile(world.sources / VG / "image_data.json.zip") as archive:
        assert archive.namelist() == ["image_data.json"]
        images = json.loads(archive.read("image_data.json"))
    regions = json.loads((world.sources / VG / "region_descriptions.json").read_text())
    described = [entry["id"] for entry in regions]
    listed = list(dict.fromkeys(image["image_id"] for image in images))
    assert len(set(described)) == len(described) and set(described) < set(listed)
    assert described != [image_id for image_id in listed if image_id in set(described)]
    phrases = [[region["phrase"] for region in entry["regions"]] for entry in regions]
    assert [] in phrases and any(phrase.endswith(" ") and phrase.strip() for one in phrases for phrase in one)
    at_seams = [one for one in phrases if not any(map(holds_keyword, one))]
    assert any(holds_keyword(" ".join(one)) or holds_keyword("".join(one)) for one in at_seams)


def test_redcaps_records_are_numbered_across_all_files(world: World) -> None:
    paths = sorted((world.sources / REDCAPS / "annotations").iterdir())
    files = [json.loads(path.read_text()) for path in paths]
    assert not files[0]["annotations"] and len(files) == 4
    assert all("info" in file for file in files)
    records = [record for file in files for record in file["annotations"]]
    bad = [n for n, record in enumerate(records) if not isinstance(record, dict) or "image_id" not in record]
    assert {f"{REDCAPS}_0_{n}" for n in bad} == {
        fate.sample_id for fate in world.web_fates if fate.reason == "bad_record"
    }
    assert {isinstance(records[n], dict) for n in bad} == {True, False}
    ids = [
        {record["image_id"] for record in file["annotations"] if isinstance(record, dict) and "image_id" in record}
        for file in files
    ]
    assert sum(map(len, ids)) == len(records) - len(bad), "a file has the same id twice"
    raw = [record for record in records if isinstance(record, dict)]
    hidden = [one for one in raw if holds_keyword(one["raw_caption"]) and not holds_keyword(one["caption"])]
    assert {bool(one["caption"]) for one in hidden} == {True, False}


def test_compressed_files_contain_no_time_stamp(world: World) -> None:
    for path in sorted((world.sources / WIT).iterdir()):
        assert path.read_bytes()[4:8] == bytes(4)
    with zipfile.ZipFile(world.sources / VG / "image_data.json.zip") as archive:
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)
