"""Canonical JSON and its sha256: what fingerprints, seeds and tool identities are made of."""

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """Return a value as JSON with sorted keys and no blanks, in UTF-8."""
    return _ENCODER.encode(value).encode()


def digest_json(value: Any) -> str:
    """Return the sha256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
