from pathlib import Path

import pyarrow as pa

from schemas.tables import LISTED_HASH
from stages.contract import Context
from stages.safety.stage import HashListResources, record_hashes

OLD, NEW = "ab" * 16, "cd" * 32


def recorded(*paths: Path) -> list[str]:
    known = pa.Table.from_pylist([{"hash_kind": "md5", "hash": OLD}], LISTED_HASH.schema)
    resources = HashListResources(hash_lists=tuple(map(str, paths)))
    context = Context("001", None, resources, {}, None, Path())  # type: ignore[arg-type]
    return record_hashes({"listed_hash": known}, context).kept["hash"].to_pylist()


def test_only_new_hashes_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{OLD.upper()}\n{NEW}\n")
    assert recorded(path) == [NEW]
    assert recorded() == []
