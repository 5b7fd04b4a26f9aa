"""Read the tars of this dataset folder in batches of images with texts. Needs only the package webdataset.

    python rs5m_loader.py --num_worker 2 --batch_size 64 --num_shuffle 1000     # prints the throughput of both splits

    from rs5m_loader import Loader
    for batch in Loader("pairs/train", batch_size=64, num_shuffle=1000, size=224, captions="any"):
        batch.images, batch.texts, batch.names

Both layouts are read: `train/` and `val/` (members img_content, caption, img_name) and `pairs/` (jpg, png or webp, with
txt and json). Tars without samples are passed over. Images are decoded with Pillow, unless `decode=False`; more than
the calling process (`num_worker` of 1 or more) needs torch. A sample that cannot be read raises an error with its name.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import webdataset

CAPTIONS = ("published", "plain", "either", "any")
IMAGES = ("img_content", "jpg", "png", "webp")  # names of the image among a sample's members
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
WHITE = (255, 255, 255)
PUBLISHED = "the paper on RS5M states about 1,800 images/s on 16 cores"


class LoaderError(Exception):
    """The folder, a sample or a saved state is unusable, for the reason in the message."""


@dataclass(frozen=True)
class Batch:
    """A batch of samples.

    Attributes:
        names: names of the images, as in the metafiles.
        images: uint8 [height, width, 3] each; uint8 [n, size, size, 3] with a size; bytes without decoding.
        texts: one text per image.
        facts: the JSON of each sample; empty in the layout rs5m, which has none.
        worker, n_delivered: the process that made the batch, and its number of delivered samples in this epoch.
    """

    names: list[str]
    images: Any
    texts: list[str]
    facts: list[dict[str, Any]]
    worker: int
    n_delivered: int


class Loader:
    """Iterates over the batches of one split; each `for` is an epoch, with its own order if samples are shuffled.

    The order depends only on seed, epoch and number of processes, so that a run can continue where it ended:
    `state = loader.state()`, and in a new process `loader.resume(state)`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        batch_size: int = 64,
        num_worker: int = 0,
        num_shuffle: int = 0,
        size: int = 0,
        captions: str = "published",
        decode: bool = True,
        seed: int = 0,
    ) -> None:
        """Find the tars of a split.

        Args:
            folder: train, val, pairs/train or pairs/val.
            batch_size: samples in a batch; the last ones of a process may be fewer.
            num_worker: processes beside the calling one; each reads tars of its own.
            num_shuffle: samples from which the next one is drawn; 0 keeps the order of the tars.
            size: side of the square to which images are reduced and cropped, px; 0 keeps their sizes.
            captions: "published": the text as published. In pairs/ also "plain": without the sentence from metadata;
                "either": by lot the generated caption ranked first or the one least changed by rotation (web captions
                as with "plain"); "any": by lot one of all texts.
            decode: False for images as bytes.
            seed: of the orders and of the lots.

        Raises:
            LoaderError: the folder has no tars, or an argument is out of range.
        """
        if captions not in CAPTIONS:
            raise LoaderError(f"captions={captions!r}: expected one of {', '.join(CAPTIONS)}")
        if min(batch_size - 1, num_worker, num_shuffle, size) < 0:
            raise LoaderError("batch_size must be at least 1; num_worker, num_shuffle and size at least 0")
        self.tars = sorted(str(path) for path in Path(folder).glob("*.tar"))
        if not self.tars:
            raise LoaderError(f"{folder} has no tars: name the folder train, val, pairs/train or pairs/val")
        self.batch_size, self.num_worker, self.num_shuffle = batch_size, num_worker, num_shuffle
        self.size, self.captions, self.decode, self.seed = size, captions, decode, seed
        self.epoch = 0
        self._delivered: dict[int, int] = {}

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of an epoch, or of the rest of a resumed one."""
        pipeline = webdataset.DataPipeline(self._batches)
        if not self.num_worker:
            source: Iterable[Any] = pipeline
        else:
            try:
                import torch  # noqa: F401
            except ImportError:
                raise LoaderError("num_worker of 1 or more needs torch: install it, or use num_worker=0") from None
            source = webdataset.WebLoader(pipeline, batch_size=None, num_workers=self.num_worker)
        for packed in source:
            batch = _unpacked(packed)
            self._delivered[batch.worker] = batch.n_delivered
            yield batch
        self.epoch, self._delivered = self.epoch + 1, {}

    def state(self) -> dict[str, Any]:
        """Return the values that `resume` needs to continue after the last batch, for JSON."""
        delivered = {str(worker): n for worker, n in self._delivered.items()}
        return {**self._order(), "epoch": self.epoch, "delivered": delivered}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue after the last batch before `state`; delivered samples are skipped without decoding.

        Raises:
            LoaderError: the state is for other tars, or another order of samples.
        """
        for name, value in self._order().items():
            if state.get(name) != value:
                raise LoaderError(f"the state was saved with {name}={state.get(name)!r}, the loader has {value!r}")
        self.epoch = int(state["epoch"])
        self._delivered = {int(worker): int(n) for worker, n in state["delivered"].items()}

    def _order(self) -> dict[str, Any]:
        names = [[Path(tar).name, Path(tar).stat().st_size] for tar in self.tars]
        order = {"seed": self.seed, "num_worker": self.num_worker, "num_shuffle": self.num_shuffle}
        return {**order, "batch_size": self.batch_size, "tars": names}

    def _batches(self) -> Iterator[dict[str, Any]]:
        """Yield the batches of this process."""
        rank, n_ranks, worker, n_workers = webdataset.utils.pytorch_worker_info()
        rng = random.Random(f"{self.seed} {self.epoch}")
        tars = list(self.tars)
        if self.num_shuffle:
            rng.shuffle(tars)
        tars = tars[rank * n_workers + worker :: n_ranks * n_workers]
        samples = _shuffled(_read(tars), self.num_shuffle, random.Random(f"{self.seed} {self.epoch} {rank} {worker}"))
        n = self._delivered.get(worker, 0)
        for _ in range(n):
            next(samples, None)
        waiting: list[dict[str, Any]] = []
        for sample in samples:
            waiting.append(sample)
            if len(waiting) == self.batch_size:
                n += len(waiting)
                yield self._packed(waiting, worker, n)
                waiting = []
        if waiting:
            yield self._packed(waiting, worker, n + len(waiting))

    def _packed(self, samples: Sequence[Mapping[str, Any]], worker: int, n_delivered: int) -> dict[str, Any]:
        """Return a batch whose images are one array, which processes pass without copies."""
        read = [self._sample(sample) for sample in samples]
        names, images, texts, facts = (list(column) for column in zip(*read, strict=True))
        packed = {"names": names, "texts": texts, "facts": facts, "worker": worker, "n_delivered": n_delivered}
        if not self.decode:
            return {**packed, "images": images}
        if self.size:
            return {**packed, "pixels": _handed_over(np.stack(images), self.num_worker)}
        flat = np.concatenate([image.reshape(-1) for image in images])
        return {**packed, "pixels": _handed_over(flat, self.num_worker), "shapes": [image.shape for image in images]}

    def _sample(self, sample: Mapping[str, Any]) -> tuple[str, Any, str, dict[str, Any]]:
        try:
            member = next(name for name in IMAGES if name in sample)
            facts = json.loads(sample["json"]) if "json" in sample else {}
            rng = random.Random(f"{self.seed} {self.epoch} {sample['__key__']}")
            text = choose_text(sample, facts, self.captions, rng)
            name = sample["img_name"].decode() if "img_name" in sample else sample["__key__"]
            return name, decode_image(sample[member], self.size) if self.decode else sample[member], text, facts
        except LoaderError:
            raise
        except Exception as error:
            where = f"{sample.get('__url__')}: {sample.get('__key__')}"
            raise LoaderError(f"{where} cannot be read: {type(error).__name__}: {error}") from error


