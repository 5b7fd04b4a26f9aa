"""Rows keep their position and text, whatever precedes them; a damaged file is named."""

import bz2
import gzip
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.corpora import load_corpora
from stages.readers import readers, single_rows
from stages.readers.batch import (
    ROWS_SCHEMA,
    Choices,
    Damage,
    Malformed,
    SourceBatch,
    SourceFileError,
    SourceFiles,
    is_utf8,
)
from stages.readers.formats.lines import MAX_LINE_BYTES
from stages.readers.tsv import reader as tsv_reader

CORPORA = load_corpora()
LAION, COYO, CC3M, CC12M = (CORPORA[code] for code in ("laion2b", "coyo700m", "cc3m", "cc12m"))
LAION400M, COCO = CORPORA["laion400m"], CORPORA["laioncoco"]


def source_of(path: Path) -> SourceFiles:
    return SourceFiles(((path, 0),))


def read_batches(path: Path, corpus: Any, choices: Choices = Choices()) -> Iterator[SourceBatch]:  # noqa: B008
    """Yield the batches of an intact file; raise the fault of a damaged one."""
    for batch in readers.web_reader(corpus).read(source_of(path), corpus, choices, 0):
        assert isinstance(batch, SourceBatch)
        yield batch


def count_rows(path: Path, corpus: Any) -> int:
    return readers.web_reader(corpus).count(source_of(path), corpus)


def read_row(path: Path, corpus: Any, row: int) -> dict[str, Any]:
    return single_rows.read_row(source_of(path), corpus, row) or {}


def damages(path: Path, corpus: Any) -> list[Damage]:
    return [found for found in readers.read_source(source_of(path), corpus) if isinstance(found, Damage)]


def read_all(path: Path, corpus: Any, choices: Choices = Choices()) -> tuple[list[dict[str, Any]], list[Malformed]]:  # noqa: B008
    rows, malformed = [], []
    for batch in read_batches(path, corpus, choices):
        bad = {fault.source_row - batch.first_row for fault in batch.malformed}
        chosen = batch.rows(pa.array([i not in bad for i in range(len(batch.captions))], pa.bool_()))
        assert chosen.table.schema == ROWS_SCHEMA
        rows += chosen.table.to_pylist()
        malformed += [*batch.malformed, *chosen.malformed]
    return rows, malformed


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def laion(n_rows: int) -> dict[str, Any]:
    return {
        "SAMPLE_ID": pa.array([10_787_043_769 + i for i in range(n_rows)]),
        "URL": [f"http://a.com/{i}.jpg" for i in range(n_rows)],
        "TEXT": [f"caption {i}" for i in range(n_rows)],
        "WIDTH": pa.array([300 + i for i in range(n_rows)], pa.int32()),
        "HEIGHT": pa.array([400 + i for i in range(n_rows)], pa.int32()),
        "LICENSE": ["?"] * n_rows,
        "NSFW": ["UNLIKELY"] * n_rows,
        "similarity": [0.3] * n_rows,
    }


def test_laion_sizes_are_swapped_back_and_placeholder_values_are_null(tmp_path: Path) -> None:
    rows, malformed = read_all(write(tmp_path / "a.parquet", laion(3), row_group_size=2), LAION)
    assert malformed == []
    assert rows[2] == {
        "source_row": 2, "url": "http://a.com/2.jpg", "source_caption": "caption 2", "published_width_px": 402,
        "published_height_px": 302, "native_id": "10787043771", "similarity": 0.3, "image_licence": None,
        "nsfw": "UNLIKELY", "punsafe": None, "pwatermark": None, "stated_latitude_deg": None,
        "stated_longitude_deg": None, "stated_datetime": None, "native_hash": None, "language": None,
        "other_texts": None, "owner_id": None, "searched_text": None, "plain_caption": None,
    }  # fmt: skip


