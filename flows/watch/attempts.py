"""Results of a running download so far, from its committed partitions, for display.

A URL counts once, by its last attempt: a pass takes again what failed for a transient reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from flows.ask.report import printable
from flows.ledger.store import Store
from flows.run.worker import Task
from flows.watch.waves import counted, safe_markdown
from schemas.reasons import REASON
from schemas.tables import FETCH_ATTEMPT, FETCH_PASS

_WORST = 10  # hosts shown
_WORST_IN_LINE = 3
_MOST_HOSTS = 50_000  # counted; beyond, hosts with a single refusal are forgotten
_ATTEMPT = pa.schema([FETCH_ATTEMPT.schema.field(n) for n in ("fetch_id", "is_fetched", "fetch_reason", "n_bytes")])
_HOST = pa.schema([FETCH_PASS.schema.field(name) for name in ("fetch_id", "host")])
_FAILED = pa.schema([_ATTEMPT.field("fetch_id"), _ATTEMPT.field("fetch_reason"), _HOST.field("host")])


@dataclass
class Attempts:
    """Figures of the URLs of this run.

    Attributes:
        n_tried: URLs tried.
        n_fetched: URLs whose body arrived.
        n_bytes: total length of these bodies.
        reasons: URLs that failed, by reason.
        refused: URLs that failed, by host.
        tried: URLs tried, by host.
    """

    n_tried: int = 0
    n_fetched: int = 0
    n_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    # Those that a later pass may take again, of the last pass and of those before; about 80 bytes each.
    _transient: list[pa.Table] = field(default_factory=list)
    _earlier: pa.Table = field(default_factory=lambda: _FAILED.empty_table())
    _pass: str = ""

    def take(self, store: Store, task: Task) -> None:
        """Add the figures of a committed partition.

        Args:
            store: of the build.
            task: a partition of `download`; one without a receipt is ignored.
        """
        receipt = store.receipt(FETCH_ATTEMPT.name, task.partition, task.fingerprint)
        if receipt is None:
            return
        runs = [(receipt.kept_file, span.first_group, span.n_groups) for span in receipt.spans.values()]
        attempts = store.read_spans(runs, _ATTEMPT)
        pieces = [(piece.address, piece.first_group, piece.n_groups) for piece in task.inputs[FETCH_PASS.name]]
        hosts = store.read_spans(pieces, _HOST)
        self._forget_earlier(task.partition.partition("-")[0], attempts["fetch_id"])
        self.n_tried += attempts.num_rows
        self.n_fetched += pc.sum(attempts["is_fetched"]).as_py() or 0
        self.n_bytes += pc.sum(attempts.filter(attempts["is_fetched"])["n_bytes"]).as_py() or 0
        failed = attempts.filter(pc.invert(attempts["is_fetched"])).select(["fetch_id", "fetch_reason"])
        failed = failed.append_column("host", hosts["host"].take(pc.index_in(failed["fetch_id"], hosts["fetch_id"])))
        failed = pa.table(dict(zip(_FAILED.names, failed.columns, strict=True)), schema=_FAILED)
        self.tried.update(_counts(hosts["host"]))
        self._count(failed, 1)
        self._transient.append(failed.filter(pc.is_in(failed["fetch_reason"], _transient_reasons())))
        if len(self.refused) > _MOST_HOSTS:
            self.refused = Counter({host: n for host, n in self.refused.items() if n > 1})
        if len(self.tried) > 2 * _MOST_HOSTS:
            self.tried = Counter({host: n for host, n in self.tried.items() if host in self.refused})

    def _forget_earlier(self, number: str, fetch_ids: pa.ChunkedArray) -> None:
        """Take back the figures of URLs that an earlier pass of this run tried.

        Args:
            number: of the pass that tried them again.
            fetch_ids: of these and of other URLs.
        """
        if number != self._pass:
            self._earlier, self._transient = pa.concat_tables([self._earlier, *self._transient]).combine_chunks(), []
            self._pass = number
        is_again = pc.is_in(self._earlier["fetch_id"], fetch_ids)
        again, self._earlier = self._earlier.filter(is_again), self._earlier.filter(pc.invert(is_again))
        self.n_tried -= again.num_rows
        self.tried.subtract(_counts(again["host"]))
        self._count(again, -1)

    def _count(self, failed: pa.Table, sign: int) -> None:
        for counter, column in ((self.reasons, "fetch_reason"), (self.refused, "host")):
            counter.update({value: sign * n for value, n in _counts(failed[column]).items()})
        if sign < 0:  # drop what is zero, or was forgotten before
            self.reasons, self.refused, self.tried = +self.reasons, +self.refused, +self.tried

    def words(self) -> str:
        """Return the figures in one line; "" before any URL was tried."""
        if not self.n_tried:
            return ""
        worst = ", ".join(f"{reason} {n:,}" for reason, n in self.reasons.most_common(3))
        return (
            f"{self.n_fetched:,} of {self.n_tried:,} URLs fetched ({self.n_fetched / self.n_tried:.1%}),"
            f" {_size(self.n_bytes)}{'; ' if worst else ''}{worst}"
        )

    def worst(self) -> str:
        """Return the hosts that refused most in one line; "" if none did."""
        hosts = [
            f"{printable(host)} {n:,} of {self.tried[host]:,}" for host, n in self.refused.most_common(_WORST_IN_LINE)
        ]
        return f"not fetched from {', '.join(hosts)}" if hosts else ""

    def markdown(self) -> str:
        """Return the figures with all reasons and the hosts that refused most, safe to render."""
        lines = ["## Download so far", "", safe_markdown(self.words()), ""]
        lines += counted("not fetched because", self.reasons, len(self.reasons))
        return "\n".join([*lines, *self._hosts()])

    def _hosts(self) -> Iterator[str]:
        if self.refused:
            yield from ("| host | not fetched | tried |", "|---|---:|---:|")
        for host, n in self.refused.most_common(_WORST):
            yield f"| {safe_markdown(host)} | {n:,} | {self.tried[host]:,} |"


@cache
def _transient_reasons() -> pa.Array:
    return pa.array([code for code, reason in REASON.items() if reason.is_transient])


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in pc.value_counts(values).to_pylist() if row["values"] is not None}


def _size(n_bytes: int) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:,.1f} {unit}"
    return f"{n_bytes / 1e3:,.1f} kB"
