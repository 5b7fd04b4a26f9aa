"""Hash the listed source files once, and compare them with the checksum lists beside them."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.tables import SOURCE_FILE
from stages.contract import (
    Context,
    InputError,
    Inputs,
    Outcome,
    no_rejects,
)
from stages.inventory.tree import CHECKSUMS, is_readable_file
from stages.readers.rs5m_tars.members import read_listed


def hash_files(inputs: Inputs, context: Context) -> Outcome:
    """Return the sha256 of each listed file.

    Raises:
        InputError: a file is missing, unreadable, changed while it was read, or differs from its SHA256SUMS.
    """
    listed = inputs["source_listing"].to_pylist()
    stated = _stated(context.sources, {row["path"] for row in listed})
    digests = []
    for n_done, row in enumerate(listed, 1):
        digests.append(_hash(context.sources / row["path"], row))
        _check_stated(row["path"], digests[-1], stated)
        context.advance(n_done)
    kept = inputs["source_listing"].append_column("file_sha256", pa.array(digests, pa.string()))
    return Outcome(kept.select(SOURCE_FILE.schema.names).cast(SOURCE_FILE.schema), no_rejects(SOURCE_FILE))


def _hash(path: Path, row: dict[str, Any]) -> str:
    hasher, n_bytes = hashlib.sha256(), 0
    try:
        for block in read_listed(path, row["size_bytes"]):
            hasher.update(block)
            n_bytes += len(block)
    except OSError as error:
        raise InputError(
            f"source file {path} cannot be read ({error.strerror}): it was listed with {row['size_bytes']} bytes."
            " Restore it or its permissions, or leave its corpus out with SET='inventory.corpora=[…]'"
        ) from error
    if n_bytes != row["size_bytes"]:
        raise InputError(
            f"source file {path} has {n_bytes} bytes, but had {row['size_bytes']} when listed: it is being written."
            " Wait until it is complete and run `make stage-inventory` again"
        )
    return hasher.hexdigest()


def _stated(sources: Path, paths: set[str]) -> dict[str, str]:
    """Return the stated checksums of some files, reading each checksum list once."""
    stated: dict[str, str] = {}
    for corpus in sorted({path.partition("/")[0] for path in paths}):
        sums = sources / corpus / CHECKSUMS
        if is_readable_file(sums):  # an unreadable list is named in the listing
            with sums.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
                for line in lines:
                    digest, _, name = line.strip().partition(" ")
                    if (path := f"{corpus}/{name.lstrip(' *')}") in paths:
                        stated[path] = digest.lower()
    return stated


def _check_stated(path: str, digest: str, stated: dict[str, str]) -> None:
    if stated.get(path, digest) != digest:
        raise InputError(
            f"source file {path} has sha256 {digest}, but {CHECKSUMS} states {stated[path]}: the file is damaged or"
            " another version. Download it again, or correct the list if the list is wrong"
        )
