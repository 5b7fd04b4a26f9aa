"""Parse JSON elements between known bounds, convert texts to Arrow, and report elements that cannot be read.

json_stream.py finds the bounds.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from stages.readers.formats.json_marks import Places

BLANKS = b" \t\r\n"
_LOST = "damaged_source"
# Some libraries write these instead of null.
_DECODER = json.JSONDecoder(parse_constant=lambda constant: None)

Faults = dict[int, tuple[str, str]]  # reason and detail by position


class BadElement(NamedTuple):
    """An element that cannot be read: a reason code and a detail.

    damaged_source: it is not JSON, and several elements may have been merged into it. bad_record: it is JSON that no
    reader accepts.
    """

    reason: str
    detail: str


class Lost(NamedTuple):
    """Consecutive damaged elements: the first, their number, and a detail."""

    first: int
    n_elements: int
    detail: str


def lost_element(detail: str) -> BadElement:
    """Return the fault of an element that is not JSON."""
    return BadElement(_LOST, detail)


def lost_places(values: Sequence[Any]) -> list[int]:
    """Return the positions of elements that are not JSON."""
    if BadElement not in set(map(type, values)):
        return []
    return [place for place, value in enumerate(values) if type(value) is BadElement and value.reason == _LOST]


def lost_stretches(faults: Faults) -> Iterator[Lost]:
    """Yield the elements that are not JSON, with consecutive ones together."""
    first, n_elements, detail = 0, 0, ""
    for place in sorted(place for place, (reason, _) in faults.items() if reason == _LOST):
        if n_elements and place == first + n_elements:
            n_elements += 1
            continue
        if n_elements:
            yield Lost(first, n_elements, detail)
        first, n_elements, detail = place, 1, faults[place][1]
    if n_elements:
        yield Lost(first, n_elements, detail)


def parse_elements(data: bytes, commas: Places) -> list[Any]:
    """Return the values of a list; elements are parsed one by one if any of them is invalid.

    Args:
        data: the list with its brackets.
        commas: positions of the commas between its elements.
    """
    values = None
    # The fast parser refuses NaN, lone surrogates and control characters; the standard one then parses them.
    for parse in (orjson.loads, _decode):
        try:
            values = parse(data)
            break
        except (ValueError, RecursionError):
            continue
    if values is not None and len(values) == len(commas) + 1:
        return list(values)
    begins, ends = [1, *(int(comma) + 1 for comma in commas)], [*map(int, commas), len(data) - 1]
    return [_parse_one(data[begin:end]) for begin, end in zip(begins, ends, strict=True)]


def _parse_one(element: bytes) -> Any:
    try:
        return _decode(element.strip(BLANKS))
    except RecursionError:
        return BadElement("bad_record", "JSON nested too deep")
    except json.JSONDecodeError as error:
        return lost_element(f"no JSON: {error}")
    except ValueError as error:  # a number with too many digits
        return BadElement("bad_record", f"JSON that cannot be read: {error}")


def _decode(text: bytes) -> Any:
    try:
        return _DECODER.decode(text.decode())
    except UnicodeDecodeError:
        return _DECODER.decode(text.decode(errors="surrogateescape"))


def as_texts(values: Sequence[Any], what: str) -> tuple[pa.Array, Faults]:
    """Return strings, null if the value is null or not a text, and the faults of values that are not texts.

    Args:
        values: parsed values.
        what: name of the values in details.
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
        # Also for bytes that are not UTF-8.
        return "invalid_utf8", f"{what} holds {value[error.start]!a} at {error.start}: no character"
    return None
