"""Fields of a block equal those of a loop over its lines, for any bytes."""

import bz2
import gzip
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.readers.batch import SourceFileError, is_utf8
from stages.readers.formats.lines import MAX_LINE_BYTES, UTF8_MARK, Lines, count_lines, read_blocks
from stages.readers.formats.packed import read_bytes

PIECES = st.lists(st.sampled_from([b"a", b"7", b"19", b"\t", b"\t", b"\n", b"\xff", b"-"]), min_size=1, max_size=60)


def number(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) <= 18 else -1


@settings(max_examples=300, deadline=None)
@given(PIECES.map(b"".join), st.integers(0, 4), st.booleans())
def test_fields_equal_those_of_a_loop(block: bytes, place: int, is_sparse: bool) -> None:
    expected = [line.split(b"\t") for line in block.removesuffix(b"\n").split(b"\n")]
    lines = Lines(block)
    assert [lines.line(n) for n in range(len(lines))] == [b"\t".join(fields) for fields in expected]
    assert lines.n_fields.tolist() == [len(fields) for fields in expected]
    rows = np.arange(0, len(lines), 2 if is_sparse else 1)
    found = [expected[row][place] if place < len(expected[row]) else b"" for row in rows]
    assert [value.as_buffer().to_pybytes() for value in lines.field(place, rows)] == found
    assert lines.whole_numbers(place, rows).tolist() == [number(text) for text in found]
    assert set(lines.invalid_utf8()) == {n for n in range(len(lines)) if b"\xff" in lines.line(n)}


