"""Other programs, which do not know this project, read the published tars."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import webdataset
from PIL import Image

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.tars import EMPTY, add_tars, layouts, tar_names, tars
from stages.shard.pairs import MEMBER_COLUMNS
from tests.small_build import Build, draw

SPLITS = ("train", "val")
PAIR = ("jpg;png;webp", "txt")


@pytest.fixture(scope="module")
def dataset(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = DatasetFolder(tmp_path_factory.mktemp("published") / "dataset", None)
    add_tars(finished.ledger(), folder)
    return folder.path


def names(dataset: Path, split: str) -> list[str]:
    return sorted(map(str, (dataset / "pairs" / split).glob("*.tar")))


def plain_samples(dataset: Path, split: str) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for name in names(dataset, split):
        with tarfile.open(name) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                found.setdefault(key, {})[ending] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return found


def test_every_number_has_a_tar_and_those_without_samples_are_empty(finished: Build, dataset: Path) -> None:
    published = {path.relative_to(dataset).as_posix() for path in dataset.rglob("*.tar")}
    assert published == {*tar_names("rs5m", 2), *tar_names("pairs", 2)}
    assert len(tar_names("rs5m", 2)) == 128 == len(tar_names("rs5m", 32)) and len(tar_names("rs5m", 40)) == 160
    written = {name for layout in ("rs5m", "pairs") for name in tars(finished.ledger(), layout)}
    empty = published - written
    assert len(empty) >= 120 and {(dataset / name).read_bytes() for name in empty} == {EMPTY}
    with tarfile.open(dataset / next(iter(empty))) as tar:
        assert tar.getmembers() == []


def published_loader(folder: Path, split: str) -> Iterator[tuple[str, Image.Image, str]]:
    """Read like RS5M's reference loader: 32 tars of both halves, three members per sample, errors are raised."""
    patterns = [str(folder / split / f"{half}-{split}-{{0000..0031}}.tar") for half in ("pub11", "rs3")]
    urls = [url for pattern in patterns for url in webdataset.shardlists.expand_urls(pattern)]
    assert len(urls) == 64
    for sample in webdataset.WebDataset(urls, shardshuffle=False, handler=webdataset.reraise_exception):
        yield (
            sample["img_name"].decode("utf-8"),
            Image.open(io.BytesIO(sample["img_content"])).convert("RGB"),
            sample["caption"].decode("utf-8"),
        )


@pytest.mark.parametrize("split", SPLITS)
def test_a_reader_like_the_published_loader_reads_both_splits(finished: Build, dataset: Path, split: str) -> None:
    expected = {row["img_name"]: row["published_text"] for row in finished.rows("shard_plan") if row["split"] == split}
    found = {name: text for name, _, text in published_loader(dataset, split)}
    assert found == expected and len(found) > 3


@pytest.mark.parametrize("split", SPLITS)
def test_webdataset_decodes_pairs_by_name(dataset: Path, split: str) -> None:
    found = webdataset.WebDataset(names(dataset, split), shardshuffle=False)
    pairs = list(found.decode("pil").to_tuple(*PAIR))
    assert len(pairs) == len(plain_samples(dataset, split)) > 3
    assert all(image.size[0] > 1 and text.strip() for image, text in pairs)


def test_the_pairs_have_all_samples_of_the_build_with_all_their_facts(finished: Build, dataset: Path) -> None:
    planned = {row["sample_id"]: row for row in finished.rows("shard_plan")}
    published = {row["sample_id"]: row for row in finished.rows("shard")}
    captions = {row["sample_id"]: row for row in finished.rows("caption")}
    origins = {row["sample_id"]: row for row in finished.rows("origin")}
    pairs = {row["sample_id"]: row for row in finished.rows("pair")}
    samples = {key: s for split in SPLITS for key, s in plain_samples(dataset, split).items()}
    assert samples.keys() == planned.keys() == pairs.keys() and len(samples) == 46
    n_generated = 0
    for key, sample in samples.items():
        stated = json.loads(sample["json"])
        assert tuple(stated) == MEMBER_COLUMNS and set(sample) == {"json", "txt", stated["pair_format"]}
        image = sample[stated["pair_format"]]
        assert sample["txt"].decode() == stated["published_text"] == planned[key]["published_text"]
        assert (stated["pair_sha256"], stated["pair_n_bytes"]) == (hashlib.sha256(image).hexdigest(), len(image))
        assert stated["pair_sha256"] == pairs[key]["pair_sha256"]
        if published[key]["published_format"] in ("jpg", "png", "webp"):
            assert stated["pair_sha256"] == published[key]["published_sha256"]
        for name in ("corpus", "half", "keywords", "latitude_deg", "meta_caption", "annotation_licence", "width_px"):
            assert stated[name] == origins[key][name]
        if key in captions:
            n_generated += 1
            assert stated["invariant_caption"] == captions[key]["invariant_caption"]
            assert stated["generated_captions"][0] == captions[key]["top_caption"]
            assert stated["caption"] is None and stated["caption_model_licence"] == "Apache-2.0"
            assert len(stated["generated_captions"]) == len(stated["generated_scores_cos"])
        else:
            assert stated["caption_model_licence"] is None
            assert stated["caption"] and not stated["generated_captions"] and stated["vlm_score_cos"] is not None
    assert n_generated == 8


def test_a_bmp_becomes_a_png_of_the_same_pixels(finished: Build, dataset: Path) -> None:
    formats = {row["sample_id"]: row["published_format"] for row in finished.rows("shard")}
    samples = {key: s for split in SPLITS for key, s in plain_samples(dataset, split).items()}
    others = [key for key, ending in formats.items() if ending in ("bmp", "gif")]
    assert others, "the build has no picture that must be converted, so this test shows nothing"
    for key in others:
        assert Image.open(io.BytesIO(samples[key]["png"])).format == "PNG"
    assert draw(12, "png") in [sample.get("png") for sample in samples.values()]


def test_layouts_that_are_off_are_not_published(finished: Build, tmp_path: Path) -> None:
    off = finished.with_settings(shard={"layouts": ["rs5m"]})
    ledger = off.ledger()
    assert ledger.why_off(off.stage("write_pairs")) == "shard.layouts without pairs"
    assert "pairs" not in layouts(ledger) and tars(ledger, "pairs") == {}


@pytest.mark.parametrize("split", SPLITS)
def test_hugging_face_loads_images_and_texts(
    dataset: Path, split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    found = datasets.load_dataset(str(dataset / "pairs"), split=split, cache_dir=str(tmp_path))
    assert isinstance(found.features["jpg"], datasets.Image) and isinstance(found.features["png"], datasets.Image)
    expected = plain_samples(dataset, split)
    assert sorted(found["__key__"]) == sorted(expected)
    for row in found:
        (image,) = [row[name] for name in ("jpg", "png", "webp") if row[name] is not None]
        assert image.size == (row["json"]["width_px"], row["json"]["height_px"])
        assert row["txt"] == expected[row["__key__"]]["txt"].decode()
        assert row["json"] == json.loads(expected[row["__key__"]]["json"])


def test_open_clips_training_reader_skips_no_sample(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pytest.importorskip("open_clip_train.data", reason="open_clip_train is not installed")
    samples: list[dict[str, Any]] = []
    stages = webdataset.WebDataset(names(dataset, "train"), shardshuffle=False)
    samples = [s for s in stages if data.filter_no_caption_or_no_image(s)]
    assert len(samples) == len(plain_samples(dataset, "train"))
