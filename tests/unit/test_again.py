"""A sample that no table has is found in the files by its id, and by nothing else."""

from pathlib import Path

import pytest

from schemas.manifests import load_corpora
from stages.sources.again import files_of, read_again

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
        ("yfcc15m_7", PHOTOS), ("coyo700m_4_0", ()), ("cc3m_7", ()), ("yfcc15m_0_7", ()), ("yfcc15m_x", ()),
        ("nothing", ()), ("", ()), ("redcaps_0_1", ()), ("fmow_1", ()), ("cc3m_0_-1", ()), ("cc3m_0_" + "9" * 40, ()),
    ],
)  # fmt: skip
def test_the_id_tells_the_files(sample_id: str, files: tuple[str, ...]) -> None:
    assert files_of(sample_id, LISTED, CORPORA) == files


def test_a_row_is_read_by_its_number_and_a_photo_by_its_id(tmp_path: Path) -> None:
    for path, data in (
        ("cc3m/GCC-training.tsv", b"a\tu0\nb\tu1\n"),
        (PHOTOS[0], b"\t".join([b"70", *[b""] * 5, b"a+cat", *[b""] * 16])),
        (PHOTOS[1], b"0\t70\tab\n1\t71\tcd\n"),
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    assert read_again("cc3m_0_1", ["cc3m/GCC-training.tsv"], tmp_path, CORPORA["cc3m"])["url"] == "u1"
    yfcc = CORPORA["yfcc15m"]
    assert read_again("yfcc15m_70", PHOTOS, tmp_path, yfcc)["source_caption"] == "a+cat"
    assert read_again("yfcc15m_71", PHOTOS, tmp_path, yfcc)["reason"] == "no_metadata_row"
    for sample_id, files in (("yfcc15m_72", PHOTOS), ("yfcc15m_70", PHOTOS[:1])):
        with pytest.raises(IndexError):
            read_again(sample_id, files, tmp_path, yfcc)
