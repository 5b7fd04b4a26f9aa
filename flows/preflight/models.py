"""Check the models that a build's stages open: that weights exist and are complete, and that they fit on a GPU."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.preflight.gaps import Gap, without_gpu
from flows.preflight.machine import Gpus
from flows.settings import Settings
from schemas.manifests import MANIFESTS, Model
from stages.contract import InputError, Stage
from stages.models.opening import find_model
from stages.models.weights import file_digest, weight_faults

MEMORY = ".digests.json"  # in the models folder: digests by path, size and time
_SMALL_BYTES = 64_000_000  # read at once, a tenth of a second; not worth remembering
_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class Need:
    """A model that a stage opens, the folder that must hold it, and the device it runs on."""

    stage: str
    model: Model
    folder: Path
    device: str


@dataclass
class Digests:
    """Digests of weight files, remembered by size and time; files that cannot be read within the budget have none.

    Attributes:
        folder: of the models; digests are remembered in a file there.
        budget_s: time for reading files whose digest is not remembered, s.
        unread: files that were not read because the time was over.
    """

    folder: Path
    budget_s: float
    unread: list[Path] = field(default_factory=list)
    _known: dict[str, list[object]] = field(default_factory=dict)
    _is_changed: bool = False

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.budget_s
        try:
            self._known = dict(json.loads((self.folder / MEMORY).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._known = {}  # never written, or cut by a crash: the files are read again

    def __call__(self, path: Path) -> str:
        """Return a file's sha256, or "" if there was no time to read it."""
        status = path.stat()
        if status.st_size <= _SMALL_BYTES:
            return file_digest(path)
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(str(path.resolve()))
        if known and known[:3] == stamp:
            return str(known[3])
        digest = self._read(path)
        if digest:
            self._known[str(path.resolve())] = [*stamp, digest]
            self._is_changed = True
        else:
            self.unread.append(path)
        return digest

    def save(self) -> None:
        """Store the digests; do nothing if the folder is not writable, since they only save time."""
        if self._is_changed:
            draft = self.folder / f"{MEMORY}.draft"
            try:
                draft.write_text(json.dumps(self._known), encoding="utf-8")
                draft.replace(self.folder / MEMORY)
            except OSError:
                return

    def _read(self, path: Path) -> str:
        import hashlib

        hasher = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                hasher.update(block)
                if time.monotonic() > self._end:
                    return ""
        return hasher.hexdigest()


def needs_of(settings: Settings, stages: Iterable[Stage]) -> Iterator[Need | Gap]:
    """Yield the models that stages open, in their order; a setting that names no model is a gap."""
    for stage in stages:
        if not stage.has_model:
            continue
        resources = settings.resources(stage)
        for tool in stage.tools:
            try:
                facts = tool.identity(settings.params(stage))
                model = find_model(str(facts["name"])) if "library" in facts else None
            except InputError as error:
                yield Gap("model", stage.name, str(error))
                continue
            if model is not None:
                models = Path(getattr(resources, "models", "models"))
                folder = MANIFESTS / model.folder if model.folder else models / model.name
                yield Need(stage.name, model, folder, str(getattr(resources, "device", "auto")))


def weight_gaps(needs: Sequence[Need], command: str, digests: Digests) -> Iterator[Gap]:
    """Yield the faults of the weights, model by model and file by file.

    Args:
        needs: the models; one that several stages open is checked once.
        command: the command that fetches them.
        digests: returns the digests of their files.
    """
    for need in {(need.model.name, need.folder): need for need in needs}.values():
        for fault in weight_faults(need.model, need.folder, digests):
            is_fetched = fault.is_published and need.model.files
            remedy = f"or fetch what is published of it with\n    {command}" if is_fetched else ""
            yield Gap("model", need.model.name, fault.text, remedy)


def gpu_gaps(needs: Sequence[Need], gpus: Gpus, n_processes: int, profile: str) -> Iterator[Gap]:
    """Yield the stages whose models fit on no GPU of this machine.

    Args:
        needs: the models, by stage.
        gpus: of this machine; one that states no memory is not compared.
        n_processes: processes that run a stage with a model at once, distributed over the GPUs.
        profile: the one in use, which no remedy names.
    """
    for stage in dict.fromkeys(need.stage for need in needs):
        mine = [need for need in needs if need.stage == stage and need.device != "cpu"]
        # Two settings may name one model: it is opened twice.
        each_gb = sum(need.model.gpu_gb for need in mine)
        is_told = any(need.device.startswith("cuda") for need in mine)
        names = " and ".join(need.model.name for need in mine)
        sizes = [(gpu.memory_gb, gpu.name) for gpu in gpus.found if gpu.memory_gb is not None]
        if not gpus.found and (each_gb or is_told):
            yield Gap(
                "gpu", stage, f"{names}: expected a GPU of {each_gb:.1f} GB, found none ({gpus.why_none})",
                f"run this stage on a machine with one{without_gpu(profile)}",
            )  # fmt: skip
        elif sizes and each_gb:
            n_each = math.ceil(n_processes / len(gpus.found))
            smallest_gb, smallest = min(sizes)
            if each_gb * n_each > smallest_gb:
                words = "1 process a GPU needs" if n_each == 1 else f"{n_each} processes a GPU need"
                yield Gap(
                    "gpu", stage,
                    f"{names}: {words} {each_gb * n_each:.1f} GB, {smallest} has"
                    f" {smallest_gb:.1f} GB",
                    "lower run.model_workers or the stage's batch size, choose a smaller model, or another GPU",
                )  # fmt: skip
