"""Make Arrow texts of JSON values, and say which of them are none.

Not for taking the values out of a file: that is `stages/sources/json_stream.py`.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from stages.sources.json_stream import BadElement

Faults = dict[int, tuple[str, str]]  # reason and detail by position


def as_texts(values: Sequence[Any], what: str) -> tuple[pa.Array, Faults]:
    """Return strings, null where the value is null or no text, and what is wrong with those that are no text.

    Args:
        values: as parsed.
        what: names the values in the details.
    """
    try:
        return pa.array(values, pa.string()), {}
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        faults: Faults = {}
        for place, value in enumerate(values):
            if value is not None and (fault := _fault_of(value, what)):
                faults[place] = fault
        texts = [None if place in faults else value for place, value in enumerate(values)]
        return pa.array(texts, pa.string()), faults


def _fault_of(value: Any, what: str) -> tuple[str, str] | None:
    if type(value) is BadElement:
        return value.reason, value.detail
    if type(value) is not str:
        return "bad_record", f"{what} is {type(value).__name__}, expected a text"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # Bytes that are not UTF-8 come so too.
        return "invalid_utf8", f"{what} holds {value[error.start]!a} at {error.start}: no character"
    return None
