"""Each published evaluation set is listed from a tiny folder in its own layout, with splits and captions."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.evaluation_manifests import layout_of
from schemas.manifest_files import MANIFESTS, ManifestError
from stages.contamination.captions import read_captions, splits_of
from stages.contamination.sets import find_sets, list_images
from stages.contract import InputError

_SENTENCES = [{"raw": "a pond .", "tokens": ["a", "pond"]}, {"raw": "some trees"}]


def karpathy(*images: tuple[str, str]) -> str:
    """Return captions in the form of RSICD: two for each image and split."""
    rows = [{"filename": name, "split": split, "sentences": _SENTENCES, "imgid": 0} for name, split in images]
    return json.dumps({"images": rows, "dataset": "x"})


def nwpu(*rows: tuple[str, str]) -> str:
    texts = {"raw": "a pond .", "raw_1": "some trees", "raw_2": "x", "raw_3": "y", "raw_4": "z"}
    return json.dumps({"airplane": [{"filename": name, "split": split, "imgid": 1, **texts} for name, split in rows]})


_SELO = json.dumps([{"caption": text, "jpg_name": "0.jpg", "points": [[[1.5, 2]]]} for text in ("a pond.\n", "b")])
TWO = {"a pond .", "some trees"}
# Folder, files with their text ("" for images), the split of each image, captions.
LAYOUTS: dict[str, tuple[str, dict[str, str], dict[str, str], set[str]]] = {
    "rsicd": (
        "RSICD_optimal",
        {
            "RSICD_images/airport_1.jpg": "", "RSICD_images/pond_2.jpg": "", "RSICD_images/pond_3.jpg": "",
            "annotations_rsicd/dataset_rsicd.json": karpathy(
                ("airport_1.jpg", "train"), ("pond_2.jpg", "val"), ("pond_3.jpg", "test")
            ),
        },
        {
            "RSICD_images/airport_1.jpg": "train", "RSICD_images/pond_2.jpg": "val", "RSICD_images/pond_3.jpg": "test"
        },
        TWO,
    ),
    "rsitmd": (
        "RSITMD",
        {
            "images/pond_1.tif": "", "images/pond_2.tif": "", "rsitmd_api.py": "#",
            "dataset_RSITMD.json": karpathy(("pond_1.tif", "train"), ("pond_2.tif", "test")),
        },
        {"images/pond_1.tif": "train", "images/pond_2.tif": "test"},
        TWO,
    ),
    "ucm_captions": (
        "UCM_captions",
        {
            "imgs/1.tif": "", "imgs/2.tif": "", "imgs/3.tif": "", "filenames/filenames_test.txt": "2.tif\n",
            "filenames/descriptions_UCM.txt": "1 A pond .", "filenames/filenames_val.txt": "3.tif\n",
            "dataset.json": karpathy(("1.tif", "train"), ("2.tif", "test"), ("3.tif", "val")),
        },
        {"imgs/1.tif": "train", "imgs/2.tif": "test", "imgs/3.tif": "val"},
        TWO,
    ),
    "sydney_captions": (
        "sydney-captions",
        {"imgs/1.tif": "", "dataset.json": karpathy(("1.tif", "val"))},
        {"imgs/1.tif": "val"},
        TWO,
    ),
    "nwpu_captions": (
        "NWPU-Captions",
        {
            "NWPU_images/airplane/airplane_001.jpg": "", "NWPU_images/airplane/airplane_002.jpg": "",
            "dataset_nwpu.json": nwpu(("airplane_001.jpg", "test"), ("airplane_002.jpg", "val")),
        },
        {"NWPU_images/airplane/airplane_001.jpg": "test", "NWPU_images/airplane/airplane_002.jpg": "val"},
        {*TWO, "x", "y", "z"},
    ),
    "selo": (
        "SeLo",
        {"test_data/imgs/0.tif": "", "test_data/imgs/README.md": "#", "test_data/annotations/anno.json": _SELO},
        {"test_data/imgs/0.tif": "all"},
        {"a pond.\n", "b"},
    ),
    "eurosat": (
        "EuroSAT_MS",
        {
            "tif/Forest/Forest_1.tif": "", "tif/Forest/Forest_2.tif": "", "tif/River/River_1.tif": "",
            "eurosat-train.txt": "Forest_1.jpg\n", "eurosat-test.txt": "Forest_2.jpg\n", "eurosat-val.txt": "\n",
        },
        {"tif/Forest/Forest_1.tif": "train", "tif/Forest/Forest_2.tif": "test", "tif/River/River_1.tif": "all"},
        set(),
    ),
    "resisc45": (
        "NWPU-RESISC45",
        {"beach/beach_001.jpg": "", "sea_ice/sea_ice_002.jpg": "", "resisc45-val.txt": "sea_ice_002.jpg\n"},
        {"beach/beach_001.jpg": "all", "sea_ice/sea_ice_002.jpg": "val"},
        set(),
    ),
    "ucmerced": (
        "UCMerced_LandUse",
        {"Images/river/river00.tif": "", "Images/river/river01.tif": "", "uc_merced-test.txt": "river01.tif"},
        {"Images/river/river00.tif": "all", "Images/river/river01.tif": "test"},
        set(),
    ),
    "aid": (
        "AID",
        {"Airport/airport_1.jpg": "", "Airport/airport_10.jpg": "", "aid-test.txt": "airport_10.jpg\n"},
        {"Airport/airport_1.jpg": "all", "Airport/airport_10.jpg": "test"},
        set(),
    ),
    "patternnet": (
        "PatternNet",
        {"images/airplane/airplane001.jpg": "", "patternnet_description.pdf": "%PDF"},
        {"images/airplane/airplane001.jpg": "all"},
        set(),
    ),
    "fmow": (
        "fmow-rgb",
        {"val/dam/dam_0/dam_0_0_rgb.jpg": "", "test/0011978/0011978_0_msrgb.jpg": "", "fmow.md": "#"},
        {"val/dam/dam_0/dam_0_0_rgb.jpg": "val", "test/0011978/0011978_0_msrgb.jpg": "test"},
        set(),
    ),
}  # fmt: skip


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text or "image")


def listed(evaluation: Path) -> tuple[dict[str, str], dict[str, str], set[str], Any]:
    """Return splits of images and reasons of other paths of EVAL's only set, its captions, and what is known of it."""
    (one,) = find_sets(evaluation).folders
    captions = read_captions(one)
    rows, refused = list_images(one, splits_of(captions))
    splits = {row["evaluation_path"]: row["evaluation_split"] for row in rows}
    return splits, {path: reason for _, path, reason, _ in refused}, {text for *_, text in captions}, one.about


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_set_is_listed_with_splits_and_captions(name: str, tmp_path: Path) -> None:
    folder, files, expected, texts = LAYOUTS[name]
    layout = layout_of(folder)
    assert layout is not None and layout.name == name
    write(tmp_path / folder, files)
    splits, reasons, captions, about = listed(tmp_path)
    assert (splits, captions) == (expected, texts)
    assert set(splits) | set(reasons) == set(files)
    lists = {path for path in files if path.endswith(".txt") and "descriptions" not in path}
    assert {path for path, reason in reasons.items() if reason == "split_list"} == lists
    assert {path for path, reason in reasons.items() if reason == "caption_list"} == {p for p in files if "json" in p}
    assert about.name == folder.replace("-", "_")


