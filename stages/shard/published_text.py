"""The text published with an image: its meta caption and its caption, in the configured order."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TextOrder = Literal["meta_first", "text_first", "text_only"]


def published_text(meta: Any, text: Any, order: TextOrder, separator: str) -> Any:
    """Return one text per sample; the separator is used only if both exist.

    Args:
        meta: meta captions as an Arrow column, null if missing.
        text: captions as an Arrow column, generated or from the web.
        order: which of the two comes first; "text_only" omits the meta caption.
        separator: text between the two.
    """
    if order == "text_only":
        return pc.fill_null(text, "")
    first, second = map(_or_null, (meta, text) if order == "meta_first" else (text, meta))
    # null_handling="skip" would lose rows with neither text (pyarrow 26).
    joined = pc.binary_join_element_wise(first, second, separator)
    return pc.coalesce(joined, first, second, "")


SOURCE = {"pub11": "web", "rs3": "generated"}  # source of a caption, by half


def caption_sources(rows: pa.Table, order: TextOrder) -> pa.Array:
    """Return the sources of each published text, a list of strings per sample, in order; empty for a blank text.

    They are "meta", "web", "generated", or the source of a further text that is published instead of the last two.

    Args:
        rows: samples with meta_caption, text, half and text_source, null unless the text is a further one.
        order: as in `published_text`.
    """
    halves = rows["half"].combine_chunks().dictionary_encode()
    of_half = pa.array([SOURCE[half] for half in halves.dictionary.to_pylist()], pa.string()).take(halves.indices)
    names = pa.concat_arrays(
        [pa.array(["meta"], pa.string()), pc.coalesce(rows["text_source"].cast(pa.string()).combine_chunks(), of_half)]
    )
    has_text = _has_content(rows["text"])
    has_meta = _has_content(rows["meta_caption"]) if order != "text_only" else np.zeros_like(has_text)
    place = np.arange(1, rows.num_rows + 1)
    step = 1 if order == "meta_first" else -1
    is_named = np.stack([has_meta, has_text][::step], axis=1)
    places = np.stack([np.zeros_like(place), place][::step], axis=1)
    ends = np.append(0, np.cumsum(is_named.sum(axis=1)))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), names.take(pa.array(places[is_named])))


def _has_content(texts: Any) -> NDArray[np.bool_]:
    # Most texts have a printed character of ASCII; Python judges the others.
    is_printed = pc.match_substring_regex(texts, "[!-~]")
    found: NDArray[np.bool_] = np.array(pc.fill_null(is_printed, False))
    at = np.flatnonzero(pc.fill_null(pc.invert(is_printed), False))
    found[at] = [bool(text) and not text.isspace() for text in texts.take(pa.array(at)).to_pylist()]
    return found


def _or_null(column: Any) -> Any:
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, pa.string()), column)
