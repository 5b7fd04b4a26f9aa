"""Check weight files on disk: they match the pinned digests, and are safetensors, not pickles.

The adapters load them after these checks.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from schemas.manifests import Model
from stages.contract import InputError
from stages.models.model_files import lacking_files

DIGESTS = "SHA256SUMS"
ADAPTER_CONFIG = "adapter_config.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
CONVERT = ".venv/bin/python -m stages.models.convert_weights IN OUT.safetensors"
CONVERT_DETECTOR = ".venv/bin/python -m stages.models.convert_detector IN.pt OUT_FOLDER"


@dataclass(frozen=True)
class WeightFault:
    """A reason why a model's files cannot be used.

    Attributes:
        text: the reason, with what to do.
        is_published: the file belongs to the model's repository, so `make weights` can fetch it; an adapter's does not.
    """

    text: str
    is_published: bool = True


def check_weights(model: Model, folder: Path) -> None:
    """Check that a folder has the model's weights, as safetensors, with the pinned digests.

    Raises:
        InputError: the folder is missing, has other weights or a pickle, or states no digest to compare with.
    """
    for fault in weight_faults(model, folder):
        raise InputError(fault.text)


def weight_faults(model: Model, folder: Path, digest: Callable[[Path], str] | None = None) -> Iterator[WeightFault]:
    """Yield every reason why a folder's weights cannot be used, each with what to do.

    Args:
        model: as pinned.
        folder: of its files.
        digest: returns a file's sha256, "" if it is not known and must not be compared; if None, the files are read.
    """
    if not folder.is_dir():
        yield WeightFault(f"{model.name} is missing: expected the folder {folder}. {advise(model, folder)}")
        return
    if model.adapter:
        yield from _adapter_faults(model, folder, folder / model.adapter)
    files = weight_files(folder)
    if not [path for path in files if not _is_adapter(model, folder, path)]:
        yield WeightFault(_no_weights(model, folder, folder))
        return
    if lacking := lacking_files(folder, model.files):
        text = f"{model.name} is incomplete: missing, empty or damaged in {folder}: {', '.join(lacking)}"
        yield WeightFault(f"{text}. {advise(model, folder)}")
    damaged = {path: fault for path in files if (fault := safetensors_fault(path, model, folder))}
    yield from (WeightFault(fault, not _is_adapter(model, folder, path)) for path, fault in damaged.items())
    named = {*lacking, *(path.relative_to(folder).as_posix() for path in damaged)}
    yield from _digest_faults(model, folder, files, named, digest or file_digest)


def _adapter_faults(model: Model, folder: Path, adapter: Path) -> Iterator[WeightFault]:
    """Yield that an adapter has no weights, or no configuration; its digests are compared with the model's."""
    if not weight_files(adapter):
        yield WeightFault(_no_weights(model, folder, adapter), is_published=False)
    elif lacking_files(adapter, (ADAPTER_CONFIG,)):
        text = f"{model.name}: missing, empty or damaged: {adapter / ADAPTER_CONFIG}"
        yield WeightFault(f"{text}. {_advise_on(adapter, model, folder)}", is_published=False)


def _digest_faults(
    model: Model, folder: Path, files: list[Path], named: set[str], digest: Callable[[Path], str]
) -> Iterator[WeightFault]:
    """Yield the files whose digest is another one or that state none, without those that a fault has named."""
    names = [path.relative_to(folder).as_posix() for path in files]
    found = {name: digest(folder / name) for name in names if name not in named}
    if model.weights_sha256:
        if all(found.values()) and not named:
            yield from _compare(model, folder, folder, model.weights_sha256, combine_digests(found))
        return
    expected = _read_digests(model, folder)
    if isinstance(expected, str):
        yield WeightFault(expected)
        return
    for name, one in found.items():
        if name not in expected:
            yield WeightFault(
                f"{folder / DIGESTS} does not name {name}: expected a line `<sha256>  {name}`."
                " Remove the file if it is not the model's, or write its digest there",
                not _is_adapter(model, folder, folder / name),
            )
        elif one:
            yield from _compare(model, folder, folder / name, expected[name], one)
    for name in sorted(set(expected) - set(found) - named):
        path = folder / name
        one = digest(path) if path.is_file() else "no file"
        if one:
            yield from _compare(model, folder, path, expected[name], one)


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder and its folders, in order."""
    return sorted(path for path in folder.rglob("*.safetensors") if path.is_file())


def combine_digests(digests: dict[str, str]) -> str:
    """Return the sha256 of one file, or for several the sha256 of their sorted lines `<sha256>  <name>`."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def weights_digest(folder: Path) -> str:
    """Return the value of `weights_sha256` in models.toml for a folder."""
    return combine_digests({path.relative_to(folder).as_posix(): file_digest(path) for path in weight_files(folder)})


