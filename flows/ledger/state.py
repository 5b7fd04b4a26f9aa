"""The partitions of a stage as they should be now, each with its receipt if it has one.

Not for deciding which these are: that is the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from flows.ledger.receipt import Receipt
from stages.contract import Stage


@dataclass(frozen=True)
class PartitionState:
    """One partition as it should be now, and its receipt if it has one."""

    name: str
    fingerprint: str
    receipt: Receipt | None


class StageState:
    """The partitions of a stage that can be listed now.

    Attributes:
        stage: the stage.
        lacks: an input that is not complete, so that more partitions may follow; None if all are listed.
        spans: the receipt that holds each span of the stage's table.
        n_due: number of partitions without a current receipt.
    """

    def __init__(self, stage: Stage, partitions: Iterable[PartitionState], why: Callable[[str], str]) -> None:
        self.stage = stage
        self.lacks: str | None = None
        self.spans: dict[str, Receipt] = {}
        self.n_due = 0
        self._why = why
        self._by_name: dict[str, PartitionState] = {}
        for partition in partitions:
            self.put(partition)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> PartitionState:
        return self._by_name[name]

    def put(self, partition: PartitionState) -> None:
        """Add a partition, or replace the one of the same name."""
        before = self._by_name.get(partition.name)
        self.n_due += (partition.receipt is None) - (before is not None and before.receipt is None)
        self._by_name[partition.name] = partition
        for name in ("partitions", "due", "receipts"):
            self.__dict__.pop(name, None)
        if partition.receipt is not None:
            for name in partition.receipt.span_names:
                self.spans[name] = partition.receipt

    @property
    def blocked(self) -> str:
        """Why more partitions may follow; "" if all are listed."""
        return "" if self.lacks is None else self._why(self.lacks)

    @property
    def is_complete(self) -> bool:
        """True where all partitions are listed and have their receipts."""
        return self.lacks is None and not self.n_due

    @cached_property
    def partitions(self) -> tuple[PartitionState, ...]:
        """The partitions, by name."""
        return tuple(self._by_name[name] for name in sorted(self._by_name))

    @cached_property
    def due(self) -> tuple[PartitionState, ...]:
        """The partitions without a current receipt."""
        return tuple(p for p in self.partitions if p.receipt is None)

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        """The current receipts."""
        return tuple(p.receipt for p in self.partitions if p.receipt is not None)

    def receipts_for(self, partition: str = "") -> Sequence[Receipt]:
        """Return the current receipt of a partition, if it has one; without a name all."""
        if not partition:
            return self.receipts
        found = self._by_name.get(partition)
        return [found.receipt] if found is not None and found.receipt is not None else []
