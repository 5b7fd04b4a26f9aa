"""Search captions for keywords.

Not for reading files (`stages/readers/readers.py`) nor for the list of keywords (`manifests/keywords.toml`).
"""

import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.readers.formats.texts import text_offsets

_ASCII_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_FEW = 500  # captions that are sooner searched one by one than a search for all of them is set up
_FEW_OF_A_WORD, _SHORT_WORD = 2, 5  # a short word, such as space, is in too many captions to be searched for alone
_HAYSTACK_BYTES = 1 << 30  # find_many answers with 32-bit offsets


def match_any(captions: pa.Array | pa.ChunkedArray, patterns: Sequence[str]) -> pa.BooleanArray:
    """Return true where a caption holds a pattern, ASCII letters compared without regard to case; null is false.

    Args:
        captions: string or large_string, valid UTF-8.
        patterns: substrings, none of them empty.
    """
    if not all(patterns):
        raise ValueError(f"an empty pattern is in every caption: {list(patterns)}")
    chunks = captions.chunks if isinstance(captions, pa.ChunkedArray) else [captions]
    found = [_match_chunk(chunk, patterns) for chunk in chunks]
    return pa.array(np.concatenate(found) if found else np.zeros(0, bool))


def _match_chunk(captions: pa.Array, patterns: Sequence[str]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(captions), bool)
    if not len(captions) or not patterns:
        return found
    if captions.nbytes > _HAYSTACK_BYTES and len(captions) > 1:
        half = len(captions) // 2
        parts = (captions.slice(0, half), captions.slice(half))
        return np.concatenate([_match_chunk(part, patterns) for part in parts])
    folded = list(dict.fromkeys(pattern.translate(_ASCII_FOLD) for pattern in patterns))
    matches, suspects = _candidates(captions, folded)
    found[matches] = True
    if len(suspects):
        rows = suspects[_is_match(pc.ascii_lower(captions.take(pa.array(suspects))), folded)]
        found[rows] = True
    if captions.null_count:  # there may be characters beneath a null
        found &= captions.is_valid().to_numpy(zero_copy_only=False)
    return found


def _is_match(lowered: pa.Array, folded: list[str]) -> npt.NDArray[np.bool_]:
    if len(lowered) <= _FEW:
        return np.array([text is not None and any(p in text for p in folded) for text in lowered.to_pylist()], bool)
    import polars as pl

    is_match = pl.Series(pl.from_arrow(lowered)).str.contains_any(folded).fill_null(False)
    return np.asarray(is_match.to_numpy())


