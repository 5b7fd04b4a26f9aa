"""Check weight files on disk: they match the pinned digests, and are safetensors, not pickles.

The adapters load them after these checks.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from schemas.manifests import Model
from stages.contract import InputError

DIGESTS = "SHA256SUMS"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
CONVERT = "python -m stages.models.convert_weights IN OUT.safetensors"
CONVERT_DETECTOR = "python -m stages.models.convert_detector IN.pt OUT_FOLDER"


def check_weights(model: Model, folder: Path) -> None:
    """Check that a folder has the model's weights, as safetensors, with the pinned digests.

    Raises:
        InputError: the folder is missing, has other weights or a pickle, or states no digest to compare with.
    """
    if not folder.is_dir():
        raise InputError(f"{model.name} is missing: expected the folder {folder}. {advise(model, folder)}")
    files = weight_files(folder)
    pickles = [path for path in sorted(folder.rglob("*")) if path.suffix in PICKLES and path.is_file()]
    if model.adapter and not weight_files(folder / model.adapter):
        raise _no_weights(model, folder / model.adapter, pickles)
    if not files:
        raise _no_weights(model, folder, pickles)
    for path in files:
        check_safetensors(path, model)
    found = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    if model.weights_sha256:
        _compare(model, str(folder), model.weights_sha256, combine_digests(found), folder)
        return
    expected = _read_digests(model, folder)
    for name, digest in found.items():
        if name not in expected:
            raise InputError(
                f"{folder / DIGESTS} does not name {name}: expected a line `<sha256>  {name}`."
                " Remove the file if it is not the model's, or write its digest there"
            )
        _compare(model, str(folder / name), expected[name], digest, folder)
    for name in sorted(set(expected) - set(found)):
        path = folder / name
        _compare(model, str(path), expected[name], file_digest(path) if path.is_file() else "no file", folder)


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


def check_safetensors(path: Path, model: Model) -> None:
    """Check that a file has the header of safetensors: a length, then a JSON object of that length.

    Raises:
        InputError: it has not, for example because it is a renamed pickle.
    """
    with path.open("rb") as file:
        start = file.read(8)
        n_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = file.read(n_bytes) if 0 < n_bytes <= min(MAX_HEADER_BYTES, path.stat().st_size) else b""
    try:
        is_header = isinstance(json.loads(header), dict)
    except ValueError:
        is_header = False
    if not is_header:
        raise InputError(
            f"{path} should be safetensors, and starts with {start!r}: it is damaged, or a pickle under another name."
            f" {advise(model, path.parent)}; or convert a pickle in a separate process: {_converter(model)}"
        )


def advise(model: Model, folder: Path) -> str:
    """Return how to get a model's files, from models.toml."""
    if model.folder:
        return f"It belongs to the repository: `git checkout manifests/{model.folder}`, or build it: {model.how_to_get}"
    fetched = f"revision {model.revision} of {model.repository}" if model.revision != "own" else model.repository
    command = model.how_to_get.replace("{folder}", str(folder))
    return f"Put {fetched} there: {command}"


def _converter(model: Model) -> str:
    return f"`{CONVERT_DETECTOR if model.task == 'detector' else CONVERT}`"


def _no_weights(model: Model, folder: Path, pickles: list[Path]) -> InputError:
    if pickles:
        return InputError(
            f"{model.name}: expected safetensors in {folder}, found {pickles[0].name}, a pickle, which may run"
            f" code. Convert it in a separate process: {_converter(model)}, or get safetensors."
            f" {advise(model, folder)}"
        )
    return InputError(f"{model.name}: expected safetensors in {folder}, found none. {advise(model, folder)}")


def _read_digests(model: Model, folder: Path) -> dict[str, str]:
    path = folder / DIGESTS
    try:
        lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {name.strip().lstrip("*").removeprefix("./"): digest for digest, name in lines}
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: expected a line `<sha256>  <file>` for each weight file of {model.name}. Compare the"
            f" digests with those the publisher shows, then write them: `cd {folder} && sha256sum *.safetensors >"
            f" {DIGESTS}`"
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} should have lines `<sha256>  <file>`: {error}. Write it again") from error


def _compare(model: Model, what: str, expected: str, found: str, folder: Path) -> None:
    if expected != found:
        raise InputError(
            f"{what}: expected weights with sha256 {expected}, found {found}: another version, or damaged."
            f" {advise(model, folder)}; or pin these weights in manifests/models.toml or {DIGESTS}"
        )
