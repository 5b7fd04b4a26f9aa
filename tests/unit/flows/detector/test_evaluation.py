"""Training images among evaluation pictures are found as they are, turned, or as a window; others are not."""

from pathlib import Path

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from flows.demo.models.scenes import draw_scene
from flows.detector.evaluation import find_overlap
from schemas.tables import EVALUATION_IMAGE, EVALUATION_KEYPOINTS
from stages.contamination.shared import write_shared
from stages.contamination.stage import HashParams
from stages.contamination.variants import hash_variants, variant_names
from stages.contract import InputError

PICTURES = [draw_scene(seed).image.convert("RGB").resize((256, 256)) for seed in range(5)]
HASHES = np.array([int(str(imagehash.phash(picture)), 16) for picture in PICTURES], np.uint64)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder with one evaluation set: picture 0 mirrored, 1 and 2 as they are, a blank one, and a broken file."""
    for split, name, picture in (
        ("test", "mirrored", ImageOps.mirror(PICTURES[0])),
        ("test", "window", PICTURES[1]),
        ("train", "same", PICTURES[2]),
        ("train", "blank", Image.new("RGB", (64, 64), "white")),
    ):
        path = tmp_path / "eval/ucm" / split / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    (tmp_path / "eval/ucm/test/broken.png").write_bytes(b"no picture")
    return tmp_path / "eval"


def test_turned_cut_and_equal_pictures_are_found(sets: Path) -> None:
    hashes = HASHES.copy()
    hashes[1] = int(str(imagehash.phash(PICTURES[1].crop((6, 6, 250, 250)))), 16)
    test, train = find_overlap(sets, hashes)
    assert (test.name, test.n_pictures, test.n_not_read, test.examples) == ("ucm/test", 3, 1, (0, 1))
    assert (train.name, train.n_pictures, train.n_not_read, train.examples) == ("ucm/train", 2, 0, (2,))


def test_only_images_trained_on_are_counted(sets: Path) -> None:
    test, _ = find_overlap(sets, HASHES)
    assert test.facts(["test", "train", "train", "val", "test"])["n_trained_on"] == 1
    assert test.facts(["val", "test", "train", "val", "test"])["n_trained_on"] == 1


def test_a_file_of_hashes_does_without_the_pictures(tmp_path: Path) -> None:
    params = HashParams.model_validate({})
    hashes, details = hash_variants(PICTURES[3], params.max_cut, params.n_cuts)
    row = {field.name: None for field in EVALUATION_IMAGE.schema} | {
        "evaluation_set": "aid", "evaluation_path": "a.jpg", "evaluation_split": "all", "evaluation_licence": "",
        "variant_hashes": hashes, "variant_details": details, "phash": hashes[0], "phash_detail": details[0],
        "variant_names": variant_names(params.max_cut, params.n_cuts), "image_format": "JPEG", "width_px": 256,
        "height_px": 256, "pixel_sha256": "0" * 64, "grey_square": bytes(64 * 64),
        "colour_square": bytes(16 * 16 * 3),
    }  # fmt: skip
    rows = pa.Table.from_pylist([row], EVALUATION_IMAGE.schema)
    write_shared(rows, EVALUATION_KEYPOINTS.schema.empty_table(), tmp_path / "hashes.parquet")
    (found,) = find_overlap(tmp_path / "hashes.parquet", HASHES)
    assert (found.name, found.n_pictures, found.examples) == ("aid/all", 1, (3,))


def test_missing_sets_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        find_overlap(tmp_path / "none", HASHES)
