"""The declaration of a column."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Kind = Literal["value", "measured", "location"]


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes:
        name: the column's name in every table that has it.
        type: its Arrow type.
        unit: the unit, or "" if the quantity has none.
        meaning: one sentence.
        is_nullable: True if a missing value means "not known" and is not a fault.
        kind: "value" columns are the row's identity and enter digests; "measured" ones differ from run to run
            (milliseconds, peer addresses); "location" ones address stored bytes, which depends on the partitioning.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    is_nullable: bool = False
    kind: Kind = "value"
