"""Read hash lists of known illegal pictures, and find the listed files.

Neither digests nor the content of invalid lines is printed, since such lists are confidential.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.tables import LISTED_HASH
from stages.contract import InputError
from stages.plurals import in_lines
from stages.rows import run_sql

_KINDS: Mapping[int, str] = {32: "md5", 64: "sha256"}  # kind by the number of hex digits
_HEX = re.compile(r"[0-9a-fA-F]+")
_SHOWN_FAULTS = 5
BODY_HASHES: Mapping[str, str] = {"body_sha256": "sha256", "body_md5": "md5"}
IMAGE_HASHES: Mapping[str, str] = {**BODY_HASHES, "published_sha256": "sha256"}  # of a screened image
HASH_LISTED = "hash_listed"
DETAIL = "on a list of known illegal material"  # must not lead to the file


def read_hash_lists(paths: Sequence[Path]) -> pa.Table:
    """Return the distinct hashes of some lists as rows of LISTED_HASH, in lower case and sorted.

    A list is a text file with an MD5 or sha256 in hex digits per line. Empty lines and comments (#) are skipped.

    Raises:
        InputError: a list cannot be read, has no hash, or has another line; then nothing of it is used.
    """
    rows = [row for path in paths for row in _read(path)]
    columns = {"hash_kind": [kind for kind, _ in rows], "hash": [value for _, value in rows]}
    found = pa.table(columns, schema=LISTED_HASH.schema)
    return run_sql("SELECT DISTINCT * FROM found ORDER BY ALL", {"found": found}).cast(LISTED_HASH.schema)


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"the hash list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the hash list {path} is not UTF-8 text: byte {error.start} is invalid") from error
    found, faults = [], []
    for number, text in _hashes(lines):
        kind = _KINDS.get(len(text)) if _HEX.fullmatch(text) else None
        if kind is None:
            faults.append(f"line {number}: {_what(text)}")
        else:
            found.append((kind, text.lower()))
    if faults:
        raise InputError(
            f"{path}: {len(faults)} of {len(faults) + len(found)} lines are not hashes, so the list was not used."
            " Expected 32 (MD5) or 64 (sha256) hex digits per line:\n" + in_lines(faults, _SHOWN_FAULTS)
        )
    if not found:
        raise InputError(f"the hash list {path} has no hash: expected one MD5 or sha256 per line")
    return found


def _hashes(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            yield number, text


def _what(text: str) -> str:
    if not _HEX.fullmatch(text):
        return f"{len(text)} characters, not all of them hex digits"
    return f"{len(text)} hex digits" + (" (SHA-1 is not compared)" if len(text) == 40 else "")


def md5_of(data: bytes) -> str:
    """Return the MD5 of a file, only used for lookups in hash lists."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def listed_sql(key: str, files: str, columns: Mapping[str, str] = IMAGE_HASHES) -> str:
    """Return SQL for the distinct keys of the listed files, over a table `listed_hash`: the one comparison of hashes.

    Args:
        key: key column of the files.
        files: a table, or a query with its alias.
        columns: columns of the files with hashes in lower-case hex, and the kind of each; hashes may be null.
    """
    return " UNION ".join(
        f"SELECT {key} FROM {files} JOIN listed_hash ON hash = {column} WHERE hash_kind = '{kind}'"
        for column, kind in columns.items()
    )


def listed(key: str, listed_hash: Any, files: Any, columns: Mapping[str, str] = IMAGE_HASHES) -> pa.Table:
    """Return the distinct keys of the listed files, sorted.

    Args:
        key: key column of `files`.
        listed_hash: rows of LISTED_HASH.
        files: rows with the key and the hash columns.
        columns: as in `listed_sql`.
    """
    tables = {"files": files, "listed_hash": listed_hash}
    return run_sql(f"FROM ({listed_sql(key, 'files', columns)}) ORDER BY {key}", tables)
