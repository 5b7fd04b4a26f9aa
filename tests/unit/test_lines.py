"""Fields of a block are those that a loop over its lines finds, whatever the bytes."""

import bz2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.sources.batch import SourceFileError
from stages.sources.lines import Lines, count_lines, read_blocks

PIECES = st.lists(st.sampled_from([b"a", b"7", b"19", b"\t", b"\t", b"\n", b"\xff", b"-"]), min_size=1, max_size=60)


def number(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) <= 18 else -1


@settings(max_examples=300, deadline=None)
@given(PIECES.map(b"".join), st.integers(0, 4), st.booleans())
def test_fields_are_those_of_a_loop(block: bytes, place: int, is_sparse: bool) -> None:
    expected = [line.split(b"\t") for line in block.removesuffix(b"\n").split(b"\n")]
    lines = Lines(block)
    assert [lines.line(n) for n in range(len(lines))] == [b"\t".join(fields) for fields in expected]
    assert lines.n_fields.tolist() == [len(fields) for fields in expected]
    rows = np.arange(0, len(lines), 2 if is_sparse else 1)
    found = [expected[row][place] if place < len(expected[row]) else b"" for row in rows]
    assert [value.as_buffer().to_pybytes() for value in lines.field(place, rows)] == found
    assert lines.whole_numbers(place, rows).tolist() == [number(text) for text in found]
    assert set(lines.invalid_utf8()) == {n for n in range(len(lines)) if b"\xff" in lines.line(n)}


def test_numbers_end_where_int64_does() -> None:
    block = b"\n".join([b"9" * 18, b"9" * 19, b"0012", b"", b"+1", b"1.0", "\u0661".encode()])
    assert Lines(block).whole_numbers(0, np.arange(7)).tolist() == [10**18 - 1, -1, 12, -1, -1, -1, -1]


@pytest.mark.parametrize("data", [b"", b"\n", b"a\nb", b"a\nb\n", b"\n\n" + b"x" * 99])
def test_blocks_are_whole_lines_and_their_number_is_counted_apart(tmp_path: Path, data: bytes) -> None:
    for path, content in ((tmp_path / "a", data), (tmp_path / "a.bz2", bz2.compress(data))):
        path.write_bytes(content)
        for block_bytes in (1, 3, 1 << 20):
            blocks = list(read_blocks(path, block_bytes))
            assert b"".join(blocks) == data
            assert all(block.endswith(b"\n") for block in blocks[:-1])
            assert count_lines(path) == sum(len(Lines(block)) for block in blocks)


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.bz2"
    path.write_bytes(bz2.compress(b"a\n" * 1000)[:-4])
    for read in (count_lines, lambda path: list(read_blocks(path))):
        with pytest.raises(SourceFileError, match=str(path)):
            read(path)