def test_sizes_of_the_joined_laion_files_are_not_swapped(tmp_path: Path) -> None:
    columns = laion(1) | {"punsafe": [float("nan")], "pwatermark": [0.5]}
    rows, _ = read_all(write(tmp_path / "a.parquet", columns), LAION)
    assert (rows[0]["published_width_px"], rows[0]["published_height_px"]) == (300, 400)
    assert (rows[0]["punsafe"], rows[0]["pwatermark"]) == (None, 0.5)


def test_other_spellings_and_types_of_columns_are_read(tmp_path: Path) -> None:
    columns = {
        "url": pa.array(["http://a/"]).dictionary_encode(),
        "caption": pa.array(["a"], pa.large_string()),
        "width": pa.array([1.0]),
        "height": pa.array([2**40]),
        "sample_id": pa.array([12.0]),
        "nsfw": pa.nulls(1),
        "LICENSE": pa.array([b"CC"]),
    }
    rows, _ = read_all(write(tmp_path / "a.parquet", columns, store_schema=False), LAION)
    assert rows[0]["url"] == "http://a/"
    assert (rows[0]["published_width_px"], rows[0]["published_height_px"]) == (None, 1)
    assert (rows[0]["native_id"], rows[0]["image_licence"]) == ("12", "CC")


@pytest.mark.parametrize("n_rows", [0, 1, 70_000])
def test_batches_cover_every_row_of_all_row_groups_once(tmp_path: Path, n_rows: int) -> None:
    path = write(tmp_path / "a.parquet", laion(n_rows), row_group_size=40_001)
    seen = [(b.first_row, len(b.captions)) for b in read_batches(path, LAION)]
    assert sum(n for _, n in seen) == n_rows == count_rows(path, LAION)
    assert all(first + n == following for (first, n), (following, _) in pairwise(seen))


def test_chosen_rows_are_correct_when_batches_are_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", laion(120_000), row_group_size=100_000)
    wanted, found = {70_001, 99_999, 100_000, 119_999}, []
    for batch in read_batches(path, LAION):
        mask = pa.array([batch.first_row + i in wanted for i in range(len(batch.captions))])
        found += batch.rows(mask).table.to_pylist()
    assert [row["source_row"] for row in found] == sorted(wanted)
    assert all(row["url"] == f"http://a.com/{row['source_row']}.jpg" for row in found)
    assert all(row["source_caption"] == f"caption {row['source_row']}" for row in found)


def test_invalid_utf8_in_parquet_is_a_fault_of_its_row(tmp_path: Path) -> None:
    raw = {"URL": [b"u0", b"u\xff", b"u2", b"u3"], "TEXT": [b"a", b"b", b"c\xc3", b"d"]}
    path = write(tmp_path / "a.parquet", raw)
    rows, malformed = read_all(path, LAION)
    assert [row["source_row"] for row in rows] == [0, 3]
    assert sorted((f.source_row, f.reason) for f in malformed) == [(1, "invalid_utf8"), (2, "invalid_utf8")]
    assert read_row(path, LAION, 3)["url"] == "u3"
    for bad in (1, 2):
        assert read_row(path, LAION, bad)["reason"] == "invalid_utf8"


def test_one_row_can_be_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", laion(50), row_group_size=20)
    assert read_row(path, LAION, 45)["source_caption"] == "caption 45"
    assert [read_row(path, LAION, row) for row in (-1, 50)] == [{}, {}]


