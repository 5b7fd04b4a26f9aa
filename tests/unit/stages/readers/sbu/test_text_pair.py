"""The n-th URL is paired with the n-th caption, or the pair is rejected."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.corpora import load_corpora
from schemas.corpus import Corpus
from stages.contract import InputError
from stages.readers.batch import Choices, Damage, Malformed, SourceBatch, SourceFileError, SourceFiles
from stages.readers.formats.lines import MAX_LINE_BYTES
from stages.readers.sbu import text_pair

PAIR = Corpus(
    **load_corpora()["cc3m"].model_dump(exclude={"code", "title", "companion_pattern", "columns", "reader"}),
    code="sbu",
    title="Pair",
    reader="sbu",
    companion_pattern=r"captions\.txt(?:\.gz)?",
)


def write(folder: Path, urls: bytes, captions: bytes, suffix: str = "") -> SourceFiles:
    paths = folder / f"urls.txt{suffix}", folder / f"captions.txt{suffix}"
    for path, data in zip(paths, (urls, captions), strict=True):
        path.write_bytes(data)
    return SourceFiles(((paths[0], 0),), (paths[1],))


def read_all(batches: Any) -> tuple[list[tuple[int, str, str]], list[Malformed]]:
    rows: list[tuple[int, str, str]] = []
    malformed: list[Malformed] = []
    for batch in batches:
        good = batch.rows(pa.array(batch.captions.is_valid())).table
        rows += [tuple(row.values()) for row in good.select(["source_row", "url", "source_caption"]).to_pylist()]
        malformed += batch.malformed
        assert len(rows) + len(malformed) == batch.first_row + len(batch.captions)
    return rows, malformed


LINES = st.lists(st.sampled_from([b"a", b"Landsat\tx", b"", b"\xff", "é".encode(), b"\r"]), max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(LINES.map(b"".join), LINES.map(b"".join)), max_size=12), st.integers(1, 30))
def test_lines_are_paired_like_by_a_loop(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[bytes, bytes]], block_bytes: int
) -> None:
    urls, captions = (b"".join(pair[side] + b"\n" for pair in pairs) for side in (0, 1))
    source = write(tmp_path_factory.getbasetemp(), urls, captions)
    paths = source.files[0][0], source.companions[0]
    rows, malformed = read_all(text_pair.read_batches(*paths, 0, len(pairs), block_bytes))
    is_good = [b"\xff" not in url + caption for url, caption in pairs]
    assert rows == [
        (n, url.decode().rstrip("\r"), text.decode().rstrip("\r")) for n, (url, text) in enumerate(pairs) if is_good[n]
    ]
    assert [fault.source_row for fault in malformed] == [n for n, good in enumerate(is_good) if not good]
    assert text_pair.count(source, PAIR) == len(pairs)


def test_a_bad_line_is_rejected_with_its_fault(tmp_path: Path) -> None:
    large = b"x" * (MAX_LINE_BYTES + 1)
    source = write(tmp_path, b"u0\n\xff\nu2\nu3", b"c0\n\xff\n" + large + b"\nc3\n")
    rows, malformed = read_all(text_pair.read(source, PAIR, Choices()))
    assert rows == [(0, "u0", "c0"), (3, "u3", "c3")]
    assert [(fault.source_row, fault.reason, fault.detail.split()[0]) for fault in malformed] == [
        (1, "invalid_utf8", "URL:"), (2, "field_too_large", "caption"),
    ]  # fmt: skip
    assert text_pair.count(source, PAIR) == 4
    assert list(text_pair.read(source, PAIR, Choices(), 4)) == []


def test_files_of_different_lengths_are_one_damaged_stretch(tmp_path: Path) -> None:
    for urls, captions in ((b"u0\nu1\nu2\n", b"c0\nc1\n"), (b"u0\nu1", b"c0\nc1\nc2")):
        source = write(tmp_path, urls, captions)
        (lost,) = text_pair.read(source, PAIR, Choices())
        assert isinstance(lost, Damage) and (lost.first_row, lost.n_rows, lost.reason) == (0, 3, "damaged_source")
        assert "expected as many captions as URLs, found" in lost.detail and "in captions.txt and" in lost.detail
        assert text_pair.count(source, PAIR) == 3
    alone = SourceFiles(source.files)
    with pytest.raises(InputError, match="expected one file of URLs and one of captions, found 1 and 0"):
        text_pair.count(alone, PAIR)


@pytest.mark.parametrize(
    ("urls", "captions"),
    [
        (b"u0\nu1\n\n", b"c0\nc1\n"), (b"u0\nu1", b"c0\nc1\r\n\r\n \r\n"), (b"u0\nu1\n\n\n", b"c0\nc1\n\n"),
        (b"u0\nu1\n\n", b"c0\n\n"), (b"u0\nu1\n", b"c0\n\n\n"),
    ],
)  # fmt: skip
def test_blank_lines_after_the_end_of_the_other_file_are_no_rows(tmp_path: Path, urls: bytes, captions: bytes) -> None:
    source = write(tmp_path, urls, captions)
    rows, malformed = read_all(text_pair.read(source, PAIR, Choices()))
    assert rows[:2] == [(0, "u0", "c0"), (1, "u1", "c1" if b"c1" in captions else "")] and not malformed
    assert not any(url or caption for _, url, caption in rows[2:])
    assert text_pair.count(source, PAIR) == len(rows)


def test_rows_before_the_end_of_a_truncated_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_bytes(b"c0\nc1\nc")
    (tmp_path / "urls.txt").write_bytes(b"u0\nu1\nu2\nu3\n")
    source = SourceFiles(((tmp_path / "urls.txt", 0),), (tmp_path / "captions.txt",))
    batch, lost = text_pair.read(source, PAIR, Choices())
    assert isinstance(batch, SourceBatch) and batch.captions.to_pylist() == ["c0", "c1"]
    assert isinstance(lost, Damage) and (lost.first_row, lost.n_rows) == (2, 2)


@pytest.mark.parametrize(("n_urls", "n_captions"), [(9, 5), (5, 9), (7, 7)])
@pytest.mark.parametrize("damaged", [(True, False), (False, True), (True, True)])
def test_rows_that_both_files_have_before_a_fault_are_read_and_counted(
    tmp_path: Path, n_urls: int, n_captions: int, damaged: tuple[bool, bool]
) -> None:
    content = [
        gzip.compress(b"line\n" * n_lines) + (gzip.compress(b"more\n")[:8] if is_damaged else b"")
        for n_lines, is_damaged in zip((n_urls, n_captions), damaged, strict=True)
    ]
    source = write(tmp_path, content[0], content[1], ".gz")
    n_read = 0
    with pytest.raises(SourceFileError):
        for batch in text_pair.read(source, PAIR, Choices()):
            assert isinstance(batch, SourceBatch)
            n_read += len(batch.captions)
    with pytest.raises(SourceFileError) as caught:
        text_pair.count(source, PAIR)
    assert n_read == caught.value.n_rows_before == min(n_urls, n_captions)


@pytest.mark.parametrize("n_rows", [2, 60_000])
def test_lines_that_end_with_cr_alone_are_damage_that_says_what_to_do(tmp_path: Path, n_rows: int) -> None:
    urls, captions = b"http://a.example/1.jpg\r" * n_rows, b"landsat\r" * n_rows
    source = write(tmp_path, b"http://a.example/0.jpg\n" + urls, b"landsat\n" + captions)
    batch, damage = text_pair.read(source, PAIR, Choices())
    assert isinstance(batch, SourceBatch) and len(batch.captions) == 1
    assert isinstance(damage, Damage) and "CR stands between them: convert line ends to LF" in damage.detail