def test_byte_order_marks_at_the_beginning_of_lines_are_passed_over(tmp_path: Path) -> None:
    mark, path = UTF8_MARK, tmp_path / "a"
    path.write_bytes(
        mark + mark + b"u0\tc" + mark + b"\n" + mark + b"u1\n\n" + mark * 2 + b"\tc3\r\n" + mark + b"\n" + mark
    )
    lines = Lines(b"".join(read_blocks(path)))
    assert [lines.line(n) for n in range(len(lines))] == [b"u0\tc" + mark, b"u1", b"", b"\tc3", b"", b""]
    assert lines.field(0, np.arange(6)).to_pylist() == ["u0", "u1", "", "", "", ""]
    assert (lines.n_fields.tolist(), count_lines(path)) == ([2, 1, 1, 2, 1, 1], 6)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"\0",
                b"\xc3\xa4",
                b"\xe2\x82\xac",
                b"\xf0\x9f\x9b\xb0",
                b"\xff",
                b"\xc0\x80",
                b"\xed\xa0\x80",
                b"\xf4\x90\x80\x80",
                b"\xe2\x82",
                b"\x80",
            ]
        ),
        max_size=40,
    ).map(b"".join)
)
def test_utf8_is_validated_like_in_python(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(pa.py_buffer(data))
    else:
        assert is_utf8(pa.py_buffer(data))


def test_numbers_are_limited_to_int64() -> None:
    block = b"\n".join([b"9" * 18, b"9" * 19, b"0012", b"", b"+1", b"1.0", "\u0661".encode()])
    assert Lines(block).whole_numbers(0, np.arange(7)).tolist() == [10**18 - 1, -1, 12, -1, -1, -1, -1]


PACKERS = {"a": bytes, "a.bz2": bz2.compress, "a.gz": gzip.compress}
PACKED = {name: pack for name, pack in PACKERS.items() if name != "a"}


@pytest.mark.parametrize("data", [b"", b"\n", b"a\nb", b"a\nb\n", b"\n\n" + b"x" * 99])
def test_blocks_have_complete_lines_and_lines_are_counted_separately(tmp_path: Path, data: bytes) -> None:
    for name, pack in PACKERS.items():
        path = tmp_path / name
        path.write_bytes(pack(data))
        for block_bytes in (1, 3, 1 << 20):
            blocks = list(read_blocks(path, block_bytes))
            assert b"".join(blocks) == data
            assert all(block.endswith(b"\n") for block in blocks[:-1])
            assert count_lines(path) == sum(len(Lines(block)) for block in blocks)


@pytest.mark.parametrize("block_bytes", [1, 3, 1 << 20])
def test_end_marks_of_dos_are_left_out_only_at_the_end(tmp_path: Path, block_bytes: int) -> None:
    path = tmp_path / "a"
    for data in (b"a\x1a\x1ab\n", b"a\n", b"\x1a\n\x1ab", b"", b"a\n" + b"\x1a" * 5000 + b"\n"):
        path.write_bytes(data + b"\x1a" * 3)
        assert b"".join(read_blocks(path, block_bytes)) == data


def noise(n_lines: int) -> bytes:
    """Return lines that hardly compress."""
    draw = random.Random(5)
    return b"".join(b"%d\t%s\n" % (n, draw.randbytes(20).hex().encode()) for n in range(n_lines))


def read_until_fault(path: Path) -> tuple[int, int]:
    """Return the numbers of lines read and counted before the fault of a file."""
    n_read = 0
    with pytest.raises(SourceFileError, match=str(path)):
        for block in read_blocks(path):
            assert block.endswith(b"\n")
            n_read += len(Lines(block))
    with pytest.raises(SourceFileError, match=str(path)) as caught:
        count_lines(path)
    return n_read, caught.value.n_rows_before


@pytest.mark.parametrize("name", PACKED)
def test_lines_before_a_fault_are_read_and_counted(tmp_path: Path, name: str) -> None:
    path, data = tmp_path / name, noise(60_000)
    packed = PACKED[name](data)
    for share in (0.999, 0.7):
        place = int(share * len(packed))
        for content in (packed[:place], packed[:place] + bytes(40) + packed[place + 40 :]):
            path.write_bytes(content)
            n_read, n_counted = read_until_fault(path)
            # bzip2 has blocks of 900 kB, which are only decoded as a whole
            assert n_read == n_counted < 60_000 and abs(share * 60_000 - n_read) < 20_000
    path.write_bytes(packed[:3])
    assert read_until_fault(path) == (0, 0)
    path.write_bytes(b"")
    assert read_until_fault(path) == (0, 0)


def test_a_small_file_gives_the_lines_before_a_fault_in_its_middle(tmp_path: Path) -> None:
    path, data = tmp_path / "a.gz", noise(400)
    packed = gzip.compress(data)
    path.write_bytes(packed[:9000] + b"\xff" * 40 + packed[9040:])
    n_read, n_counted = read_until_fault(path)
    assert n_read == n_counted and n_read > 200


@pytest.mark.parametrize("name", PACKED)
def test_a_cut_after_a_line_end_is_a_fault_too(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PACKED[name](b"a\nb\n") + PACKED[name](b"c\n")[:-6])
    assert read_until_fault(path) in ((2, 2), (3, 3))


@pytest.mark.parametrize("name", PACKED)
def test_compressed_members_with_trailing_zeros_are_one_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PACKED[name](b"a\nb") + bytes(7) + PACKED[name](b"") + PACKED[name](b"\nc") + bytes(99))
    assert b"".join(read_bytes(path)) == b"a\nb\nc"
    path.write_bytes(PACKED[name](b"a\n") + b"rubbish")
    assert read_until_fault(path) == (1, 1)


@pytest.mark.parametrize("block_bytes", [1000, MAX_LINE_BYTES, 1 << 24])
def test_a_too_long_line_counts_as_one_line_and_needs_little_memory(tmp_path: Path, block_bytes: int) -> None:
    path = tmp_path / "a"
    sizes = [3, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 5, 3 * MAX_LINE_BYTES, 0, 2 * MAX_LINE_BYTES]
    path.write_bytes(b"\n".join(b"x" * size for size in sizes))
    rows = [(len(lines.line(row)), row in lines.too_long()) for lines in all_lines(path, block_bytes)
            for row in range(len(lines))]  # fmt: skip
    assert [size for size, is_long in rows if not is_long] == [3, MAX_LINE_BYTES, 5, 0]
    assert [is_long for _, is_long in rows] == [size > MAX_LINE_BYTES for size in sizes]
    assert count_lines(path) == len(sizes)
    assert max(size for size, _ in rows) <= 2 * MAX_LINE_BYTES + block_bytes


def all_lines(path: Path, block_bytes: int) -> list[Lines]:
    return [Lines(block) for block in read_blocks(path, block_bytes)]
