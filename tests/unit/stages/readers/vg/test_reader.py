"""Visual Genome: an image is one row with the phrases of its regions, and every region is accounted for."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contract import InputError
from stages.readers.batch import SourceFiles
from stages.readers.single_rows import read_sample
from tests.json_corpora import CORPORA, fates, filter_files, some


def image(image_id: Any, **others: Any) -> dict[str, Any]:
    found = {"width": 800, "url": f"https://a/VG_100K/{image_id}.jpg", "height": 600, "image_id": image_id}
    return {**found, "coco_id": None, "flickr_id": None, **others}


def regions(image_id: Any, *phrases: Any, is_old: bool = False) -> dict[str, Any]:
    key = "image" if is_old else "image_id"
    return {"regions": [{key: image_id, "id": 1, "phrase": text, "width": 3} for text in phrases], "id": image_id}


def write(folder: Path, images: Any, found: Any) -> tuple[list[Path], list[Path]]:
    paths = folder / "image_data.json", folder / "region_descriptions.json"
    for path, data in zip(paths, (images, found), strict=True):
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return [paths[0]], [paths[1]]


IMAGES = [
    image(3), image(1, width=None, height=-1), image(2), image(4), image(3), "x", image("5"), image(6, url=None),
    image(7, url={}), image(8), image(9),
]  # fmt: skip
REGIONS = [
    regions(1, "a landsat ", " ", "clock"), regions(3, "an aerial", "view"), regions(2, "a cat"),
    regions(99, "landsat"), regions(6, "landsat"), regions(7, "landsat"),
    regions(8, "x\ud800"), {"id": 9, "regions": [{"image_id": 9}]}, "y",
    regions(3, "aerial view again"),
]  # fmt: skip


def test_a_null_phrase_is_none_and_an_odd_one_is_shown(tmp_path: Path) -> None:
    images = [image(number) for number in (1, 2, 3, 4)]
    listed = [regions(1, None, "landsat"), regions(2, None), regions(3, "landsat", 5), {"id": 4, "regions": None}]
    found = filter_files("vg", *write(tmp_path, images, listed))
    assert some(found) == {"given": 4, "kept": 1, "no_caption": 1, "bad_record": 2}
    odd, without = found.malformed["detail"].to_pylist()
    assert odd.startswith("expected regions with a text as phrase each, found {'image_id': 3") and "'phrase': 5" in odd
    assert without.endswith("found None")


@pytest.mark.parametrize("is_packed", [False, True])
def test_each_image_and_each_lost_region_has_its_fate(tmp_path: Path, is_packed: bool) -> None:
    files, companions = write(tmp_path, IMAGES, REGIONS)
    if is_packed:
        for paths in (files, companions):
            packed = paths[0].with_suffix(".json.zip")
            with zipfile.ZipFile(packed, "w") as archive:
                archive.write(paths[0], paths[0].name)
            paths[0] = packed
    found = filter_files("vg", files, companions)
    assert some(found) == {
        "given": 13, "kept": 2, "no_caption": 1, "no_keyword": 1, "listed_again": 1, "no_url": 1, "bad_record": 6,
        "invalid_utf8": 1,
    }  # fmt: skip
    third, first = found.candidates.to_pylist()
    assert (third["sample_id"], third["source_caption"]) == ("vg_3", "an aerial\nview\naerial view again")
    assert (first["sample_id"], first["source_caption"], first["caption"]) == (
        "vg_1", "a landsat\nclock", "a landsat clock",
    )  # fmt: skip
    assert [third[f"published_{side}_px"] for side in ("width", "height")] == [800, 600]
    assert first["published_width_px"] is None and first["published_height_px"] is None
    assert fates(found) == {
        "vg_0_5": "bad_record", "vg_0_6": "bad_record", "vg_6": "no_url", "vg_7": "bad_record", "vg_8": "invalid_utf8",
        "vg_9": "bad_record", "vg_0_11": "bad_record", "vg_0_12": "bad_record",
    }  # fmt: skip
    assert found.malformed["detail"].to_pylist()[-2] == "regions, record 3: image 99 is not listed"


def test_both_versions_give_the_same_rows(tmp_path: Path) -> None:
    found = []
    for is_old in (False, True):
        texts = [regions(n, "landsat", f"tree {n}", is_old=is_old) for n in (2, 1)]
        if is_old:
            del texts[0]["id"]
        found.append(filter_files("vg", *write(tmp_path, [image(1), image(2)], texts)))
    assert found[0].candidates == found[1].candidates and found[0].counts["kept"] == 2


def test_a_damaged_list_of_images_is_one_stretch_with_the_regions_of_the_lost_images(tmp_path: Path) -> None:
    whole = json.dumps(IMAGES[:4]).encode()
    for cut in range(0, len(whole), 31):
        found = filter_files("vg", *write(tmp_path, whole[:cut], REGIONS))
        assert found.counts["damaged_source"] == 1 and found.counts["bad_record"] == 0


WHOLE = json.dumps(REGIONS).encode()


@pytest.mark.parametrize(
    ("bad", "n_lost", "row"),
    [(b"", 8, "vg_0_0"), (b"[", 8, "vg_0_0"), (b"{}", 8, "vg_0_0"), (WHOLE[: WHOLE.index(b"cat")], 6, "vg_0_2")],
)
def test_images_with_damaged_regions_count_as_lost_and_not_as_without_caption(
    tmp_path: Path, bad: bytes, n_lost: int, row: str
) -> None:
    found = filter_files("vg", *write(tmp_path, IMAGES, bad))
    assert found.counts["damaged_source"] == n_lost and found.counts["no_caption"] == 0
    assert found.counts["kept"] == (n_lost < 8)
    assert fates(found)[row] == "damaged_source"
    assert found.malformed["path"].to_pylist()[-1].endswith("region_descriptions.json")


def test_damaged_regions_are_marked_if_no_image_is_lost(tmp_path: Path) -> None:
    found = filter_files("vg", *write(tmp_path, IMAGES[:3], WHOLE[:-1]))
    assert found.counts["damaged_source"] == 1 and found.counts["kept"] == 1
    bad_first = WHOLE.replace(b'"regions"', b'"regions:', 1)
    found = filter_files("vg", *write(tmp_path, IMAGES[:3], bad_first))
    assert found.counts["damaged_source"] > 0


def test_exactly_one_file_of_regions_is_needed(tmp_path: Path) -> None:
    files, companions = write(tmp_path, IMAGES, REGIONS)
    for found in ([], companions * 2):
        with pytest.raises(InputError, match="expected one file of regions beside its list of images"):
            filter_files("vg", files, found)


def test_an_image_is_found_by_its_id(tmp_path: Path) -> None:
    files, companions = write(tmp_path, IMAGES, REGIONS)
    source = SourceFiles(((files[0], 0),), tuple(companions))
    found = [read_sample(source, CORPORA["vg"], image_id) or {} for image_id in ("2", "9", "77")]
    assert (found[0]["source_caption"], found[1]["reason"], found[2]) == ("a cat", "bad_record", {})


IDS = st.integers(0, 4) | st.sampled_from([None, "1", -1, 1 << 70])
TEXTS = st.lists(st.sampled_from(["landsat", "", " x ", 3, "\udc80"]), max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(IDS, max_size=6), st.lists(st.tuples(IDS, TEXTS), max_size=6), st.integers(0, 300))
def test_all_images_and_regions_are_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, ids: list[Any], texts: list[tuple[Any, list[Any]]], n_cut: int
) -> None:
    data = json.dumps([image(image_id) for image_id in ids]).encode()
    found = [regions(image_id, *phrases) for image_id, phrases in texts]
    read = filter_files("vg", *write(tmp_path_factory.getbasetemp(), data[: len(data) - max(n_cut - 150, 0)], found))
    n_matching = sum(phrases.count("landsat") for _, phrases in texts)
    assert read.counts["kept"] == read.candidates.num_rows <= n_matching
