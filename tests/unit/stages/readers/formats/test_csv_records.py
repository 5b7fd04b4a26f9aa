"""Reading and counting records agree for any bytes; fields are those that a CSV writer wrote."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.readers.formats.csv_records import (
    MAX_FIELD_CHARACTERS,
    RUN_LINES,
    RecordFault,
    count_records,
    read_records,
    split_record,
    split_records,
)


def records_of(path: Path, block_bytes: int = 1 << 20) -> list[bytes]:
    return [record for records in read_records(path, block_bytes) for record in records]


FIELDS = st.text(st.sampled_from('ab",\n \r\té0'), max_size=8)


@settings(max_examples=150)
@given(
    st.lists(st.lists(FIELDS, min_size=2, max_size=4), max_size=8), st.sampled_from(["\n", "\r\n"]), st.integers(1, 9)
)
def test_written_rows_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], line_end: str, block_bytes: int
) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    path = tmp_path_factory.getbasetemp() / "list.csv"
    path.write_bytes(out.getvalue().encode())
    found = records_of(path, block_bytes)
    assert [split_record(record.decode()) for record in found] == list(split_records(found)) == rows
    assert count_records(path, block_bytes) == len(rows)


PIECES = st.sampled_from([b'"', b'"', b"\n", b"\n", b",", b"a", b"\r", b"\xff", b'""', b"\n" * 99, b"\n" * 100])


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=40).map(b"".join), st.integers(1, 50))
def test_reading_and_counting_agree_for_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block_bytes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "list.csv"
    path.write_bytes(data)
    found = records_of(path, block_bytes)
    assert b"\n".join(found) + b"\n" * data.endswith(b"\n") == data or not found
    assert count_records(path) == len(found) == len(records_of(path))


def test_an_unclosed_quote_affects_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    lines = [b'laion2b_0_0,a 5" pipe,http://a/0', *(b"laion2b_0_%d,x,http://a/%d" % (n, n) for n in range(1, 300))]
    path.write_bytes(b"\n".join(lines))
    assert RUN_LINES < 300 and records_of(path) == lines
    assert split_record(lines[0].decode())[1] == 'a 5" pipe'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "bad_record"), ("\r", "bad_record"), ('a"b\nc"d', "bad_record"),
        ("a," + "x" * (MAX_FIELD_CHARACTERS + 1), "field_too_large"),
        ('a,"' + "x" * (MAX_FIELD_CHARACTERS + 1) + '"', "field_too_large"),
    ],
)  # fmt: skip
def test_an_invalid_record_is_rejected_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(RecordFault) as caught:
        split_record(text)
    assert caught.value.reason == reason


@settings(max_examples=200)
@given(st.text(st.sampled_from('ab",, é'), min_size=1, max_size=12))
def test_the_fast_path_splits_like_the_csv_module(text: str) -> None:
    assert split_record(text) == next(csv.reader([text]))


def test_a_lone_carriage_return_is_part_of_a_text() -> None:
    assert split_record('n,"a\rb",u') == ["n", "a\rb", "u"]
    assert split_record("n,a\rb,u\r") == ["n", "a\rb", "u"]
    assert split_record('n,a\rb,"u"\r') == ["n", "a\rb", "u"]
