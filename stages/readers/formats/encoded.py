"""Decode URL-encoded texts, and remove HTML tags from texts.

All captions are cleaned in `stages/readers/formats/cleaning.py`.
"""

from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc

# RE2. A "<" that no name follows is not a tag. Flickr's inline tags occur inside words.
_INLINE_TAG = r"(?i)</?(?:a|b|i|u|s|em|strong|strike|del|ins|span|font|small|sub|sup)(?:\s[^<>]*)?/?>"
_TAG = r"</?[A-Za-z][^<>]*>|<!--[^<>]*-->"


def url_decoded(texts: pa.Array) -> pa.Array:
    """Return URL-encoded texts, with a plus for a space, as their author wrote them; nulls stay null.

    Codes that are not UTF-8 become replacement characters.
    """
    return pa.array([None if text is None else unquote_plus(text) for text in texts.to_pylist()], pa.string())


def strip_tags(texts: pa.Array) -> pa.Array:
    """Return texts without HTML tags; a tag that separates words becomes a space."""
    may_have = pc.fill_null(pc.match_substring(texts, "<"), False)
    if not pc.any(may_have).as_py():
        return texts
    joined = pc.replace_substring_regex(texts.filter(may_have), pattern=_INLINE_TAG, replacement="")
    return pc.replace_with_mask(texts, may_have, pc.replace_substring_regex(joined, pattern=_TAG, replacement=" "))