def stated_digest(folder: Path) -> str | None:
    """Return `weights_digest` of a folder from its SHA256SUMS, without reading the weights; None if it states none."""
    try:
        return combine_digests(_parse_digests(folder / DIGESTS)) or None
    except (OSError, ValueError):
        return None


def small_files_digest(folder: Path) -> str:
    """Return one digest of a committed model's configuration and tokenizer: all files but weights and texts."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".safetensors", ".md")
    )
    return combine_digests({"": ""} | {name: file_digest(folder / name) for name in names})


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safetensors_fault(path: Path, model: Model, folder: Path) -> str:
    """Return why a file is not a whole safetensors file, or "": a length, JSON of that length, the bytes it names."""
    with path.open("rb") as file:
        start = file.read(8)
        n_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        size = path.stat().st_size
        header = file.read(n_bytes) if 0 < n_bytes <= min(MAX_HEADER_BYTES, size) else b""
    try:
        named = json.loads(header)
    except ValueError:
        named = None
    if not isinstance(named, dict):
        return (
            f"{path} should be safetensors, but starts with {start!r}: it is damaged, or a pickle under another name."
            f" Convert a pickle in a separate process: {_converter(model)}; or get the file again."
            f" {_advise_on(path, model, folder)}"
        )
    ends = [one["data_offsets"][1] for one in named.values() if isinstance(one, dict) and "data_offsets" in one]
    expected = 8 + n_bytes + max(ends, default=0)
    if size != expected:
        found = f"{path} has {size:,} bytes, but its header states {expected:,}"
        return f"{found}: it is cut or damaged. {_advise_on(path, model, folder)}"
    return ""


def advise(model: Model, folder: Path) -> str:
    """Return how to get a model's files, from models.toml; commands are on lines of their own, to be pasted."""
    if model.folder:
        return f"It belongs to the repository: `git checkout manifests/{model.folder}`, or build it: {model.how_to_get}"
    how = model.how_to_get.replace("{folder}", str(folder))
    if model.revision == "own":
        return f"It is not published, so train your own:\n{how}"
    return f"Put revision {model.revision} of {model.repository} there:\n{indent(how, '    ')}"


def _advise_on(path: Path, model: Model, folder: Path) -> str:
    """Return how to get one of a model's files: an adapter by its own commands, not with the whole model again."""
    if not _is_adapter(model, folder, path):
        return advise(model, folder)
    lines = model.how_to_get.replace("{folder}", str(folder)).strip().splitlines()
    commands = "\n".join(line for line in lines if model.adapter in line)
    return f"Get the adapter:\n{indent(commands, '    ')}"


def _is_adapter(model: Model, folder: Path, path: Path) -> bool:
    return bool(model.adapter) and path.is_relative_to(folder / model.adapter)


def _converter(model: Model) -> str:
    return f"`{CONVERT_DETECTOR if model.task == 'detector' else CONVERT}`"


def _no_weights(model: Model, folder: Path, place: Path) -> str:
    """Return that a place has no weights: the model's folder, or its adapter's."""
    is_adapter = _is_adapter(model, folder, place)
    files = [path for path in sorted(place.rglob("*")) if _is_adapter(model, folder, path) == is_adapter]
    pickles = [path for path in files if path.suffix in PICKLES and path.is_file()]
    found, advice = f"{model.name}: expected safetensors in {place}, found", _advise_on(place, model, folder)
    if pickles:
        return (
            f"{found} {pickles[0].name}, a pickle, which may run code. Convert it in a separate process:"
            f" {_converter(model)}, or get safetensors. {advice}"
        )
    return f"{found} none. {advice}"


def _read_digests(model: Model, folder: Path) -> dict[str, str] | str:
    path = folder / DIGESTS
    try:
        return _parse_digests(path)
    except FileNotFoundError:
        return (
            f"{path} is missing: expected a line `<sha256>  <file>` for each weight file of {model.name}. Compare the"
            f" digests with those the publisher shows, then write them: `cd {folder} && sha256sum *.safetensors >"
            f" {DIGESTS}`"
        )
    except (ValueError, UnicodeDecodeError) as error:
        return f"{path} should have lines `<sha256>  <file>`: {error}. Write it again"


def _parse_digests(path: Path) -> dict[str, str]:
    lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {name.strip().lstrip("*").removeprefix("./"): digest for digest, name in lines}


def _compare(model: Model, folder: Path, path: Path, expected: str, found: str) -> Iterator[WeightFault]:
    if expected != found:
        advice = _advise_on(path, model, folder)
        yield WeightFault(
            f"{path}: expected weights with sha256 {expected}, found {found}: another version, or damaged."
            f" Pin these weights in manifests/models.toml or {DIGESTS}, or get others. {advice}",
            not _is_adapter(model, folder, path),
        )
