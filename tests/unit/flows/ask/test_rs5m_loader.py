"""The published loader runs as a script without this project; its orders, choices of text and errors."""

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.ask import rs5m_loader
from flows.ask.dataset import LOADER
from flows.ask.dataset_folder import DatasetFolder
from flows.ask.rs5m_loader import Batch, Loader, LoaderError, decode_image
from flows.ask.tars import add_tars
from stages.shard.tar_writer import TarWriter
from tests.small_build import Build


@pytest.fixture(scope="module")
def dataset(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = DatasetFolder(tmp_path_factory.mktemp("published") / "dataset", None)
    add_tars(finished.ledger(), folder)
    shutil.copy(LOADER, folder.path)
    return folder.path


def texts_of(finished: Build, split: str) -> dict[str, str]:
    return {row["img_name"]: row["published_text"] for row in finished.rows("shard_plan") if row["split"] == split}


def run_script(dataset: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # With -I neither the working directory nor this project is on the path.
    command = [sys.executable, "-I", str(dataset / LOADER.name), *arguments]
    return subprocess.run(command, cwd=dataset, env=environment, capture_output=True, text=True, check=False)


def read(loader: Loader) -> list[Batch]:
    return list(loader)


def test_it_imports_nothing_of_this_project() -> None:
    nodes = list(ast.walk(ast.parse(LOADER.read_text())))
    names = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names - sys.stdlib_module_names == {"numpy", "webdataset", "PIL", "torch"}


def test_the_script_reads_both_splits_and_prints_the_throughput(finished: Build, dataset: Path) -> None:
    done = run_script(dataset)
    assert done.returncode == 0, done.stderr
    for split in ("train", "val"):
        assert f"{split}: {len(texts_of(finished, split))} samples, batches: " in done.stdout
    assert done.stdout.count("images/s") == 4 and "1,800" in done.stdout


def test_two_processes_read_each_sample_once_and_continue_where_a_run_ended(finished: Build, dataset: Path) -> None:
    flags = ["--train_dir", "pairs/train", "--val_dir", "", "--num_worker", "2", "--batch_size", "4", "--size", "32"]
    flags += ["--num_shuffle", "5", "--captions", "any", "--state", "state"]
    first = run_script(dataset, *flags, "--max_batches", "3")
    assert first.returncode == 0, first.stderr
    state = json.loads((dataset / "state.train.json").read_text())
    assert sum(state["delivered"].values()) == 12 and len(state["delivered"]) == 2
    rest = run_script(dataset, *flags)
    n = len(texts_of(finished, "train"))
    assert f"train: {n - 12} samples, batches: " in rest.stdout, rest.stdout + rest.stderr
    assert json.loads((dataset / "state.train.json").read_text())["epoch"] == 1


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("folder", ["", "pairs/"])
def test_both_layouts_give_every_sample_with_its_text(finished: Build, dataset: Path, folder: str, split: str) -> None:
    batches = read(Loader(dataset / folder / split, batch_size=7))
    found = {name: text for batch in batches for name, text in zip(batch.names, batch.texts, strict=True)}
    expected = texts_of(finished, split)
    if folder:
        expected = {name.removesuffix(".jpg"): text for name, text in expected.items()}
    assert found == expected and sum(len(batch.names) for batch in batches) == len(expected)
    images = [image for batch in batches for image in batch.images]
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images)
    if folder:
        sizes = [(fact["height_px"], fact["width_px"]) for batch in batches for fact in batch.facts]
        assert [image.shape[:2] for image in images] == sizes


def test_epochs_differ_and_a_resumed_run_gives_the_rest_of_the_order(dataset: Path) -> None:
    def names(loader: Loader) -> list[str]:
        return [name for batch in loader for name in batch.names]

    options: dict[str, Any] = {"batch_size": 4, "num_shuffle": 8, "decode": False, "seed": 3}
    whole = Loader(dataset / "pairs" / "train", **options)
    first, second = names(whole), names(whole)
    assert sorted(first) == sorted(second) and first != second
    assert names(Loader(dataset / "pairs" / "train", **options)) == first
    broken = Loader(dataset / "pairs" / "train", **options)
    begun = []
    for batch in broken:
        begun += batch.names
        if len(begun) == 12:
            break
    state = json.loads(json.dumps(broken.state()))
    resumed = Loader(dataset / "pairs" / "train", **options)
    resumed.resume(state)
    assert begun + names(resumed) == first and names(resumed) == second
    with pytest.raises(LoaderError, match="saved with num_shuffle=8, the loader has 0"):
        Loader(dataset / "pairs" / "train", batch_size=4, seed=3).resume(state)


def test_captions_are_chosen_among_the_texts_of_a_sample(finished: Build, dataset: Path) -> None:
    captions = {row["sample_id"]: row for row in finished.rows("caption")}
    seen: dict[str, set[str]] = {}
    for how in ("plain", "either", "any"):
        loader = Loader(dataset / "pairs" / "train", captions=how, decode=False)
        for _ in range(6):
            for batch in loader:
                for name, text, facts in zip(batch.names, batch.texts, batch.facts, strict=True):
                    seen.setdefault(how, set()).add(text)
                    row = captions.get(name)
                    plain = facts["caption"] or facts["generated_caption"]
                    allowed = {
                        "plain": {plain},
                        "either": {row["top_caption"], row["invariant_caption"]} if row else {plain},
                        "any": {facts["published_text"], plain, *facts["generated_captions"]},
                    }
                    assert text in allowed[how]
    assert len(seen["any"]) > len(seen["plain"]) and any(row["sample_id"] for row in captions.values())
    with pytest.raises(LoaderError, match="published texts alone; read pairs/"):
        read(Loader(dataset / "train", captions="plain"))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_images_are_turned_flattened_over_white_and_stretched() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode_image(encoded(Image.new("RGB", (30, 20), "red"), "JPEG", exif=exif.tobytes()))
    assert turned.shape == (30, 20, 3)
    assert decode_image(encoded(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "PNG")).min() == 255
    deep = Image.fromarray(np.arange(16, dtype=np.uint16).reshape(4, 4) * 300)
    assert decode_image(encoded(deep, "PNG"))[..., 0].tolist()[3] == [204, 221, 238, 255]
    assert decode_image(encoded(Image.new("L", (50, 20)), "PNG"), 8).shape == (8, 8, 3)


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match="has no tars: name the folder"):
        Loader(tmp_path)
    with (tmp_path / "a.tar").open("wb") as file, TarWriter(file) as writer:
        writer.write("good", {"jpg": encoded(Image.new("RGB", (4, 4)), "JPEG"), "txt": b"a"})
        writer.write("bad", {"jpg": b"no image", "txt": b"b"})
        writer.write("lone", {"txt": b"c"})
    with pytest.raises(LoaderError, match=r"a\.tar: bad cannot be read: UnidentifiedImageError"):
        read(Loader(tmp_path))
    with pytest.raises(LoaderError, match="lone cannot be read"):
        read(Loader(tmp_path, decode=False))
    with pytest.raises(LoaderError, match="expected one of published"):
        Loader(tmp_path, captions="best")
    with pytest.raises(LoaderError, match="at least 1"):
        Loader(tmp_path, batch_size=0)
    assert rs5m_loader.main(["--train_dir", str(tmp_path / "none"), "--val_dir", ""]) == 2


def test_a_folder_of_empty_tars_has_no_batches(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w"):
        pass
    assert read(Loader(tmp_path)) == []
