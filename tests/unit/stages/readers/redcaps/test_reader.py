"""RedCaps: each record of each file has a fate, and an image is kept once."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.readers.batch import SourceFiles
from stages.readers.single_rows import read_sample
from tests.json_corpora import CORPORA, fates, filter_files, some


def record(image_id: Any, caption: Any = "aerial view of a farm", **others: Any) -> dict[str, Any]:
    found = {"image_id": image_id, "author": "None", "url": f"https://i.redd.it/{image_id}.jpg", "caption": caption}
    return {**found, "raw_caption": caption, "score": None, "crosspost_parents": ["x"], **others}


def annotations(*records: Any) -> bytes:
    return json.dumps({"info": {"annotations": "no", "years": [1, 2]}, "annotations": list(records)}).encode()


def write(folder: Path, **files: bytes) -> list[Path]:
    (folder / "annotations").mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / "annotations" / f"{name}.json").write_bytes(data)
    return sorted((folder / "annotations").iterdir())


FILES = {
    "a_2017": annotations(
        record("1a", raw_caption="Aerial View of a farm (OC)"), record("1b", "a cat"), record("1c", None),
        record("1d", "", score=3), "text", record(7), record("Z!"), record("1e", "aerial view \ud800"),
        record("1f", 5), record("1g", url=None), record("1h", url=["x"]), {"image_id": "1i"},
    ),
    "b_2018": annotations(record("1a", "landsat again"), record("01a"), record("1b")),
    "c_2019": b"not JSON at all",
    "d_2020": annotations(record("2a"), record("2b"))[:-2],
    "e_2020": annotations(record("3a"), record("3b")),
}  # fmt: skip


@pytest.mark.parametrize("is_packed", [False, True])
def test_each_record_has_its_fate_and_a_bad_file_affects_no_other(tmp_path: Path, is_packed: bool) -> None:
    paths = write(tmp_path, **FILES)
    if is_packed:
        packed = tmp_path / "redcaps_v1.0_annotations.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("readme.txt", "no")
            for path in reversed(paths):
                archive.write(path, f"annotations/{path.name}")
        paths = [packed]
    found = filter_files("redcaps", paths)
    assert some(found) == {
        "given": 20, "kept": 5, "no_caption": 3, "no_keyword": 1, "listed_again": 2, "no_url": 1, "bad_record": 5,
        "invalid_utf8": 1, "damaged_source": 2,
    }  # fmt: skip
    assert found.candidates["sample_id"].to_pylist() == [
        "redcaps_1a", "redcaps_01a", "redcaps_2a", "redcaps_3a", "redcaps_3b",
    ]  # fmt: skip
    assert found.candidates["source_row"].to_pylist() == [0, 13, 16, 18, 19]
    first, second = found.candidates.to_pylist()[:2]
    assert (first["caption"], first["other_texts"]) == ("aerial view of a farm", ["Aerial View of a farm (OC)"])
    assert (first["url"], second["other_texts"]) == ("https://i.redd.it/1a.jpg", None)
    assert fates(found) == {
        "redcaps_0_4": "bad_record", "redcaps_0_5": "bad_record", "redcaps_0_6": "bad_record",
        "redcaps_1e": "invalid_utf8", "redcaps_1f": "bad_record", "redcaps_1g": "no_url", "redcaps_1h": "bad_record",
        "redcaps_0_15": "damaged_source", "redcaps_0_17": "damaged_source",
    }  # fmt: skip
    details = found.malformed["detail"].to_pylist()
    assert details[0] == "a_2017.json, record 4: the record is str, expected an object"
    lost = [f"{row['path']}: {row['detail']}" for row in found.malformed.to_pylist()[-2:]]
    assert "c_2019.json: expected a JSON list or object" in lost[0] and "d_2020" in lost[1]


def test_a_record_is_found_by_its_image_id(tmp_path: Path) -> None:
    source = SourceFiles(tuple((path, 0) for path in write(tmp_path, **FILES)))
    found = {image: read_sample(source, CORPORA["redcaps"], image) or {} for image in ("1b", "3b", "1f", "9z")}
    assert [found[image].get("source_caption") for image in found] == ["a cat", "aerial view of a farm", None, None]
    assert (found["1f"]["reason"], found["9z"]) == ("bad_record", {})


PIECES = st.sampled_from(
    [*(json.dumps(record(image, text)).encode() for image in ("a", "b") for text in ("landsat", "x", "")),
     b",", b",", b",", b"]", b"}", b"{", b'"', b"\\", b"\xff", b"null", b"[1]", b'"annotations":[']
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=9).map(b"".join), min_size=1, max_size=3))
def test_all_records_are_accounted_for_with_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]
) -> None:
    files = {f"f{n}_2017": b'{"annotations": [' + body for n, body in enumerate(bodies)}
    write(folder := tmp_path_factory.getbasetemp(), **files)
    found = filter_files("redcaps", [folder / "annotations" / f"{name}.json" for name in files])
    n_with_keyword = sum(body.count(b"landsat") for body in bodies)
    kept = set(found.candidates["sample_id"].to_pylist())
    assert found.counts["kept"] == len(kept) <= n_with_keyword and kept <= {"redcaps_a", "redcaps_b"}