def test_every_layout_is_tested_and_documented() -> None:
    text = (MANIFESTS / "evaluation_sets.toml").read_text()
    assert {line.split('"')[1] for line in text.splitlines() if line.startswith("name = ")} == set(LAYOUTS)
    documented = (MANIFESTS.parent / "docs" / "contamination.md").read_text()
    firsts = [line.split('"')[1] for line in text.splitlines() if line.startswith("folders = ")]
    assert len(firsts) == len(LAYOUTS) and [name for name in firsts if f"`{name}`" not in documented] == []


def test_a_published_set_without_its_lists_is_read_too(tmp_path: Path) -> None:
    write(tmp_path / "rsicd", {"1.jpg": "", "test/2.jpg": ""})
    assert listed(tmp_path)[0] == {"1.jpg": "all", "test/2.jpg": "test"}
    assert layout_of("my own set") is None


_TABLE = "filename,caption,split\n1.jpg,a pond,test\n"
SPLITS = {"images/1.jpg": "test"}


@pytest.mark.parametrize(
    ("folder", "name", "text"),
    [
        ("ucm", "captions.csv", _TABLE),
        ("NWPU-Captions", "captions.csv", _TABLE),
        ("SeLo", "captions.csv", _TABLE),
        ("rsitmd", "dataset_rsitmd.json", karpathy(("1.jpg", "test"))),
        ("RSICD", "annotations/DATASET_RSICD.JSON", karpathy(("1.jpg", "test"))),
        ("aid", "captions.csv", _TABLE),
    ],
)
def test_a_published_name_with_another_layout_keeps_splits_and_captions(
    folder: str, name: str, text: str, tmp_path: Path
) -> None:
    write(tmp_path / folder, {"images/1.jpg": "", name: text})
    splits, reasons, captions, _ = listed(tmp_path)
    assert (splits, reasons) == (SPLITS, {name: "caption_list"})
    assert captions and captions <= {"a pond", *TWO}


