"""Handmade inputs of the labelled stages; they decode no images, so results do not depend on codecs."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.corpora import load_corpora
from stages.inventory.stage import reader_digest
from stages.readers.ben import lists as ben_lists
from stages.readers.fmow import reader as fmow
from stages.readers.labelled_records import CorpusFiles
from tests.contract.handmade import Handmade
from tests.labelled_files import PATCHES, write_labelled_files

V2_PATCH = "S2A_MSIL2A_20170617T113321_N9999_R080_T29UPU_02_55"
_LISTED = [
    {
        "sample_id": f"ben_{n}",
        "v1_patch": name,
        "v2_labels": None,
        "v2_country": None,
        "has_seasonal_snow": n == 0,
        "has_cloud_or_shadow": n == 1,
    }
    for n, name in enumerate(PATCHES)
]


@contextmanager
def _read_labelled(folder: Path) -> Iterator[Handmade]:
    sources = write_labelled_files(folder / "sources", with_bands=False)
    for path in sources.rglob("*.jpg"):
        path.write_bytes(path.name.encode())
    (sources / "fmow/train/dam/dam_4/dam_4_0_rgb.json").parent.mkdir()
    (sources / "fmow/train/dam/dam_4/dam_4_0_rgb.json").write_bytes(b"{}")
    rows = _rows(sources)
    (unsafe,) = (row for row in rows if row["path"].endswith("P0004567.jpg"))
    hashes = [{"hash_kind": "sha256", "hash": unsafe["file_sha256"]}, {"hash_kind": "md5", "hash": "0" * 32}]
    tables = {"source_listing": rows, "source_file": rows, "patch": _LISTED, "listed_hash": hashes}
    yield Handmade(tables, params={"ben_selection": "rs5m"}, sources=sources)


@contextmanager
def _list_patches(folder: Path) -> Iterator[Handmade]:
    sources = write_labelled_files(folder / "sources", with_bands=False)
    write_lists(sources)
    yield Handmade({"source_file": _rows(sources)}, sources=sources)


def write_lists(sources: Path) -> None:
    """Write the list of patches with snow and a table of version 2, each with one patch."""
    (sources / f"ben/{ben_lists.SNOW}.csv").write_text(f"{PATCHES[0]}\n")
    row = {
        "patch_id": V2_PATCH, "s2v1_name": PATCHES[1], "labels": ["Pastures", "Marine waters"], "split": "test",
        "country": "Ireland",
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row], schema=ben_lists.METADATA_SCHEMA), sources / "ben/metadata.parquet")


def _rows(sources: Path) -> list[dict[str, Any]]:
    return [_row(path, sources) for path in sorted(sources.rglob("*.*")) if path.is_file()]


def _row(path: Path, sources: Path) -> dict[str, Any]:
    name = path.relative_to(sources).as_posix()
    corpus = load_corpora()[name.partition("/")[0]]
    match = corpus.match_file(name.partition("/")[2])
    if match is None:
        assert corpus.is_companion(name.partition("/")[2]), name
        sample_id = None
    elif corpus.code == "fmow":
        sample_id = fmow.placer(corpus, CorpusFiles(sources, [], [], []))(name, match).sample_id
    else:
        sample_id = f"ben_{PATCHES.index(match['patch'])}" if corpus.code == "ben" else f"millionaid_{match['name']}"
    return {
        "corpus": corpus.code,
        "path": name,
        "reader_digest": reader_digest(corpus),
        "size_bytes": path.stat().st_size,
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "sample_id": sample_id,
        "pilot_share": 1.0,
    }


HANDMADE: dict[str, Callable[[Path], Any]] = {"list_patches": _list_patches, "read_labelled": _read_labelled}
