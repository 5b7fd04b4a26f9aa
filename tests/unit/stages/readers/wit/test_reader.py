"""WIT records keep their position and texts; a stray quote, bad bytes or a cut lose few rows, which are counted."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.corpora import load_corpora
from schemas.manifests import load_keywords
from stages.filter.filtering import Filtered, Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers import readers, single_rows
from stages.readers.batch import Choices, Damage, SourceBatch, SourceFileError, SourceFiles
from stages.readers.wit.reader import read_batches, read_header
from stages.readers.wit.texts import LANGUAGE_NAMES, without_language_name

WIT = load_corpora()["wit"]
KEYWORDS = load_keywords()
RULES = StrictRules(KEYWORDS.strict)
HEADER = (
    "language", "page_url", "image_url", "page_title", "section_title", "hierarchical_section_title",
    "caption_reference_description", "caption_attribution_description", "caption_alt_text_description", "mime_type",
    "original_height", "original_width", "is_main_image", "attribution_passes_lang_id", "page_changed_recently",
    "context_page_description", "context_section_description",
)  # fmt: skip
KAGGLE = (*HEADER, "caption_title_and_reference_description")


def record(number: int, reference: str = "", attribution: str = "", alt: str = "", **others: str) -> dict[str, str]:
    """Return a WIT record; every third one has a text with several lines."""
    return {
        "language": "en", "page_url": "https://en.wikipedia.org/wiki/X", "image_url": f"https://a/{number}.jpg",
        "page_title": 'The "X"', "caption_reference_description": reference,
        "caption_attribution_description": attribution, "caption_alt_text_description": alt, "mime_type": "image/jpeg",
        "original_height": str(300 + number), "original_width": str(400 + number), "is_main_image": "false",
        "context_section_description": 'One "line".\n\nAnother.' if number % 3 == 0 else "Aerial view, not searched",
    } | others  # fmt: skip


def as_lines(records: list[dict[str, str]], header: tuple[str, ...] = HEADER) -> list[bytes]:
    """Return the header and the records in the form of WIT's writer."""
    lines = []
    for row in [dict(zip(header, header, strict=True)), *records]:
        text = io.StringIO()
        csv.DictWriter(text, header, restval="", delimiter="\t", lineterminator="\n").writerow(row)
        lines.append(text.getvalue().encode())
    return lines


def write(folder: Path, data: bytes, name: str = "wit_v1.train.all-00007-of-00010.tsv.gz") -> SourceFiles:
    path = folder / name
    path.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    return SourceFiles(((path, 7),))


def filtered(source: SourceFiles, **choices: Any) -> Filtered:
    """Filter a file and check that every row is accounted for."""
    found = filter_source(source, WIT, Search(KEYWORDS.patterns(), RULES, choices=Choices(**choices)))
    counts = dict(found.counts)
    assert counts.pop("given") == sum(counts.values())
    ids = [*found.candidates["sample_id"].to_pylist(), *found.malformed["sample_id"].to_pylist()]
    assert len(ids) == len(set(ids))
    assert found.candidates.num_rows == counts["kept"]
    return found


def some(found: Filtered) -> dict[str, int]:
    return {name: n for name, n in found.counts.items() if n}


@pytest.mark.parametrize("header", [HEADER, KAGGLE, tuple(reversed(HEADER))])
def test_the_first_text_is_the_caption_and_columns_are_found_by_name(tmp_path: Path, header: tuple[str, ...]) -> None:
    records = [
        record(0, "Landsat, a reference", "English: an attribution", "an alt text"),
        record(1, " \u3000", "Deutsch: Landsat, eine\nZuschreibung", " "),
        record(2, "", "", 'Landsat, an "alt" text', original_height="", original_width="1.5"),
        record(3, "Galego: Landsat stays", "", "Landsat", language="gl"),
        record(4, "", "Landsat: no language", "English: Landsat"),
        record(5),
    ]
    found = filtered(write(tmp_path, b"".join(as_lines(records, header))))
    assert some(found) == {"given": 6, "kept": 5, "no_caption": 1}
    rows = found.candidates.to_pylist()
    assert [row["sample_id"] for row in rows] == [f"wit_7_{n}" for n in range(5)]
    assert [row["source_caption"] for row in rows] == [
        "Landsat, a reference", "Deutsch: Landsat, eine\nZuschreibung", 'Landsat, an "alt" text',
        "Galego: Landsat stays", "Landsat: no language",
    ]  # fmt: skip
    assert [row["caption"] for row in rows] == [
        "Landsat, a reference", "Landsat, eine Zuschreibung", 'Landsat, an "alt" text', "Galego: Landsat stays",
        "Landsat: no language",
    ]  # fmt: skip
    assert [row["other_texts"] for row in rows] == [
        ["English: an attribution", "an alt text"], None, None, ["Landsat"], ["English: Landsat"],
    ]  # fmt: skip
    assert [(row["published_width_px"], row["published_height_px"]) for row in rows] == [
        (400, 300), (401, 301), (None, None), (403, 303), (404, 304),
    ]  # fmt: skip
    assert [row["language"] for row in rows] == ["en", "en", "en", "gl", "en"]
    assert rows[1]["url"] == "https://a/1.jpg" and rows[0]["native_id"] is None


