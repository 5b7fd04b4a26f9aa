"""Fingerprints of a stage's partitions; their shared content is encoded once, since there are thousands of them.

Not for choosing the content of a fingerprint: that is the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.ledger.digests import strings_json
from stages.identity import canonical_json

_OF_A_PARTITION = ("inputs", "partition")  # in the order of canonical JSON, which sorts keys


@dataclass(frozen=True)
class Constants:
    """The canonical JSON of one object, cut where the values belong that differ between partitions."""

    before: bytes
    between: bytes
    after: bytes

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Constants:
        """Return the constants of a stage: the object's other members."""
        pieces = [b""]
        for key in sorted({*values, *_OF_A_PARTITION}):
            pieces[-1] += (b"," if len(pieces) > 1 or pieces[0] else b"{") + canonical_json(key) + b":"
            if key in _OF_A_PARTITION:
                pieces.append(b"")
            else:
                pieces[-1] += canonical_json(values[key])
        before, between, after = pieces
        return cls(before, between, after + b"}")

    def fingerprint(self, inputs: Mapping[str, str], partition: str) -> str:
        """Return the sha256 of the whole object: a partition's fingerprint."""
        whole = (self.before, strings_json(inputs), self.between, strings_json(partition), self.after)
        return hashlib.sha256(b"".join(whole)).hexdigest()
