"""The text published with an image: its meta caption and its caption, in the configured order."""

from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

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


def caption_sources(rows: pa.Table, order: TextOrder) -> list[list[str]]:
    """Return the sources of each published text, in order; none for a blank text.

    They are "meta", "web", "generated", or the source of a further text that is published instead of the last two.

    Args:
        rows: samples with meta_caption, text, half and text_source, null unless the text is a further one.
        order: as in `published_text`.
    """
    columns = (rows[name].to_pylist() for name in ("meta_caption", "text", "half", "text_source"))
    found = []
    for meta, text, half, other in zip(*columns, strict=True):
        sources = [("meta", meta if order != "text_only" else None), (other or SOURCE[half], text)]
        ordered = sources if order == "meta_first" else sources[::-1]
        found.append([name for name, content in ordered if content and content.strip()])
    return found


def _or_null(column: Any) -> Any:
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, pa.string()), column)