def choose_text(sample: Mapping[str, Any], facts: Mapping[str, Any], captions: str, rng: random.Random) -> str:
    """Return one of a sample's texts.

    Raises:
        LoaderError: the sample only has the published text, and another one is requested.
    """
    if captions == "published":
        return str((sample["caption"] if "caption" in sample else sample["txt"]).decode())
    if not facts:
        raise LoaderError(f"captions={captions!r}: this layout has published texts alone; read pairs/ instead")
    plain = facts["caption"] or facts["generated_caption"] or facts["published_text"]
    if captions == "plain":
        return str(plain)
    if captions == "either":
        found = [(facts["generated_captions"] or [plain])[0], facts["invariant_caption"] or plain]
    else:
        found = [facts["published_text"], plain, facts["invariant_caption"], *facts["generated_captions"]]
    return str(rng.choice([text for text in dict.fromkeys(found) if text] or [plain]))


def decode_image(data: bytes, size: int = 0) -> Any:
    """Return uint8 [height, width, 3]: the first frame, turned by its EXIF orientation, on white."""
    from PIL import Image, ImageOps

    image: Any = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.mode[0] in "IF":  # more than 8 bits: scaled, since Pillow would clip them
        values = np.asarray(image, np.float64)
        low, high = float(values.min()), float(values.max())
        image = Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image.convert("RGBA"))
    image = image.convert("RGB")
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC) if size else image)


