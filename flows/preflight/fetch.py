"""Fetch published weights from Hugging Face at their pinned commit, resume, compare with the publisher's digests.

The only place that asks the hub for anything; stages never do. HF_ENDPOINT names another hub.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from textwrap import indent
from typing import Any

from flows.ledger.lease import try_lock
from flows.preflight.models import Need
from schemas.manifests import Model
from stages.models.weights import DIGESTS, file_digest, weight_faults

COMMIT = "COMMIT"  # in a model's folder: the commit that its files were fetched from
_HERE = ".venv/bin/python "  # from this command on, those of how_to_get need this repository
_PIECE_BYTES = 1 << 20
_RESERVE_BYTES = 1_000_000_000
Line = tuple[str, str]  # text and style; red for files that are still missing


@dataclass(frozen=True)
class Published:
    """A file of a repository: its name, its size in bytes, and its digest: sha256 for weights, else git's blob id."""

    name: str
    n_bytes: int
    sha256: str
    blob_sha1: str


def fetch_models(needs: Sequence[Need]) -> Iterator[Line]:
    """Fetch the missing files of each model and yield lines on them; red lines name those that are still missing.

    Args:
        needs: models and their folders; one that several stages open is fetched once.
    """
    for need in {(need.model.name, need.folder): need for need in needs}.values():
        model, folder = need.model, need.folder
        if _is_ready(model, folder):
            yield f"{model.name}: ready in {folder}", ""
        elif not model.files:
            yield from ((fault.text, "red") for fault in weight_faults(model, folder))
        else:
            yield f"{model.name}: fetching {model.repository} into {folder}; licence: {model.licence}", ""
            yield from _fetch(model, folder)


def _is_ready(model: Model, folder: Path) -> bool:
    return next(weight_faults(model, folder), None) is None  # the first fault spares reading further weights


def _fetch(model: Model, folder: Path) -> Iterator[Line]:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    has_answered = False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f".{folder.name}.lock").open("a") as lock:
            if not try_lock(lock.fileno()):
                yield f"{model.name}: waiting for another `make weights` that fetches it", "yellow"
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _is_ready(model, folder):
                    yield f"{model.name}: ready in {folder}", ""
                    return
            commit, files = published_files(model, folder)
            has_answered = True
            yield from _fetch_files(model, folder, commit, files)
    except (httpx2.HTTPError, HfHubHTTPError, OSError, ValueError) as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        yield f"{model.name}: not fetched: {type(error).__name__}: {reason}", "red"
        unreached = httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError | ConnectionError
        has_network = has_answered or not isinstance(error, unreached)
        yield _advise_on(error, model) if has_network else what_to_put_where(model, folder), "red"
        return
    yield from ((fault.text, "red") for fault in weight_faults(model, folder))


def published_files(model: Model, folder: Path) -> tuple[str, list[Published]]:
    """Return the commit to fetch and its files that the model needs.

    An interrupted fetch of `main` goes on with the commit that it began with.
    """
    from huggingface_hub import HfApi

    begun = folder / COMMIT
    revision = model.revision
    if revision == "main" and begun.is_file():
        revision = begun.read_text(encoding="ascii").split()[-1]
    info = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(
        model.repository, revision=revision, files_metadata=True, timeout=30
    )
    commit = str(info.sha)
    files = [_published(one) for one in info.siblings or () if _is_wanted(one.rfilename, model)]
    folder.mkdir(parents=True, exist_ok=True)
    begun.write_text(f"{model.repository} {commit}\n", encoding="ascii")
    return commit, files


def _is_wanted(name: str, model: Model) -> bool:
    return "/" not in name and any(fnmatch(name, pattern) for pattern in model.files)


def _published(sibling: Any) -> Published:
    sha256, blob = (sibling.lfs.sha256, "") if sibling.lfs else ("", sibling.blob_id or "")
    return Published(sibling.rfilename, int(sibling.size or 0), str(sha256), str(blob))