def test_other_languages_are_counted_and_not_searched(tmp_path: Path) -> None:
    records = [
        record(n, "Landsat" if n % 2 else "", language=language)
        for n, language in enumerate(("en", "en", "de", "de", "en-simple", ""))
    ]
    source = write(tmp_path, b"".join([*as_lines(records), b"short\tline\n"]))
    found = filtered(source, wit_languages=("en", "nl"))
    assert some(found) == {"given": 7, "kept": 1, "no_caption": 1, "other_language": 4, "wrong_field_count": 1}
    assert some(filtered(source)) == {"given": 7, "kept": 3, "no_caption": 3, "wrong_field_count": 1}
    again = single_rows.read_row(source, WIT, 3, Choices(wit_languages=("en",)))
    assert again is not None and (again["reason"], again["language"]) == ("other_language", "de")


def test_a_prefix_is_only_removed_if_it_is_the_name_of_a_language() -> None:
    texts = {
        "English: Coin of Ukraine Русский: Юбилейная монета": "Coin of Ukraine Русский: Юбилейная монета",
        "Français : Vue du ciel": "Vue du ciel", "Русский: Снимок": "Снимок", "中文（繁體）：衛星": "衛星",
        "Српски / srpski: Слика": "Слика", "日本語: 地図": "地図", "Norsk bokmål: Kart": "Kart",
        "العربية: صورة": "صورة",
        "Landsat: a view": "Landsat: a view", "Photo: NASA": "Photo: NASA", "English garden": "English garden",
        "A text in English: here": "A text in English: here", "Englishman: a man": "Englishman: a man", "": "",
    }  # fmt: skip
    assert {text: without_language_name(text) for text in texts} == texts
    assert len(set(LANGUAGE_NAMES)) == len(LANGUAGE_NAMES) > 100
    assert {without_language_name(f"{name}: x") for name in LANGUAGE_NAMES} == {"x"}


def test_invalid_utf8_rejects_its_row_and_nul_does_not(tmp_path: Path) -> None:
    lines = as_lines([record(n, "Landsat MARK", page_title="TITLE") for n in range(4)])
    lines[2] = lines[2].replace(b"TITLE", b"\xff")
    lines[3] = lines[3].replace(b"MARK", b"\x00 \xc3\xa9")
    lines[4] = lines[4].replace(b"MARK", b"\xc3")
    source = write(tmp_path, b"".join(lines))
    found = filtered(source)
    assert found.candidates["source_caption"].to_pylist() == ["Landsat MARK", "Landsat \x00 é"]
    assert found.candidates["caption"].to_pylist() == ["Landsat MARK", "Landsat é"]
    assert found.malformed["sample_id"].to_pylist() == ["wit_7_1", "wit_7_3"]
    assert found.malformed["reason"].unique().to_pylist() == ["invalid_utf8"]


@pytest.mark.parametrize("column", ["page_title", "context_page_description", "context_section_description"])
def test_a_stray_quote_only_loses_its_own_row(tmp_path: Path, column: str) -> None:
    n_rows = 60
    lines = as_lines([record(n, f"Landsat {n}", **({column: "STRAY"} if n == 30 else {})) for n in range(n_rows)])
    lines[31] = lines[31].replace(b"STRAY", b'"La Nube')
    found = filtered(write(tmp_path, b"".join(lines)))
    assert some(found) == {"given": n_rows, "kept": n_rows - 1, "wrong_field_count": 1}
    assert found.malformed["sample_id"].to_pylist() == ["wit_7_30"]
    assert [row["source_caption"] for row in found.candidates.to_pylist()] == [
        f"Landsat {n}" for n in range(n_rows) if n != 30
    ]