def test_images_with_another_ending_and_without_sentences_keep_their_splits(tmp_path: Path) -> None:
    images = json.loads(karpathy(("1.tif", "train"), ("2.tif", "test")))
    images["images"][1]["sentences"] = []
    write(tmp_path / "RSITMD", {"images/1.jpg": "", "images/2.jpg": "", "dataset_RSITMD.json": json.dumps(images)})
    splits, _, captions, _ = listed(tmp_path)
    assert splits == {"images/1.jpg": "train", "images/2.jpg": "test"}
    assert captions == {*TWO, ""}


def test_eval_may_be_one_published_set_itself(tmp_path: Path) -> None:
    folder, files, expected, texts = LAYOUTS["rsicd"]
    write(tmp_path / folder, files)
    splits, _, captions, about = listed(tmp_path / folder)
    assert (splits, captions, about.name) == (expected, texts, folder)
    write(tmp_path / "UCM", {"UCM_captions/imgs/1.tif": "", "AID/Airport/1.jpg": ""})
    assert [one.about.name for one in find_sets(tmp_path / "UCM").folders] == ["AID", "UCM_captions"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"train/1.jpg": "", "Test/2.jpg": "", "read.me": "x"}, "Test, train"),
        ({"images/1.jpg": "", "captions.csv": "x"}, r"captions\.csv"),
    ],
)
def test_another_set_s_own_folder_is_an_error(files: dict[str, str], words: str, tmp_path: Path) -> None:
    write(tmp_path / "mine", files)
    with pytest.raises(InputError, match=f"has {words}, so it is one evaluation set.*folder above it, {tmp_path}"):
        find_sets(tmp_path / "mine")


def test_contradicting_and_unreadable_lists_are_errors(tmp_path: Path) -> None:
    write(tmp_path / "AID", {"a/1.jpg": "", "aid-test.txt": "1.jpg", "more/aid-train.txt": "1.jpg"})
    with pytest.raises(InputError, match=r"1\.jpg is in two split lists of AID"):
        listed(tmp_path)
    (tmp_path / "AID/aid-test.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"aid-test\.txt cannot be read"):
        listed(tmp_path)


def test_a_manifest_of_one_s_own_may_name_lists_and_more_captions(tmp_path: Path) -> None:
    write(tmp_path / "x", {"1.jpg": "", "2.jpg": "", "lists/dev.lst": "2", "c.csv": "filename,caption,b\n1.jpg,p,q\n"})
    manifest = tmp_path / "sets.toml"
    manifest.write_text(
        '[[set]]\nname = "x"\nfolder = "x"\ncaptions = "c.csv"\nmore_caption_columns = ["b"]\n'
        "split_lists = '(?P<split>dev)[.]lst$'\n"
    )
    splits, reasons, captions, _ = listed(manifest)
    assert splits == {"1.jpg": "all", "2.jpg": "val"} and captions == {"p", "q"}
    assert reasons == {"lists/dev.lst": "split_list", "c.csv": "caption_list"}
    manifest.write_text('[[set]]\nname = "x"\nfolder = "x"\nsplit_lists = \'train.txt\'\n')
    with pytest.raises(ManifestError, match="no group named split"):
        find_sets(manifest)
