"""A missing file stays listed, unless another replaced it or its scene is outside the slice."""

import pyarrow as pa
import pytest

from schemas.corpora import load_corpora
from schemas.tables import SOURCE_LISTING
from stages.inventory.gone import gone
from stages.slices import belongs

CORPORA = load_corpora()


def listing(*paths: str) -> pa.Table:
    """Return a listing of files of a labelled corpus, BigEarthNet's lists and web corpora."""
    rows = []
    for path in paths:
        code, _, name = path.partition("/")
        found = CORPORA[code].match_file(name)
        assert found is not None or CORPORA[code].is_companion(name)
        sample = f"millionaid_{found['name']}" if found and code == "millionaid" else None
        partition = "millionaid-P0000" if sample else "ben-lists" if code == "ben" else "cc3m-00000"
        rows.append((code, path, 0, 1, 1, "digest", partition, sample, 1.0))
    columns = list(zip(*rows, strict=True)) or [[] for _ in SOURCE_LISTING.schema]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SOURCE_LISTING.schema, strict=True)]
    return pa.table(arrays, schema=SOURCE_LISTING.schema)


@pytest.mark.parametrize(
    ("before", "seen", "kept"),
    [
        (("millionaid/P0000001.jpg", "cc3m/GCC-training.tsv"), ("cc3m/GCC-training.tsv",), ["millionaid/P0000001.jpg"]),
        (("millionaid/P0000001.jpg",), ("millionaid/P0000002.jpg",), ["millionaid/P0000001.jpg"]),
        (("millionaid/P0000001.jpg",), ("millionaid/test/P0000001.jpg",), []),
        (("cc3m/GCC-training.tsv",), ("cc3m/Train_GCC-training.tsv",), []),
        (("cc3m/GCC-training.tsv",), (), ["cc3m/GCC-training.tsv"]),
        ((), ("cc3m/GCC-training.tsv",), []),
        (("ben/val.csv", "ben/train.csv.bz2"), ("ben/lists/train.csv",), ["ben/val.csv"]),
    ],
)  # fmt: skip
def test_a_missing_file_stays_listed_unless_another_replaced_it(
    before: tuple[str, ...], seen: tuple[str, ...], kept: list[str]
) -> None:
    assert gone(listing(*before), listing(*seen), CORPORA, ())["path"].to_pylist() == kept
    assert gone(listing(*before), listing(*seen), CORPORA, ("laion2b",)).num_rows == 0


def test_files_outside_the_slice_are_not_listed_as_missing() -> None:
    paths = [f"millionaid/P{n:07d}.jpg" for n in range(40)]
    before = listing(*paths, "ben/val.csv")
    kept = gone(before, listing("cc3m/GCC-training.tsv"), CORPORA, (), 0.3)
    inside = [path for path in paths if belongs(f"millionaid_{path[11:19]}", 0.3)]
    assert 0 < len(inside) < 40
    assert kept["path"].to_pylist() == [*inside, "ben/val.csv"]
    assert kept["pilot_share"].to_pylist() == [0.3] * len(inside) + [1.0]
