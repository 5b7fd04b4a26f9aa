"""Canonical JSON and its sha256, for fingerprints, seeds and tool identities; versions of packages."""

import hashlib
import json
import re
from functools import cache
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """Return a value as JSON with sorted keys and no blanks, in UTF-8."""
    return _ENCODER.encode(value).encode()


def digest_json(value: Any) -> str:
    """Return the sha256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


@cache
def package_version(name: str) -> str:
    """Return the version of an installed package. Raises PackageNotFoundError."""
    from importlib.metadata import distribution

    found = distribution(name)
    # The line alone: importlib parses all of the metadata, the description with it, in five times as long.
    stated = re.search(r"^Version: *(\S+)", found.read_text("METADATA") or "", re.M)
    return stated[1] if stated else found.version