def _fetch_files(model: Model, folder: Path, commit: str, files: Sequence[Published]) -> Iterator[Line]:
    weights = [file for file in files if file.name.endswith(".safetensors")]
    if not weights:
        yield f"{model.name}: commit {commit} of {model.repository} has no safetensors. {model.weights_note}", "red"
        return
    missing = [file for file in files if not _is_there(folder / file.name, file)]
    needed, free = sum(file.n_bytes for file in missing), shutil.disk_usage(folder).free
    if needed + _RESERVE_BYTES > free:
        yield f"{model.name}: {needed / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free", "red"
        return
    for file in missing:
        if not _download(model, folder, commit, file):
            yield (
                f"{folder / file.name} has another size or digest than the hub states: run the same command again",
                "red",
            )
            return
        yield f"  {file.name}: {file.n_bytes / 1e6:,.1f} MB", ""
    lines = "".join(f"{file.sha256 or file_digest(folder / file.name)}  {file.name}\n" for file in weights)
    draft = folder / f"{DIGESTS}.draft"
    draft.write_text(lines + _other_lines(folder, {file.name for file in weights}), encoding="ascii")
    draft.replace(folder / DIGESTS)
    pinned = f'; pin it: revision = "{commit}" in manifests/models.toml' if model.revision == "main" else ""
    yield f"{model.name}: fetched at commit {commit}, {DIGESTS} written{pinned}", ""


def _other_lines(folder: Path, names: set[str]) -> str:
    """Return the lines of SHA256SUMS on other files, such as an adapter's, which the repository does not have."""
    path = folder / DIGESTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if line.strip() and line.split(maxsplit=1)[-1].strip() not in names]
    return "".join(f"{line}\n" for line in kept)


def _download(model: Model, folder: Path, commit: str, file: Published) -> bool:
    """Fetch a file and return whether it is as the hub states; an earlier fetch of the same content is continued."""
    # hf_hub_download of this version begins each file anew when its process was killed: 31 GB for one lost line.
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    # A piece is written when it is whole: with pieces of 10 MB a bad line could lose all that came since the last one.
    constants.DOWNLOAD_CHUNK_SIZE = _PIECE_BYTES
    url = hf_hub_url(model.repository, file.name, revision=commit, endpoint=os.environ.get("HF_ENDPOINT"))
    partial = folder / f"{file.name}.{(file.sha256 or commit)[:12]}.incomplete"
    with partial.open("ab") as out:
        if out.tell() > file.n_bytes:  # the hub would refuse to go on after the end of the file
            out.truncate(0)
            out.seek(0)
        http_get(url, out, resume_size=out.tell(), headers=build_hf_headers(), expected_size=file.n_bytes)
    if not _is_there(partial, file):
        partial.unlink()
        return False
    partial.replace(folder / file.name)
    return True


def _is_there(path: Path, file: Published) -> bool:
    if not path.is_file() or path.stat().st_size != file.n_bytes:
        return False
    if file.sha256:
        return file_digest(path) == file.sha256
    return not file.blob_sha1 or _blob_sha1(path) == file.blob_sha1


def _blob_sha1(path: Path) -> str:
    """Return git's id of a small file's content: the only digest that the hub states for it."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _advise_on(error: Exception, model: Model) -> str:
    """Return what to do about an error with a network: the hub's answers, a disk, a folder without permission."""
    import httpx2

    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status in (401, 403, 404):
        return (
            f"{model.name}: check repository {model.repository} and revision {model.revision} in manifests/models.toml,"
            " and HF_ENDPOINT if it is set; a repository with terms needs them accepted, and HF_TOKEN"
        )
    first = "correct that, and run"
    if isinstance(error, httpx2.TransportError | ConnectionError):
        first = "the connection was lost: run"
    elif isinstance(error, json.JSONDecodeError):
        first = "a page was sent in place of the hub's answer, perhaps by a proxy: check HF_ENDPOINT, and run"
    elif status >= 500 or status == 429:
        first = "the hub cannot answer now: run"
    return f"{model.name}: {first} the same command again; files that were fetched are kept, and it goes on from there"


def what_to_put_where(model: Model, folder: Path) -> str:
    """Return instructions: the commands for a machine with a network, and what to do with their folder here."""
    lines = model.how_to_get.strip().splitlines()
    n_there = next((n for n, line in enumerate(lines) if line.startswith(_HERE)), len(lines))
    there, here = ("\n".join(part) for part in (lines[:n_there], lines[n_there:]))
    commands = there.replace("{folder}", model.name).replace(".venv/bin/hf", "hf")
    afterwards = f";\n  then run here:\n{indent(here.replace('{folder}', str(folder)), '    ')}" if here else ""
    return (
        f"{model.name}: without a network run on a machine that has one (pip install huggingface_hub):\n"
        f"{indent(commands, '    ')}\n"
        f"  and copy the folder {model.name}, about {model.download_gb:g} GB, to {folder}{afterwards}"
    )
