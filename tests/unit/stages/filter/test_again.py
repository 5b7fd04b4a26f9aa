"""A sample that is in no table is found in the source files by its id."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.corpora import load_corpora
from stages.contract import InputError
from stages.filter.again import files_of, read_again
from stages.readers.batch import Choices

CORPORA = load_corpora()
LABELS = "cc3m/Image_Labels_Subset_Train_GCC-Labels-training.tsv"
LISTED = [
    ("cc3m/GCC-training.tsv", 0), (LABELS, 0), ("coyo700m/part-00003-x.parquet", 3),
    ("yfcc15m/yfcc100m_subset_data.tsv", 0), ("yfcc15m/yfcc100m_dataset-0", 0),
]  # fmt: skip
PHOTOS = ("yfcc15m/yfcc100m_dataset-0", "yfcc15m/yfcc100m_subset_data.tsv")


@pytest.mark.parametrize(
    ("sample_id", "files"),
    [
        ("cc3m_0_7", ("cc3m/GCC-training.tsv",)), ("coyo700m_3_0", ("coyo700m/part-00003-x.parquet",)),
        ("yfcc15m_7", PHOTOS), ("coyo700m_4_0", ()), ("cc3m_7", ()), ("yfcc15m_", ()), ("yfcc15m_x y", ()),
        ("nothing", ()), ("", ()), ("redcaps_0_1", ()), ("fmow_1", ()), ("cc3m_0_-1", ()), ("cc3m_0_" + "9" * 40, ()),
    ],
)  # fmt: skip
def test_an_id_determines_its_files(sample_id: str, files: tuple[str, ...]) -> None:
    assert files_of(sample_id, LISTED, CORPORA) == files


def test_a_row_is_read_by_its_number_and_a_photo_by_its_id(tmp_path: Path) -> None:
    for path, data in (
        ("cc3m/GCC-training.tsv", b"a\tu0\nb\tu1\n"),
        (PHOTOS[0], b"\t".join([b"70", *[b""] * 5, b"a+cat", *[b""] * 16])),
        (PHOTOS[1], b"0\t70\tab\n1\t71\tcd\n"),
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)

    def read(sample_id: str, files: Sequence[str]) -> dict[str, Any] | None:
        return read_again(sample_id, files, tmp_path, CORPORA[sample_id.partition("_")[0]], Choices())

    assert (read("cc3m_0_1", ["cc3m/GCC-training.tsv"]) or {})["url"] == "u1"
    assert read("cc3m_0_2", ["cc3m/GCC-training.tsv"]) is None
    assert (read("yfcc15m_70", PHOTOS) or {})["source_caption"] == "a+cat"
    assert (read("yfcc15m_71", PHOTOS) or {})["reason"] == "no_metadata_row"
    assert read("yfcc15m_72", PHOTOS) is None
    with pytest.raises(InputError):
        read("yfcc15m_70", PHOTOS[:1])
