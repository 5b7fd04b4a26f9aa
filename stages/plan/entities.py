"""Decode HTML entities in published URLs, which were copied from HTML attributes without decoding.

Not for captions, which have other rules.
"""

import html
import re
from html.entities import html5

# Only names with a semicolon: "&copy=2" is a parameter, although HTML would decode it.
_ENTITY = re.compile(r"&(?:(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)")
# "&amp;amp;amp;" in one step, so deep nesting takes linear time.
_AMPERSANDS = re.compile(r"&(?:(?:amp|AMP|#0{0,5}38|#[xX]0{0,4}26);)+")
_MAX_LAYERS = 8


def decode_entities(text: str) -> str:
    """Return the text with HTML entities decoded, also repeatedly encoded ones; names without a semicolon stay.

    Raises:
        ValueError: entities are nested more than 8 times, which no real page does.
    """
    for _ in range(_MAX_LAYERS):
        if "&" not in text or ";" not in text:
            return text
        decoded = _ENTITY.sub(_decode, _AMPERSANDS.sub("&", text))
        if decoded == text:
            return text
        text = decoded
    raise ValueError(f"HTML entities nested more than {_MAX_LAYERS} times")


def _decode(found: re.Match[str]) -> str:
    name = found[1]
    if name.startswith("#"):
        char = html.unescape(found[0])
        return found[0] if char in ("", "\ufffd") else char  # no character has this number
    return html5.get(name + ";", found[0])
