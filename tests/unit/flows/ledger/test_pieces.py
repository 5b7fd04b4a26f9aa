from pathlib import Path

import pyarrow as pa
import pytest

from flows.ledger.pieces import Piece, open_input, read_input
from flows.ledger.store import Store
from stages.contract import InputError, Reads
from stages.rows import FileRows, Space, run_sql
from tests.contract.broken import MAKE
from tests.unit.flows.ledger.test_store import commit

READS = Reads("made", ("sample_id", "similarity"), is_whole=True)


def pieces(root: Path) -> list[Piece]:
    receipt = commit(root)
    span = receipt.spans["p"]
    return [
        Piece(
            "p",
            receipt.kept_file,
            span.first_group,
            span.n_groups,
            span.n_rows,
            (),
            receipt.body["kept"]["sha256"],
        )
    ]


def test_a_whole_table_stays_in_its_files_and_has_the_same_rows(tmp_path: Path) -> None:
    listed = pieces(tmp_path / "build")
    store, space = Store(tmp_path / "build"), Space(tmp_path, 1 << 30)
    found = open_input(store, READS, MAKE, listed, space)
    assert isinstance(found, FileRows) and found.num_rows == 3
    expected = read_input(store, READS, MAKE, listed)
    assert run_sql("FROM t", {"t": found}).equals(expected.cast(pa.schema([(f.name, f.type) for f in expected.schema])))


def test_a_partition_or_a_stage_without_queries_is_read_into_memory(tmp_path: Path) -> None:
    listed = pieces(tmp_path / "build")
    store = Store(tmp_path / "build")
    own = Reads("made", ("sample_id",))
    assert isinstance(open_input(store, own, MAKE, listed, Space(tmp_path, 1 << 30)), pa.Table)
    assert isinstance(open_input(store, READS, MAKE, listed, None), pa.Table)


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "one bit flipped"])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, is_gone: bool) -> None:
    listed = pieces(tmp_path / "build")
    path = tmp_path / "build" / listed[0].address
    if is_gone:
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 1
        path.write_bytes(data)
    with pytest.raises(InputError, match=r"made cannot be read: .*kept.parquet(.|\n)*make verify REPAIR=yes"):
        open_input(Store(tmp_path / "build"), READS, MAKE, listed, Space(tmp_path, 1 << 30))
