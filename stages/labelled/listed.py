"""Find the samples of labelled corpora with a file on a hash list, and read files that inventory has hashed.

Not for fetched bodies, which `download` compares.
"""

import hashlib
from pathlib import Path

import pyarrow as pa

from stages.contract import Context, InputError, Inputs
from stages.readers.labelled_records import File
from stages.readers.rs5m_tars.members import read_listed
from stages.safety.hash_lists import BODY_HASHES, listed, md5_of


def listed_samples(inputs: Inputs, context: Context) -> frozenset[str]:
    """Return the samples with a file on a hash list; inventory took each file's sha256, for MD5 the files are read.

    Raises:
        InputError: a file is gone or has changed since inventory.
    """
    listed_hash = inputs["listed_hash"]
    if not listed_hash.num_rows:
        return frozenset()
    has_md5 = "md5" in listed_hash["hash_kind"].to_pylist()
    rows: list[dict[str, str | None]] = []
    for row in inputs["source_file"].to_pylist():
        if row["sample_id"] is not None:
            file = File(row["path"], row["size_bytes"], row["file_sha256"])
            is_read = has_md5 and file.size_bytes <= context.params.max_file_mb * 1_000_000  # larger ones are refused
            md5 = md5_of(read_unchanged(context.sources / file.path, file)) if is_read else None
            rows.append({"sample_id": row["sample_id"], "body_sha256": file.sha256, "body_md5": md5})
    files = pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in ("sample_id", *BODY_HASHES)]))
    return frozenset(listed("sample_id", listed_hash, files, BODY_HASHES)["sample_id"].to_pylist())


def read_unchanged(path: Path, file: File) -> bytes:
    """Return the bytes of a file. Raises InputError if it is gone, or has changed since inventory."""
    # The rows are kept under the digest that inventory took: they must be of the same bytes.
    try:
        data = b"".join(read_listed(path, file.size_bytes))
    except OSError as error:
        raise InputError(
            f"source file {path} cannot be read ({error.strerror}): it was listed with {file.size_bytes} bytes."
            " Restore it or its permissions, or leave its corpus out with SET='inventory.corpora=[…]'"
        ) from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise InputError(
            f"source file {path} has changed since inventory ({file.size_bytes} bytes): restore it,"
            " or run `make stage-inventory` to use the new one"
        )
    return data