def _damage(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    contents = {
        "truncated": whole[:middle],
        "not parquet": b"caption\turl\n" * 100,
        "empty": b"",
        "footer only": b"PAR1" + whole[-200:],
        "zeroed data": whole[:4] + bytes(middle) + whole[middle + 4 :],
    }
    path.write_bytes(contents[kind])


@pytest.mark.parametrize("kind", ["truncated", "not parquet", "empty", "footer only"])
def test_a_parquet_file_without_footer_counts_as_one_damaged_row(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.parquet", laion(2000))
    _damage(path, kind)
    (found,) = damages(path, LAION)
    assert found[:3] == (0, 1, "damaged_source") and path.name in found.detail
    assert count_rows(path, LAION) == 1


def test_all_rows_of_a_parquet_file_with_zeroed_data_are_damaged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", laion(2000))
    _damage(path, "zeroed data")
    assert [found[:3] for found in damages(path, LAION)] == [(0, 2000, "damaged_source")]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"URL": ["u"]}, "expected a column TEXT or caption"),
        ({"TEXT": ["a"]}, "expected a column URL"),
        ({"URL": ["u"], "TEXT": [1]}, "expected text in column TEXT, found int64"),
        ({"URL": [1.5], "TEXT": ["a"]}, "expected text in column URL"),
        ({"URL": ["u"], "Text": ["a"], "text": ["b"]}, "expected one column TEXT"),
        ({"URL": ["u"], "TEXT": [["a"]]}, "expected text in column TEXT"),
    ],
)
def test_missing_columns_and_wrong_types_are_refused(tmp_path: Path, columns: dict[str, Any], complaint: str) -> None:
    path = write(tmp_path / "a.parquet", columns)
    (found,) = damages(path, LAION)
    assert found[:3] == (0, count_rows(path, LAION), "wrong_columns")
    assert complaint in found.detail and path.name in found.detail


def test_a_missing_parquet_file_is_one_damaged_row(tmp_path: Path) -> None:
    assert [found[:3] for found in damages(tmp_path / "no", LAION)] == [(0, 1, "damaged_source")]
    assert count_rows(tmp_path / "no", LAION) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    corpus = CC3M
    for read in (lambda: list(read_batches(tmp_path / "no", corpus)), lambda: count_rows(tmp_path / "no", corpus)):
        with pytest.raises(SourceFileError, match=str(tmp_path / "no")):
            read()


def tsv_by_loop(data: bytes, is_last_rest: bool) -> tuple[list[tuple[int, str, str]], list[tuple[int, str]]]:
    lines = data.split(b"\n")
    rows, malformed = [], []
    for row, line in enumerate(lines[:-1] if not lines[-1] else lines):
        fields = line.rstrip(b"\r").decode(errors="replace").split("\t", 1 if is_last_rest else -1)
        is_last = bool(lines[-1]) and row == len(lines) - 1
        if b"\0\0\0\0" in line:
            malformed.append((row, "damaged_source"))
        elif not is_utf8(pa.py_buffer(line)):
            is_torn = len(fields) != 2 or b"\x00" in line or is_last
            malformed.append((row, "damaged_source" if is_torn else "invalid_utf8"))
        elif len(fields) != 2:
            malformed.append((row, "damaged_source" if is_last else "wrong_field_count"))
        else:
            rows.append((row, fields[0], fields[1]))
    return rows, malformed


def check_tsv(path: Path, data: bytes, block_bytes: int, corpus: Any = CC3M) -> None:
    path.write_bytes(data)
    first, second = ("source_caption", "url") if corpus is CC3M else ("url", "source_caption")
    rows, malformed, n_rows = [], [], 0
    for batch in tsv_reader.read_batches(path, corpus, 0, block_bytes):
        assert batch.first_row == n_rows
        n_rows += len(batch.captions)
        batch.captions.validate(full=True)
        good = batch.captions.is_valid()
        rows += batch.rows(good).table.select(["source_row", first, second]).to_pylist()
        malformed += [(f.source_row, f.reason) for f in batch.malformed]
    expected, expected_malformed = tsv_by_loop(data, corpus is CC12M)
    assert [tuple(row.values()) for row in rows] == expected
    assert malformed == expected_malformed
    assert count_rows(path, corpus) == n_rows == len(expected) + len(expected_malformed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"a\tb",
        b"a\tb\n",
        b"a\tb\r\nc\td\r\n",
        b"\t\n\t",
        b"a\n\nb\tc\td\n\xff\tx\n\xc3\n\xa9\t\n",
        b"nul\x00\tu\x00\n",
        b'"quoted\tu"\n',
        b"x\ty\n" * 50 + b"bad \xf0\x9f\n" + "ü\té\n".encode() * 50,
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2, 7, 64, 1 << 24])
def test_tsv_lines_are_split_like_by_a_loop(tmp_path: Path, data: bytes, block_bytes: int) -> None:
    for corpus in (CC3M, CC12M):
        check_tsv(tmp_path / "a.tsv", data, block_bytes, corpus)