def _candidates(captions: pa.Array, folded: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return rows that match, and rows among which are all others that do.

    One search runs over the characters of all captions as if they were one text: that is twice as fast as one search
    a caption. A find may then begin in one caption and end in the next, and hide a true one that overlaps it.
    """
    nothing = np.zeros(0, np.int64)
    if captions.offset == 0 and text_offsets(captions)[0]:  # as casts of slices give; ascii_lower breaks them
        captions = captions.take(pa.array(np.arange(len(captions))))
    lowered = pc.ascii_lower(captions)
    offsets = text_offsets(lowered)
    if offsets[0] == offsets[-1]:
        return nothing, nothing
    ends = pa.py_buffer(offsets[[0, -1]].astype(np.int64))
    text = pa.LargeStringArray.from_buffers(1, ends, lowered.buffers()[2])
    import polars as pl  # a sixth of a second to import, in every process that lists the stages

    # Only the leftmost search without case folding takes the vectorised prefilter of the underlying library.
    # A series as a literal is searched in place; in a frame the text is copied at every step, four times in all.
    whole = pl.lit(pl.Series(pa.chunked_array([text])))
    sought = _common_beginnings(folded)
    found = pl.select(whole.str.find_many(sought, leftmost=True)).to_series()[0]
    finds = found.to_numpy().astype(np.int64) + int(offsets[0])
    if len(finds) > _FEW:
        return nothing, _reached(finds, offsets, folded)
    return _sort_out(finds, offsets, memoryview(lowered.buffers()[2]), folded, sought)


def _reached(finds: npt.NDArray[np.int64], offsets: npt.NDArray[Any], folded: list[str]) -> npt.NDArray[np.int64]:
    """Return the captions that the longest pattern can reach from a find."""
    reach = _longest(folded) - 1
    first = np.searchsorted(offsets, finds, side="right") - 1
    last = np.searchsorted(offsets, np.minimum(finds + reach, int(offsets[-1]) - 1), side="right") - 1
    span = int((last - first).max(initial=-1)) + 1
    reached = [np.minimum(first + step, last) for step in range(span)]
    return np.unique(np.concatenate(reached)) if reached else np.zeros(0, np.int64)


def _sort_out(
    finds: npt.NDArray[np.int64], offsets: npt.NDArray[Any], text: memoryview, folded: list[str], sought: list[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the captions of finds where a pattern begins and ends, and the undecided captions.

    Most finds are of the first kind: the undecided captions are a tenth of those that the longest pattern can reach
    from a find.
    """
    patterns, beginnings = (tuple(text.encode() for text in texts) for texts in (folded, sought))
    longest = _longest(folded)
    longer_than = [tuple(one for one in beginnings if len(one) > left) for left in range(_longest(sought))]
    rows = np.searchsorted(offsets, finds, side="right") - 1
    matches: set[int] = set()
    suspects: set[int] = set()
    crossing: list[int] = []
    for find, row, end in zip(finds.tolist(), rows.tolist(), offsets[rows + 1].tolist(), strict=True):
        there = bytes(text[find : find + longest])
        left = end - find
        (matches if there[:left].startswith(patterns) else suspects).add(row)
        if left < len(longer_than) and there.startswith(longer_than[left]):
            crossing.append(find)  # it may hide one that begins in a later caption
    suspects.update(_reached(np.array(crossing, np.int64), offsets, folded).tolist())
    return np.array(sorted(matches), np.int64), np.array(sorted(suspects - matches), np.int64)


def _longest(texts: Sequence[str]) -> int:
    return max(len(text.encode()) for text in texts)


def _common_beginnings(folded: Sequence[str]) -> list[str]:
    """Return texts such that each pattern begins with one of them: fewer texts make the search faster.

    Three or more patterns with the same first word are searched for by that word and the blank after it.
    """
    words = Counter(pattern.partition(" ")[0] for pattern in folded if " " in pattern)
    beginnings = (
        f"{word} " if words[word := pattern.partition(" ")[0]] > _FEW_OF_A_WORD and len(word) > _SHORT_WORD else pattern
        for pattern in folded
    )
    return list(dict.fromkeys(beginnings))


def matched_keywords(captions: pa.Array | pa.ChunkedArray, patterns: Sequence[str]) -> pa.ListArray:
    """Return all patterns that occur in each caption, overlapping ones too, in the order of `patterns`.

    Args:
        captions: the few that match.
        patterns: substrings, ASCII letters compared without regard to case.
    """
    lowered = pc.ascii_lower(captions)
    if isinstance(lowered, pa.ChunkedArray):
        lowered = lowered.combine_chunks()
    folded = [pattern.translate(_ASCII_FOLD) for pattern in patterns]
    distinct = list(dict.fromkeys(folded))
    occurs = _occurrences(lowered, distinct)[:, [distinct.index(text) for text in folded]]
    offsets = np.concatenate([[0], np.cumsum(occurs.sum(axis=1))]).astype(np.int32)
    values = pa.array(patterns, pa.string()).take(pa.array(np.nonzero(occurs)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _occurrences(lowered: pa.Array, folded: list[str]) -> npt.NDArray[np.bool_]:
    """Return whether each pattern, in columns, occurs in each text; one search for all patterns."""
    import polars as pl

    occurs = np.zeros((len(lowered), len(folded)), bool)
    if len(lowered) and folded:
        found = pl.Series(pl.from_arrow(lowered)).str.extract_many(folded, overlapping=True).to_arrow()
        columns = pc.index_in(pc.list_flatten(found).cast(pa.string()), value_set=pa.array(folded, pa.string()))
        occurs[pc.list_parent_indices(found).to_numpy(), columns.to_numpy()] = True
    return occurs
