"""The id of a build: the digest of its published content.

Not a fingerprint of inputs: two builds with different settings and equal rows have the same id.
"""

from __future__ import annotations

from collections.abc import Mapping

from flows.ledger.ledger import Ledger
from flows.ledger.receipt import Receipt
from schemas.fields import FIELD
from stages.identity import digest_json

FINAL_MODULES = ("shard", "stats")  # the modules that write published tables and tars


def unfinished(ledger: Ledger) -> list[str]:
    """Return the stages without a current receipt; the build is finished if there are none."""
    return [stage.name for stage in ledger.stages if not ledger.state(stage).is_complete]


def build_id(ledger: Ledger) -> str:
    """Return the sha256, in hex, of the row digests of all final tables and the sha256 of every tar.

    Times, hosts, file names and measured columns are not included. Only receipts are read.

    Returns:
        64 hex digits, or "" while the build is unfinished.
    """
    if unfinished(ledger):
        return ""
    final = [stage for stage in ledger.stages if stage.module in FINAL_MODULES]
    return digest_json({stage.name: _digests(ledger.state(stage).receipts) for stage in final})


def _digests(receipts: tuple[Receipt, ...]) -> list[object]:
    """Return the digests of a table's rows, rejects and files, in the order of its partitions."""
    return [
        [
            receipt.partition,
            [[name, _values(receipt.spans[name].digests)] for name in sorted(receipt.spans)],
            _values(receipt.rejects_digests),
            [file["sha256"] for file in receipt.body["files"]],
        ]
        for receipt in receipts
    ]


def _values(digests: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of the columns that identify a row's content."""
    return {name: digest for name, digest in digests.items() if FIELD[name].kind == "value"}
