"""Handmade inputs of the stage that reads the labelled corpora: nothing is decoded, so no codec's bytes enter."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.corpora import load_corpora
from stages.inventory import reader_digest
from stages.labelled_sources import fmow
from tests.contract.handmade import Handmade
from tests.labelled_files import PATCHES, write_labelled_files


@contextmanager
def _read_labelled(folder: Path) -> Iterator[Handmade]:
    sources = write_labelled_files(folder / "sources", with_bands=False)
    for path in sources.rglob("*.jpg"):
        path.write_bytes(path.name.encode())
    (sources / "fmow/train/dam/dam_4/dam_4_0_rgb.json").parent.mkdir()
    (sources / "fmow/train/dam/dam_4/dam_4_0_rgb.json").write_bytes(b"{}")
    rows = [_row(path, sources) for path in sorted(sources.rglob("*.*")) if path.is_file()]
    yield Handmade({"source_listing": rows, "source_file": rows}, sources=sources)


def _row(path: Path, sources: Path) -> dict[str, Any]:
    name = path.relative_to(sources).as_posix()
    corpus = load_corpora()[name.partition("/")[0]]
    match = corpus.match_file(name.partition("/")[2])
    assert match is not None, name
    if corpus.code == "fmow":
        sample_id = fmow.place(name, match).sample_id
    else:
        sample_id = f"ben_{PATCHES.index(match['patch'])}" if corpus.code == "ben" else f"millionaid_{match['name']}"
    return {
        "corpus": corpus.code,
        "path": name,
        "reader_digest": reader_digest(corpus),
        "size_bytes": path.stat().st_size,
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "source_sample": sample_id,
        "sample_share": 1.0,
    }


HANDMADE: dict[str, Callable[[Path], Any]] = {"read_labelled": _read_labelled}
