"""Missing companions of corpora, and those of another version, are named; a missing corpus is no gap."""

import bz2
from pathlib import Path

import pytest

from flows.preflight.companions import companion_gaps
from flows.preflight.gaps import Gap
from flows.settings import load_settings
from stages import STAGES
from stages.readers.corpora import load_corpora

PATCH = "S2A_MSIL2A_20170613T101031_87_48"


def gaps(sources: Path, *overrides: str, profile: str = "paper") -> list[Gap]:
    settings = load_settings(profile, list(overrides), STAGES)
    return list(companion_gaps(sources, list(load_corpora().values()), settings, STAGES))


def put(sources: Path, path: str, data: bytes = b"x\n") -> None:
    (sources / path).parent.mkdir(parents=True, exist_ok=True)
    (sources / path).write_bytes(data)


def test_a_missing_corpus_is_no_gap(tmp_path: Path) -> None:
    assert gaps(tmp_path) == [] and gaps(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("file", "name", "is_fatal"),
    [
        ("yfcc15m/yfcc100m_dataset-0.bz2", "yfcc15m/yfcc100m_subset_data.tsv.bz2", True),
        ("vg/image_data.json.zip", "vg/region_descriptions_v1.json.zip", True),
        ("sbu/SBU_captioned_photo_dataset_urls.txt", "sbu/SBU_captioned_photo_dataset_captions.txt", True),
        ("cc3m/GCC-training.tsv", "cc3m/Image_Labels_Subset_Train_GCC-Labels-training.tsv", False),
        ("fmow/train/airport/a.jpg", "fmow/groundtruth/", False),
    ],
)
def test_a_corpus_without_its_companion_is_a_gap(tmp_path: Path, file: str, name: str, is_fatal: bool) -> None:
    put(tmp_path, file)
    (gap,) = gaps(tmp_path)
    assert (gap.kind, gap.name, gap.is_fatal) == ("list", name, is_fatal)
    assert "without it" in gap.problem and gap.remedy


def test_the_json_of_sbu_needs_no_second_file(tmp_path: Path) -> None:
    put(tmp_path, "sbu/sbu-captions-all.json")
    assert gaps(tmp_path) == []


def test_all_six_lists_of_bigearthnet_are_named_and_those_of_the_selection_stop_a_build(tmp_path: Path) -> None:
    put(tmp_path, f"ben/BigEarthNet-v1.0/{PATCH}/x_B02.tif")
    found = gaps(tmp_path)
    assert len(found) == 6
    assert sorted(gap.name for gap in found if gap.is_fatal) == [
        "ben/patches_with_cloud_and_shadow.csv", "ben/patches_with_seasonal_snow.csv",
    ]  # fmt: skip
    assert not [gap for gap in gaps(tmp_path, "labelled.ben_selection=all") if gap.is_fatal]
    for gap in found:
        put(tmp_path, f"{gap.name}.bz2", bz2.compress(f"{PATCH}\n".encode()))
    assert gaps(tmp_path) == []


@pytest.mark.parametrize(
    ("corpus", "name", "good", "bad"),
    [
        (
            "yfcc15m",
            "yfcc100m_subset_data.tsv.bz2",
            bz2.compress(b"1\t2\tdeadbeef\n"),
            bz2.compress(b"photo_id,hash\n"),
        ),
        ("cc3m", "Image_Labels_Subset_Train_GCC-Labels-training.tsv", b"a caption\thttp://x\ta,b\n", b"http://x\n"),
        ("vg", "region_descriptions.json", b'[{"id": 1}]', b"<html>not found</html>"),
        ("yfcc15m", "yfcc100m_subset_data.tsv.bz2", bz2.compress(b"1\t2\tff\n"), b"not packed at all"),
    ],
)
def test_a_list_of_another_version_is_named(tmp_path: Path, corpus: str, name: str, good: bytes, bad: bytes) -> None:
    put(tmp_path, f"{corpus}/{name}", good)
    assert gaps(tmp_path) == []
    put(tmp_path, f"{corpus}/{name}", bad)
    (gap,) = gaps(tmp_path)
    assert gap.is_fatal and name in gap.problem
    assert "another version" in gap.problem or "cannot be read" in gap.problem
    assert "[0-9a-f]" not in gap.problem and "\\" not in gap.problem.partition("; found")[0], "no regular expression"


def test_each_expected_first_line_has_words() -> None:
    checked = [one for corpus in load_corpora().values() for one in corpus.companions if one.first_line]
    assert len(checked) >= 9 and all(one.first_line_in_words for one in checked)