LINES = st.lists(
    st.sampled_from([b"a", b"\t", b"\n", b"\r", b"\x00", "é".encode(), b"\xc3", b"\xff", b'"']), max_size=40
)


@settings(max_examples=300, deadline=None)
@given(LINES.map(b"".join), st.integers(1, 50), st.sampled_from([CC3M, CC12M]))
def test_any_tsv_lines_are_split_like_by_a_loop(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block_bytes: int, corpus: Any
) -> None:
    check_tsv(tmp_path_factory.getbasetemp() / "general.tsv", data, block_bytes, corpus)


def test_a_caption_of_cc12m_is_the_rest_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "cc12m.tsv"
    path.write_bytes(b'http://a/0\tan "aerial\tview\tof <PERSON>\nno tab\nhttp://a/2\t\n')
    rows, malformed = read_all(path, CC12M)
    assert [(row["url"], row["source_caption"]) for row in rows] == [
        ("http://a/0", 'an "aerial\tview\tof <PERSON>'), ("http://a/2", ""),
    ]  # fmt: skip
    assert malformed == [Malformed(1, "wrong_field_count", "1 fields, expected 2")]
    assert CC12M.part_of("cc12m.tsv") == 0 and CC12M.is_ignored("cc_hashes/cc12m.tsv.gz")
    assert CC3M.is_ignored("Validation_GCC-1.1.0-Validation.tsv") and not CC3M.is_ignored("GCC-training.tsv")


def test_a_field_larger_than_any_caption_is_rejected_and_the_next_row_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"a\thttp://a/0\n" + b"\xff" * (MAX_LINE_BYTES + 9) + b"\thttp://a/1\nc\thttp://a/2\n")
    rows, malformed = read_all(path, CC3M)
    assert [row["source_row"] for row in rows] == [0, 2]
    assert malformed == [Malformed(1, "field_too_large", f"a line of more than {MAX_LINE_BYTES} bytes")]
    assert count_rows(path, CC3M) == 3


@pytest.mark.parametrize("n_rows", [2, 60_000])
def test_lines_that_end_with_cr_alone_are_damage_that_says_what_to_do(tmp_path: Path, n_rows: int) -> None:
    for corpus, row in ((CC3M, b"landsat\thttp://a.example/1\r"), (CC12M, b"http://a.example/1\tlandsat\r")):
        path = tmp_path / "a.tsv"
        path.write_bytes(row * n_rows)
        (damage,) = damages(path, corpus)
        assert "CR stands between them: convert line ends to LF" in damage.detail


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
@pytest.mark.parametrize("n_lost", [0, 3])
def test_a_truncated_compressed_tsv_gives_its_rows_and_one_damaged_stretch(
    tmp_path: Path, suffix: str, pack: Any, n_lost: int
) -> None:
    path = tmp_path / f"a.tsv{suffix}"
    lines = b"".join(b"caption %d\thttp://a/%d\n" % (n, n) for n in range(50))
    path.write_bytes(pack(lines[: len(lines) - n_lost]) + pack(b"more\n")[:9])
    *batches, damage = readers.read_source(source_of(path), CC3M)
    assert isinstance(damage, Damage) and damage.n_rows == 1
    n_rows = sum(len(batch.captions) for batch in batches if isinstance(batch, SourceBatch))
    assert n_rows == damage.first_row == 50 - bool(n_lost)
    assert readers.count_source(source_of(path), CC3M) == n_rows + 1


def test_one_line_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"a\tu0\nbad\nc\tu2")
    assert read_row(path, CC3M, 2)["url"] == "u2"
    assert read_row(path, CC3M, 1) == {
        "source_row": 1, "reason": "wrong_field_count", "detail": "1 fields, expected 2",
    }  # fmt: skip
    assert read_row(path, CC3M, 3) == {}
