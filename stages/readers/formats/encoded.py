"""Texts that a corpus stores URL-encoded: what their author wrote, and the same without HTML tags.

Not for the cleaning that all captions get: that is `stages/filter/keywords.py`.
"""

from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc

# RE2. A "<" before anything but a name is a sign, not a tag. Flickr's inline tags occur inside words.
_INLINE_TAG = r"(?i)</?(?:a|b|i|u|s|em|strong|strike|del|ins|span|font|small|sub|sup)(?:\s[^<>]*)?/?>"
_TAG = r"</?[A-Za-z][^<>]*>|<!--[^<>]*-->"


def url_decoded(texts: pa.Array) -> pa.Array:
    """Return texts stored as in a URL, a plus for a blank, as their author wrote them; null where null.

    Codes that are not UTF-8 become replacement characters.
    """
    return pa.array([None if text is None else unquote_plus(text) for text in texts.to_pylist()], pa.string())


def strip_tags(texts: pa.Array) -> pa.Array:
    """Return texts without HTML tags; one that parts words becomes a blank."""
    joined = pc.replace_substring_regex(texts, pattern=_INLINE_TAG, replacement="")
    return pc.replace_substring_regex(joined, pattern=_TAG, replacement=" ")