def _read(tars: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the members of each sample as bytes, and its __key__ and __url__."""
    if tars:
        # Not WebDataset: its options differ between releases, and open_clip's trainer needs an old one.
        yield from webdataset.DataPipeline(webdataset.SimpleShardList(list(tars)), webdataset.tarfile_to_samples())


def _shuffled(samples: Iterator[dict[str, Any]], n: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    held: list[dict[str, Any]] = []
    for sample in samples:
        held.append(sample)
        if len(held) > n:
            chosen = rng.randrange(len(held)) if n else 0
            held[chosen], held[-1] = held[-1], held[chosen]
            yield held.pop()
    rng.shuffle(held)
    yield from held


def _handed_over(pixels: Any, num_worker: int) -> Any:
    if not num_worker:
        return pixels
    import torch  # its tensors are in memory that processes share

    return torch.from_numpy(pixels)


def _unpacked(packed: Mapping[str, Any]) -> Batch:
    images = packed.get("images")
    if images is None:
        images = np.asarray(packed["pixels"])
        if "shapes" in packed:
            ends = np.cumsum([int(np.prod(shape)) for shape in packed["shapes"]])
            cut = np.split(images, ends[:-1])
            images = [flat.reshape(shape) for flat, shape in zip(cut, packed["shapes"], strict=True)]
    others = (packed[name] for name in ("texts", "facts", "worker", "n_delivered"))
    return Batch(packed["names"], images, *others)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read one epoch of both splits and print the throughput of each."""
    options = _parser().parse_args(arguments)
    try:
        for split in ("train", "val"):
            if folder := getattr(options, f"{split}_dir"):
                _measure(split, folder, options)
    except LoaderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _measure(split: str, folder: str, options: argparse.Namespace) -> None:
    names = ("batch_size", "num_worker", "num_shuffle", "size", "captions", "seed")
    loader = Loader(folder, **{name: getattr(options, name) for name in names})
    path = Path(f"{options.state}.{split}.json") if options.state else None
    if path is not None and path.exists():
        loader.resume(json.loads(path.read_text(encoding="utf-8")))
    started, cpu, n_samples, n_batches, n_characters = time.perf_counter(), os.times(), 0, 0, 0
    for batch in loader:
        n_batches, n_samples = n_batches + 1, n_samples + len(batch.names)
        n_characters += sum(map(len, batch.texts))
        if path is not None and n_batches % options.state_every == 0:
            _save(path, loader.state())
        if n_batches == options.max_batches:
            break
    if path is not None:
        _save(path, loader.state())
    wall_s, now = time.perf_counter() - started, os.times()
    cpu_s = sum(now[:4]) - sum(cpu[:4])
    mean = n_characters / max(n_samples, 1)
    print(f"{split}: {n_samples} samples, batches: {n_batches}, texts of {mean:.0f} characters on average")
    print(f"{split}: {n_samples / wall_s:,.0f} images/s, {1000 * cpu_s / max(n_samples, 1):.2f} ms of CPU an image")
    print(f"  {options.num_worker} processes beside this one, {os.cpu_count()} cores; {PUBLISHED}")


def _save(path: Path, state: Mapping[str, Any]) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.replace(path)


def _parser() -> argparse.ArgumentParser:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description="Read the dataset once and print the throughput.")
    parser.add_argument("--train_dir", default=str(here / "train"), help="folder of tars; empty for none (train)")
    parser.add_argument("--val_dir", default=str(here / "val"), help="folder of tars; empty for none (val)")
    parser.add_argument("--num_worker", type=int, default=0, help="processes beside this one; needs torch (0)")
    parser.add_argument("--batch_size", type=int, default=64, help="samples in a batch (64)")
    parser.add_argument("--num_shuffle", type=int, default=0, help="samples from which the next is drawn (0: in order)")
    parser.add_argument("--size", type=int, default=0, help="reduce and crop images to this side, px (0: as they are)")
    parser.add_argument("--captions", choices=CAPTIONS, default="published", help="which text (published)")
    parser.add_argument("--seed", type=int, default=0, help="of order and choice (0)")
    parser.add_argument(
        "--state", default="", help="prefix of the files that record a run's progress; read at the start"
    )
    parser.add_argument("--state_every", type=int, default=100, help="batches between two writes of these files (100)")
    parser.add_argument(
        "--max_batches", type=int, default=0, help="end after this number of batches of a split (0: all)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
