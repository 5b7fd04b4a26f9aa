"""Records equal those of the strict csv module for any bytes; two ways of counting them agree."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.readers.batch import SourceFileError
from stages.readers.formats import quoted, quoted_count
from stages.readers.formats.quoted import Records, read_records, record_pattern
from stages.readers.formats.quoted_count import count_records

PATTERN = record_pattern(3, [0, 1, 2])
HEADER = b"a\tb\tc\n"
PIECES = st.sampled_from(
    [b"x", b"\t", b"\n", b'"', b'"', b'""', b"\t\t", b'"\t"', b'\n"', b"\r", b"\r\n", b"\x00", "é".encode(), b"\xff",
     b"1\t2\t3\n", b'1\t"2\n2"\t3\n', b'1\t"2""\t"\t""\n']
)  # fmt: skip


def parse(lines: list[bytes]) -> tuple[int, list[bytes]]:
    """Return number of lines and fields of the three-field record at the first line; 0 lines if there is none."""
    reader = csv.reader((line.decode("latin-1") for line in lines), delimiter="\t", strict=True)
    try:
        fields = next(reader)
    except csv.Error:
        return 0, []
    return (reader.line_num, [field.encode("latin-1") for field in fields]) if len(fields) == 3 else (0, [])


def split_by_loop(data: bytes) -> list[list[bytes]]:
    """Return the fields of each row; an empty list for a rejected row."""
    lines = [line + b"\n" for line in data.removesuffix(b"\n").split(b"\n")] if data else []
    rows, place, is_refusing = [], 1, False
    while place < len(lines):
        n_lines, fields = parse(lines[place:])
        if n_lines:
            rows.append(fields)
        elif not is_refusing:
            rows.append([])
        is_refusing, place = not n_lines, place + (n_lines or 1)
    return rows


def fields_of(records: Records) -> list[list[bytes]]:
    rows = np.arange(len(records))
    columns = [[value.as_buffer().to_pybytes() for value in records.field(group, rows)] for group in (1, 2, 3)]
    return [[] if row in records.refused else [column[row] for column in columns] for row in rows]


def read_all(path: Path, block_bytes: int) -> tuple[list[list[bytes]], list[str]]:
    rows: list[list[bytes]] = []
    reasons = []
    for records in read_records(path, PATTERN, block_bytes):
        assert records.first_row == len(rows)
        rows += fields_of(records)
        reasons += [records.refused[row][0] for row in sorted(records.refused)]
    return rows, reasons


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join), st.integers(1, 60))
def test_records_equal_those_of_the_strict_csv_module(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block_bytes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "quoted.tsv"
    path.write_bytes(HEADER + data)
    expected = split_by_loop(HEADER + data)
    rows, reasons = read_all(path, block_bytes)
    assert rows == expected
    assert len(reasons) == expected.count([]) and set(reasons) <= {"wrong_field_count", "damaged_source"}
    if b"\xff" not in data:  # a run of zeros is excluded as well
        is_cut = bool(expected) and expected[-1] == [] and not data.endswith(b"\n")
        assert b"\0" * 4 in data or reasons.count("damaged_source") == is_cut
    assert count_records(path, 3, block_bytes) == len(expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(1, 40), st.integers(1, 60))
def test_both_ways_agree_on_the_rows_before_a_cut(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, n_lost: int, block_bytes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "quoted.tsv.gz"
    packed = gzip.compress(HEADER + data, 0)  # stored without compression: a cut loses only the last bytes
    path.write_bytes(packed[:-n_lost])
    rows = []
    with pytest.raises(SourceFileError):
        for records in read_records(path, PATTERN, block_bytes):
            rows += fields_of(records)
    with pytest.raises(SourceFileError) as caught:
        count_records(path, 3, block_bytes)
    assert caught.value.n_rows_before == len(rows)
    whole = split_by_loop(HEADER + data)
    assert rows == whole[: len(rows)]


def rows_of(n_rows: int) -> list[bytes]:
    """Return records; every third one has a field with two lines."""
    return [b'%d\t"a ""b""\nc"\t%d\n' % (n, n) if n % 3 == 0 else b"%d\ta\t%d\n" % (n, n) for n in range(n_rows)]


@pytest.mark.parametrize(
    "fault", [b'10\t"stray\t10\n', b'10\tx\t"stray\n', b'"10\tx\ty\n', b'10\t"x" y\t10\n', b"10\tx\n", b"10\t1\t2\t3\n"]
)
def test_a_stray_quote_loses_one_row(tmp_path: Path, fault: bytes) -> None:
    path, lines = tmp_path / "a.tsv", rows_of(400)
    for place in (10, 11, 12, 399):
        path.write_bytes(HEADER + b"".join([*lines[:place], fault, *lines[place + 1 :]]))
        rows, reasons = read_all(path, 1000)
        assert reasons == ["wrong_field_count"]
        assert [row[0] for row in rows if row] == [b"%d" % n for n in range(400) if n != place]
        assert count_records(path, 3) == 400


def test_quotes_inside_a_field_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(HEADER + b'5" gun\tthe "big" one\tx"\n' * 2)
    assert read_all(path, 9) == ([[b'5" gun', b'the "big" one', b'x"']] * 2, [])
    assert count_records(path, 3) == 2


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 24])
def test_a_too_large_record_is_one_row(tmp_path: Path, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path, size = tmp_path / "a.tsv", 3 << 12  # the limit of 1 MiB would cost 20 s here
    for module in (quoted, quoted_count):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", size)
    good, largest = b"1\t2\t3\n", b"1\t2\t" + b"x" * (size - 5) + b"\n"
    broken = b'1\t2\t"' + b"x\n" * size + b'"\n'
    path.write_bytes(
        HEADER + good + largest + b"x" + largest + good + b"1\t2\t" + b"x" * 3 * size + b"\n" + good + broken + good
    )
    rows, reasons = read_all(path, block_bytes)
    assert [len(row) for row in rows] == [3, 3, 0, 3, 0, 3, 0, 3]
    assert reasons == ["field_too_large", "field_too_large", "wrong_field_count"]
    assert count_records(path, 3) == len(rows)
