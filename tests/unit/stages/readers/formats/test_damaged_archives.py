"""Damage to parquet files of the web corpora and to RS5M's released tars ends no run, and lost rows are marked."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.damage import MUTATIONS
from tests.json_corpora import filter_files
from tests.released_tars import sample, write_release

N_ROWS = 60
# Without page checksums a file can be valid after a change to the bytes of its values; N_ROWS rows are accounted for.
_TEXTS = [f"landsat {n} é of a farm" for n in range(N_ROWS)]
_URLS = [f"http://a.example/{n}.jpg" for n in range(N_ROWS)]


def parquet(folder: Path, **columns: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, row_group_size=20)
    return out.getvalue()


def laion2b(folder: Path) -> bytes:
    return parquet(folder, URL=_URLS, TEXT=_TEXTS, HEIGHT=[30] * N_ROWS, WIDTH=[40] * N_ROWS, similarity=[0.3] * N_ROWS)


def laioncoco(folder: Path) -> bytes:
    captions = [[text, "a dog"] for text in _TEXTS]
    return parquet(folder, URL=_URLS, TEXT=_TEXTS, top_caption=_TEXTS, all_captions=captions)


def coyo(folder: Path) -> bytes:
    ids = pa.array(range(N_ROWS), pa.uint64())
    sizes = pa.array([30] * N_ROWS, pa.int64())
    return parquet(folder, id=ids, url=_URLS, text=_TEXTS, width=sizes, height=sizes)


def sample_list(folder: Path) -> bytes:
    return parquet(folder, img_name=[f"laion2b_0_{n}.jpg" for n in range(N_ROWS)], text=_TEXTS, url=_URLS)


def released(folder: Path) -> bytes:
    samples = [(f"laion2b_0_{n}", sample(f"laion2b_0_{n}", text)) for n, text in enumerate(_TEXTS)]
    return write_release(folder / "whole.tar", samples).read_bytes()


# Corpus, name and content of the damaged file.
CASES: dict[str, tuple[str, str, Callable[[Path], bytes]]] = {
    "laion2b": ("laion2b", "part-00000-x.snappy.parquet", laion2b),
    "laioncoco": ("laioncoco", "part-00000-x.snappy.parquet", laioncoco),
    "coyo700m": ("coyo700m", "part-00000-x.snappy.parquet", coyo),
    "list, parquet": ("rs5m", "list.parquet", sample_list),
    "released tar": ("rs5m", "rs5m/train/pub11-train-0000.tar", released),
}


@pytest.mark.parametrize("case", CASES)
def test_all_rows_of_intact_files_are_kept(tmp_path: Path, case: str) -> None:
    code, name, make = CASES[case]
    path = tmp_path / "source" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(make(tmp_path))
    found = filter_files(code, [path])
    assert found.counts["kept"] == found.counts["given"] == N_ROWS


@pytest.mark.parametrize("change", MUTATIONS)
@pytest.mark.parametrize("case", CASES)
def test_damage_ends_no_run_and_every_loss_is_marked(
    tmp_path: Path, case: str, change: str, record_property: Callable[[str, int], None]
) -> None:
    code, name, make = CASES[case]
    path = tmp_path / "source" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(MUTATIONS[change](make(tmp_path), random.Random(f"{case} {change}")))
    found = filter_files(code, [path])
    record_property(f"damaged {case}", 1)
    is_marked = found.counts["damaged_source"] + found.counts["wrong_columns"] > 0
    assert is_marked or found.counts["given"] >= N_ROWS
    assert is_marked or found.counts["kept"] > N_ROWS - 3, found.counts