@pytest.mark.parametrize("name", ["wit_v1.train.all-00000-of-00010.tsv", "wit_v1.train.all-00000-of-00010.tsv.gz"])
def test_rows_do_not_depend_on_the_block_size(tmp_path: Path, name: str) -> None:
    lines = as_lines([record(n, f"caption {n}") for n in range(50)])
    lines[20] = lines[20].replace(b"caption", b'"caption')
    source = write(tmp_path, b"".join(lines).removesuffix(b"\n"), name)
    for block_bytes in (1, 7, 400, 5000):
        captions, malformed = [], []
        for batch in read_batches(source.files[0][0], 0, WIT, Choices(), 0, block_bytes):
            assert batch.first_row == len(captions)
            captions += batch.captions.to_pylist()
            malformed += batch.malformed
        assert captions == [None if n == 19 else f"caption {n}" for n in range(50)]
        assert [fault.source_row for fault in malformed] == [19]


@pytest.mark.parametrize("at_line_end", [True, False])
def test_a_truncated_file_gives_its_rows_and_one_damaged_stretch(tmp_path: Path, at_line_end: bool) -> None:
    lines = as_lines([record(n, "Landsat") for n in range(40)])
    head = b"".join(lines[:31]) + (b"" if at_line_end else lines[31][:-1])
    source = write(tmp_path, b"")
    source.files[0][0].write_bytes(gzip.compress(head, 1) + gzip.compress(b"more")[:7])
    *_, damage = readers.read_source(source, WIT)
    assert isinstance(damage, Damage) and damage[:3] == (30, 1, "damaged_source") and damage.part == 7
    assert some(filtered(source)) == {"given": 31, "kept": 30, "damaged_source": 1}


@pytest.mark.parametrize(
    "first",
    [b"", b"\n", b"language\timage_url\n", b"\xff\n", b"a\rb\n", b"x" * 3_000_000, "\t".join(HEADER[1:]).encode()],
)
def test_another_header_is_refused_with_the_files_name(tmp_path: Path, first: bytes) -> None:
    source = write(tmp_path, first, "wit_v1.train.all-00000-of-00010.tsv")
    with pytest.raises(SourceFileError, match="expected a header of 17 columns") as caught:
        read_header(source.files[0][0], WIT)
    assert caught.value.reason == "wrong_columns"
    assert some(filtered(source)) == {"given": 1, "wrong_columns": 1}


def test_one_row_can_be_read_again(tmp_path: Path) -> None:
    source = write(tmp_path, b"".join([*as_lines([record(n, f"text {n}") for n in range(9)]), b"a\tb\n"]))
    assert (single_rows.read_row(source, WIT, 6) or {})["source_caption"] == "text 6"
    assert (single_rows.read_row(source, WIT, 9) or {})["reason"] == "wrong_field_count"
    assert single_rows.read_row(source, WIT, 10) is None


@pytest.mark.parametrize(
    ("path", "part", "is_ignored"),
    [
        ("wit_v1.train.all-00003-of-00010.tsv.gz", 3, False), ("a/wit_v1.train.all-00009-of-00010.tsv", 9, False),
        ("wit_v1.train.all-1percent_sample.tsv.gz", None, True), ("wit_v1.val.all-00001-of-00005.tsv.gz", None, True),
        ("wit_v1.test.all-00001-of-00005.tsv.gz", None, True), ("wit_v1.train.tsv", None, False),
    ],
)  # fmt: skip
def test_training_files_are_read_and_other_published_files_ignored(
    path: str, part: int | None, is_ignored: bool
) -> None:
    assert (WIT.part_of(path), WIT.is_ignored(path)) == (part, is_ignored)
    assert all(WIT.match_file(name) for name in WIT.sha256) and len(WIT.sha256) == 10


RECORDS = as_lines([record(1, "Landsat"), record(3, "", "English: USGS", language="de")])[1:]
PIECES = st.sampled_from(
    [b"Landsat", b"dog", b"\t", b"\n", b'"', b"\t" * 6, b"\t" * 16, b"\r", b"\xff", b"\x00", b"en", *RECORDS]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(0, 300), st.booleans())
def test_all_rows_are_accounted_for_with_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, n_lost: int, is_english: bool
) -> None:
    source = write(tmp_path_factory.getbasetemp(), as_lines([])[0] + data)
    path = source.files[0][0]
    path.write_bytes(path.read_bytes()[: -n_lost or None])
    found = filtered(source, wit_languages=("en",) if is_english else ())
    assert not n_lost or found.counts["damaged_source"] + found.counts["wrong_columns"] > 0


def test_batches_of_a_damaged_file_come_before_its_damage(tmp_path: Path) -> None:
    source = write(tmp_path, b"".join(as_lines([record(n, "Landsat") for n in range(3)])) + b"open\n")
    whole = list(readers.read_source(source, WIT))
    assert all(isinstance(found, SourceBatch) for found in whole)
    assert sum(len(found.captions) for found in whole if isinstance(found, SourceBatch)) == 4
