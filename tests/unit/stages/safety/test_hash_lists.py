import codecs
import hashlib
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stages.contract import InputError
from stages.safety.hash_lists import BODY_HASHES, listed, read_hash_lists

MD5, SHA256 = hashlib.md5(b"a").hexdigest(), hashlib.sha256(b"a").hexdigest()


def written(folder: Path, data: bytes, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        f"{MD5}\n{SHA256}\n".encode(),
        f"{SHA256.upper()}\r\n{MD5.upper()}\r\n".encode(),
        codecs.BOM_UTF8 + f"# from 2024\n\n  {MD5}  # a note\n{SHA256}".encode(),
        f"{MD5}\n{SHA256}\n{MD5}\n".encode(),
    ],
)
def test_hashes_are_read_in_any_case_with_comments_and_all_line_ends(tmp_path: Path, data: bytes) -> None:
    found = read_hash_lists([written(tmp_path, data)]).to_pylist()
    assert [tuple(row.values()) for row in found] == [("md5", MD5), ("sha256", SHA256)]


def test_several_lists_are_merged(tmp_path: Path) -> None:
    paths = [written(tmp_path, f"{text}\n".encode(), name) for name, text in (("a", MD5), ("b", SHA256), ("c", MD5))]
    assert read_hash_lists(paths).num_rows == 2
    assert read_hash_lists([]).num_rows == 0


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (f"{MD5}\n{MD5[:-1]}\n".encode(), "line 2: 31 hex digits"),
        (b"a" * 40, r"line 1: 40 hex digits \(SHA-1 is not compared\)"),
        (f"{MD5},{SHA256}".encode(), "line 1: 97 characters, not all of them hex digits"),
        (f"{MD5}\nhttp://example.org/picture.jpg\n".encode(), "line 2: 30 characters"),
        (b"x\n" * 9, "and 4 more"),
        (b"", "has no hash"),
        (b"# nothing yet\n", "has no hash"),
        (f"{MD5}\n".encode("utf-16"), "not UTF-8 text"),
        (None, "No such file"),
    ],
)
def test_a_list_with_a_fault_is_refused_and_its_lines_are_not_printed(
    tmp_path: Path, data: bytes | None, fault: str
) -> None:
    path = tmp_path / "list.txt" if data is None else written(tmp_path, data)
    with pytest.raises(InputError, match=fault) as raised:
        read_hash_lists([path])
    assert MD5[:8] not in str(raised.value) and "example.org" not in str(raised.value)


def test_all_of_1000_hashes_planted_in_a_million_are_found() -> None:
    n, rng = 1_000_000, np.random.default_rng(5)

    def hexes(n_bytes: int) -> list[str]:
        text = rng.bytes(n * n_bytes).hex()
        return [text[i : i + 2 * n_bytes] for i in range(0, len(text), 2 * n_bytes)]

    body_sha256, body_md5 = hexes(32), hexes(16)
    planted = rng.choice(n, 1000, replace=False)
    wanted = [("sha256", body_sha256[i]) if k % 2 else ("md5", body_md5[i]) for k, i in enumerate(planted.tolist())]
    wanted += [("sha256", value) for value in hexes(32)[:100_000]]
    files = pa.table({"fetch_id": range(n), "body_sha256": body_sha256, "body_md5": body_md5})
    started = time.process_time()
    found = listed("fetch_id", pa.table({"hash_kind": [k for k, _ in wanted], "hash": [v for _, v in wanted]}), files,
                   BODY_HASHES)  # fmt: skip
    assert found["fetch_id"].to_pylist() == sorted(planted.tolist())
    assert time.process_time() - started < 30


def test_a_file_without_hashes_is_no_match() -> None:
    files = pa.table({"fetch_id": ["a"], "body_sha256": pa.nulls(1, pa.string()), "body_md5": pa.nulls(1, pa.string())})
    assert listed("fetch_id", pa.table({"hash_kind": ["md5"], "hash": [MD5]}), files, BODY_HASHES).num_rows == 0
