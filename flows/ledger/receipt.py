"""Receipts: the run of a partition and its result, as one file that is there whole or not at all.

Not for their location: that is `flows/ledger/store.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from stages.contract import InputError
from stages.identity import canonical_json

_READ_BYTES = 1 << 16  # most receipts are of 1 to 6 kB


@dataclass(frozen=True)
class Span:
    """Rows of one span of a table: a run of row groups of the kept file, with a digest per column."""

    first_group: int
    n_groups: int
    n_rows: int
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Receipt:
    """The run of a partition and its result, as published beside its files."""

    body: Mapping[str, Any]
    folder: str

    @property
    def partition(self) -> str:
        """The partition's name."""
        return str(self.body["partition"])

    @property
    def fingerprint(self) -> str:
        """Digest of all that the rows depend on."""
        return str(self.body["fingerprint"])

    @cached_property
    def spans(self) -> dict[str, Span]:
        """The spans of the kept rows, by name."""
        return {name: Span(**span) for name, span in self.body["kept"]["spans"].items()}

    @property
    def span_names(self) -> Iterable[str]:
        """The names of the spans of the kept rows."""
        spans: Mapping[str, Any] = self.body["kept"]["spans"]
        return spans

    def span_digests(self, name: str) -> Mapping[str, str]:
        """Return one digest per column of a span of the kept rows."""
        digests: Mapping[str, str] = self.body["kept"]["spans"][name]["digests"]
        return digests

    @property
    def kept_file(self) -> str:
        """Address of the parquet file of the kept rows."""
        return f"{self.folder}/{self.body['kept']['file']}"

    @property
    def kept_sha256(self) -> str:
        """The sha256 of that file."""
        return str(self.body["kept"]["sha256"])

    @property
    def rejects_file(self) -> str | None:
        """Address of the parquet file of the reject rows; None if there are none."""
        name = self.body["rejects"]["file"]
        return f"{self.folder}/{name}" if name else None

    @property
    def rejects_digests(self) -> Mapping[str, str]:
        """One digest per column of the reject rows."""
        digests: Mapping[str, str] = self.body["rejects"]["digests"]
        return digests

    @property
    def counts(self) -> Mapping[str, int]:
        """The counts that a stage of the grain "count" reported, else nothing."""
        return self.body["counts"] or {}

    @property
    def n_kept(self) -> int:
        """Number of kept rows."""
        return int(self.body["kept"]["n_rows"])

    @property
    def reasons(self) -> Mapping[str, int]:
        """Number of reject rows by reason."""
        reasons: Mapping[str, int] = self.body["rejects"]["reasons"]
        return reasons

    @property
    def rejected(self) -> Mapping[str, int]:
        """Number of rejected rows by reason, including those that the filter counts but does not write."""
        counted = {name: n for name, n in self.counts.items() if n and name not in ("given", "kept")}
        return counted or self.reasons

    @property
    def files(self) -> list[Mapping[str, Any]]:
        """Every data file the receipt names: {"file", "size_bytes", "sha256"}."""
        tables = [self.body["kept"], self.body["rejects"]]
        return [t for t in tables if t["file"]] + list(self.body["files"])

    @property
    def n_bytes(self) -> int:
        """Bytes of its data files."""
        return sum(int(f["size_bytes"]) for f in self.files)


def observation_fingerprint(stage: str, partition: str) -> str:
    """Return the fingerprint of a numbered observation: it depends on nothing but its number."""
    return hashlib.sha256(canonical_json([stage, partition])).hexdigest()


def encode_receipt(body: Mapping[str, Any]) -> bytes:
    """Return a receipt as JSON whose first line holds the sha256 of the rest, so that damage is seen."""
    rest = json.dumps(body, sort_keys=True, ensure_ascii=False)[1:].encode()
    return b'{"receipt_sha256": "' + hashlib.sha256(rest).hexdigest().encode() + b'",\n' + rest


def read_receipt(path: Path | str) -> dict[str, Any] | str | None:
    """Return the body of a receipt, None if missing, or a sentence that names its fault.

    Every command reads all receipts, 18,000 of a large build: no `Path` is made, and no file object.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        data = more = os.read(descriptor, _READ_BYTES)
        while len(more) == _READ_BYTES:
            more = os.read(descriptor, _READ_BYTES)
            data += more
    finally:
        os.close(descriptor)
    first, _, rest = data.partition(b"\n")
    stated = first[20:84].decode("ascii", "replace")
    if hashlib.sha256(rest).hexdigest() != stated:
        return f"{Path(path).name} does not match its own sha256: it was cut or changed"
    body = orjson.loads(b"{" + rest)
    if not isinstance(body, dict):
        return f"{Path(path).name} is not a JSON object"
    if "parts" in body.get("kept", ()):  # the former key of `spans`
        return f"{Path(path).name} was written by an earlier version: build into a new folder"
    return body


def publish(target: Path, data: bytes, attempt: str) -> bool:
    """Make a file appear whole under its final name; return False when the name was taken already."""
    draft = target.with_name(f"{target.name}.{attempt}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    fsync_folder(target.parent)
    return True


def must_read(path: Path) -> dict[str, Any]:
    """Return the body of a receipt that must be there and whole. Raises InputError."""
    found = read_receipt(path)
    if not isinstance(found, dict):
        raise InputError(f"{path} is damaged ({found}): delete it and run the stage again")
    return found


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
