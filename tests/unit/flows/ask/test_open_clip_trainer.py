"""open_clip's own trainer runs unchanged on the tars of the layout pairs, with the webdataset that it needs."""

import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

import pytest

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.rs5m_loader import Loader
from flows.ask.tars import SIZES, add_tars, pair_sizes
from tests.small_build import Build

LOADER = Path(__file__).parents[4] / "flows/ask/rs5m_loader.py"
# open_clip_torch[training] refuses the release that this project pins, so `make` installs an older one beside it.
OLD_WEBDATASET = Path(sys.prefix) / "open_clip_webdataset"
needs_trainer = pytest.mark.skipif(
    importlib.util.find_spec("open_clip_train") is None or not (OLD_WEBDATASET / "webdataset").is_dir(),
    reason=f"open_clip_train, or the webdataset for it in {OLD_WEBDATASET.name}, is not installed: run `make test`",
)
N_STEPS, BATCH = 50, 8


@pytest.fixture(scope="module")
def pairs(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = DatasetFolder(tmp_path_factory.mktemp("published") / "dataset", None)
    add_tars(finished.ledger(), folder)
    return folder.path / "pairs"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of one layer for each tower, untrained."""
    folder = tmp_path_factory.mktemp("model")
    towers = {
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
    }
    content = {"model_cfg": {"embed_dim": 32, **towers}, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return folder


def with_old_webdataset(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(OLD_WEBDATASET), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def tars(folder: Path) -> str:
    return "::".join(f"{folder}/{half}-{folder.name}-{{0000..0001}}.tar" for half in ("pub11", "rs3"))


def test_the_number_of_samples_of_every_tar_is_published(finished: Build, pairs: Path) -> None:
    planned = [(row["split"], f"{row['shard']}.tar") for row in finished.rows("shard_plan")]
    for split, sizes in pair_sizes(finished.ledger()).items():
        assert sizes == {path.name: planned.count((split, path.name)) for path in (pairs / split).glob("*.tar")}
        assert json.loads((pairs / split / SIZES).read_text()) == sizes
        assert sum(sizes.values()) > 3


@needs_trainer
def test_open_clips_trainer_makes_50_steps_and_skips_no_sample(pairs: Path, model: Path, tmp_path: Path) -> None:
    n_train, n_val = (sum(json.loads((pairs / split / SIZES).read_text()).values()) for split in ("train", "val"))
    steps_per_epoch = -(-n_train // BATCH)
    n_epochs = -(-N_STEPS // steps_per_epoch)
    done = with_old_webdataset(
        "-m", "open_clip_train.main", "--dataset-type", "webdataset", "--model", f"local-dir:{model}",
        "--train-data", tars(pairs / "train"), "--val-data", f"{tars(pairs / 'train')}::{tars(pairs / 'val')}",
        "--batch-size", BATCH, "--epochs", n_epochs, "--workers", 0, "--warmup", 5, "--lr", 2e-3, "--val-frequency", 99,
        "--device", "cpu", "--precision", "fp32", "--log-every-n-steps", 1, "--save-frequency", 0,
        "--logs", tmp_path, "--name", "run",
    )  # fmt: skip
    log = (tmp_path / "run/out.log").read_text()
    losses = [float(found) for found in re.findall(r"Train Epoch: .* Loss: ([\d.]+)", log)]
    assert len(losses) == steps_per_epoch * n_epochs >= N_STEPS
    by_lot = math.log(BATCH)  # the loss of a model that knows nothing
    assert mean(losses[-10:]) < min(by_lot, 0.9 * mean(losses[:10])), losses
    # It warns of each sample that it passes over, and its evaluation counts the ones that it has read.
    assert "Handling webdataset error" not in log + done.stderr
    (measured,) = [json.loads(line) for line in (tmp_path / "run/checkpoints/results.jsonl").read_text().splitlines()]
    assert measured["num_samples"] == n_train + n_val


@needs_trainer
def test_the_published_loader_reads_with_the_trainers_webdataset(pairs: Path, tmp_path: Path) -> None:
    loader = shutil.copy(LOADER, tmp_path)  # without the modules beside it, as in a dataset folder
    done = with_old_webdataset(
        loader, "--train_dir", pairs / "train", "--val_dir", pairs / "val", "--captions", "any", "--batch_size", BATCH
    )
    for split in ("train", "val"):
        n_samples = sum(json.loads((pairs / split / SIZES).read_text()).values())
        assert f"{split}: {n_samples} samples" in done.stdout


class OneOfSeveralCaptions:
    """The published loader as open_clip's dataloader: a text by lot for each image, another one in the next epoch."""

    def __init__(self, folder: Path, tokenize: Callable[[list[str]], Any]) -> None:
        self.loader = Loader(str(folder), batch_size=BATCH, num_shuffle=20, size=32, captions="any")
        self.num_samples = sum(json.loads((folder / SIZES).read_text()).values())
        self.num_batches = -(-self.num_samples // BATCH)
        self.tokenize = tokenize
        self.seen: dict[str, list[str]] = defaultdict(list)
        self.generated: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        import torch

        for batch in self.loader:
            for name, text, facts in zip(batch.names, batch.texts, batch.facts, strict=True):
                self.seen[name].append(text)
                self.generated[name] = set(facts["generated_captions"])
            pixels = torch.from_numpy(batch.images).permute(0, 3, 1, 2)
            yield pixels / 127.5 - 1, self.tokenize(batch.texts)


def test_open_clips_training_loop_takes_one_of_several_captions(pairs: Path, model: Path) -> None:
    pytest.importorskip("open_clip_train", reason="open_clip_train is not installed")
    import open_clip
    import torch
    from open_clip_train.data import DataInfo
    from open_clip_train.train import train_one_epoch

    torch.manual_seed(0)
    clip = open_clip.create_model(f"local-dir:{model}", output_dict=True)
    before = clip.visual.proj.detach().clone()
    data = OneOfSeveralCaptions(pairs / "train", open_clip.get_tokenizer(f"local-dir:{model}"))
    options = SimpleNamespace(
        device="cpu", precision="fp32", distill=False, accum_freq=1, skip_scheduler=True, grad_clip_norm=None, rank=0,
        horovod=False, world_size=1, batch_size=BATCH, log_every_n_steps=1, wandb=False, log_local=False,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(clip.parameters(), lr=1e-3)
    n_epochs = 2
    for epoch in range(n_epochs):
        train_one_epoch(
            clip, {"train": DataInfo(data)}, open_clip.ClipLoss(), epoch, optimizer, None, None, None, options
        )
    assert not torch.equal(before, clip.visual.proj)
    assert len(data.seen) == data.num_samples and {len(texts) for texts in data.seen.values()} == {n_epochs}
    several = {name: set(texts) for name, texts in data.seen.items() if len(data.generated[name]) > 1}
    assert len(several) > 3 and any(len(texts) > 1 for texts in several.values())
    assert any(texts & data.generated[name] for name, texts in several.items())
