"""A footer that kills its reading process only loses its own file, which is named."""

import base64
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from schemas.corpora import load_corpora
from stages.filter.filtering import Filtered, Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers.batch import SourceFileError, SourceFiles
from stages.readers.parquet import opening
from stages.readers.parquet.opening import open_parquet
from stages.readers.rs5m_list.rows import count_list, read_list

CORPUS = load_corpora()["laion2b"]
COLUMNS = {"URL": ["http://a.example/1"] * 3, "TEXT": ["landsat"] * 3, "WIDTH": [1, 2, 3]}


class _Keys(pe.KmsClient):
    """Keys that are stored as text: the files must be unreadable, not secret."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return base64.b64decode(wrapped_key)


def encrypted(path: Path, *, has_plain_footer: bool, columns: dict[str, list[object]] | None = None) -> Path:
    table = pa.table(columns or COLUMNS)
    config = pe.EncryptionConfiguration(
        footer_key="footer", column_keys={"column": [table.column_names[-1]]}, plaintext_footer=has_plain_footer
    )
    properties = pe.CryptoFactory(lambda _: _Keys()).file_encryption_properties(pe.KmsConnectionConfig(), config)
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    return path


def plain(path: Path) -> Path:
    pq.write_table(pa.table(COLUMNS), path)
    return path


def filtered(*paths: Path) -> Filtered:
    source = SourceFiles(tuple((path, number) for number, path in enumerate(paths)))
    found = filter_source(source, CORPUS, Search(("landsat",), StrictRules(())))
    counts = dict(found.counts)
    assert counts.pop("given") == sum(counts.values())
    return found


@pytest.mark.parametrize("has_plain_footer", [True, False])
def test_an_encrypted_file_is_named_as_damaged_and_the_others_are_read(tmp_path: Path, has_plain_footer: bool) -> None:
    bad = encrypted(tmp_path / "secret.parquet", has_plain_footer=has_plain_footer)
    found = filtered(plain(tmp_path / "a.parquet"), bad, plain(tmp_path / "z.parquet"))
    assert found.counts["kept"] == 6
    # A plain text footer states the number of lost rows.
    assert found.counts["damaged_source"] == (3 if has_plain_footer else 1)
    row = found.malformed.to_pylist()[0]
    assert (row["reason"], row["n_rows"]) == ("damaged_source", 3 if has_plain_footer else 1)
    assert "secret.parquet" in f"{row['path']} {row['detail']}" and "encrypted" in row["detail"]


def test_an_encrypted_list_of_samples_is_damaged_too(tmp_path: Path) -> None:
    columns = {"img_name": ["laion2b_0_1"] * 2, "text": ["a"] * 2, "url": ["http://a.example"] * 2}
    path = encrypted(tmp_path / "list.parquet", has_plain_footer=True, columns=columns)
    with pytest.raises(SourceFileError, match=r"list\.parquet: it is encrypted") as raised:
        list(read_list(path))
    assert raised.value.n_rows == 2
    assert count_list(path) >= 1


def test_a_killed_child_is_replaced_and_no_file_is_blamed(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.parquet")
    open_parquet(path).close()
    for _ in range(3):
        child = opening._PROBE._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        open_parquet(path).close()


def test_errors_of_arrow_are_reported_by_the_opening(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(SourceFileError, match=r"a\.parquet: expected a complete parquet file") as raised:
        open_parquet(path)
    assert raised.value.path == path and raised.value.n_rows == 1
