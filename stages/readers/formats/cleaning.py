"""Clean captions: decode HTML entities, and remove characters that nobody sees.

Not for the encodings and tags of one corpus (`stages/readers/formats/encoded.py`).
"""

import html
import html.entities
import re

import pyarrow as pa
import pyarrow.compute as pc

# RE2 classes of characters nobody sees.
# Treated as blanks: they separate lines, words or directions, and would hide or reorder text in a viewer.
_CONTROLS = (
    r"\x{00}-\x{1f}\x{7f}-\x{9f}\x{61c}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{206f}\x{fff9}-\x{fffc}"
)
_WHITE_SPACE = r"\x{a0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
# Not a single space, which most texts have many of and which stays: a fifth of the time.
_BLANKS = f"[{_CONTROLS}{_WHITE_SPACE}][{_CONTROLS}{_WHITE_SPACE} ]*| [{_CONTROLS}{_WHITE_SPACE} ]+"
# Removed without a trace, since they are inside of words: soft hyphen, combining grapheme joiner, word joiner,
# invisible operators, byte order mark, Hangul fillers, inherent vowels of Khmer, controls of shorthand and of musical
# notation, and tags.
_INSIDE = (
    r"\x{ad}\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{3164}\x{ffa0}\x{2060}-\x{2065}\x{feff}\x{1bca0}-\x{1bca3}"
    r"\x{1d173}-\x{1d17a}\x{e0000}-\x{e00ff}\x{e01f0}-\x{e0fff}"
)
# Kept where they are spelling: joiner and non-joiner after a character beyond ASCII (Persian, Indic scripts, emoji),
# and the tags of a region's flag, such as Scotland's, after the black flag: letters and digits, then an end.
_FLAG = r"(\x{1f3f4}[\x{e0030}-\x{e0039}\x{e0061}-\x{e007a}]{3,6}\x{e007f})"
_HIDDEN = rf"{_FLAG}|[{_INSIDE}]+"
# Variation selectors choose a form of the character before them, and can carry any bytes: only a single one is kept,
# after an emoji or another symbol, in a keycap, after an ideograph, or a letter of the scripts that have variants.
_FORMS, _IDEOGRAPH_FORMS, _MONGOLIAN_FORMS = r"\x{fe00}-\x{fe0f}", r"\x{e0100}-\x{e01ef}", r"\x{180b}-\x{180d}\x{180f}"
_SELECTORS = f"{_FORMS}{_IDEOGRAPH_FORMS}{_MONGOLIAN_FORMS}"
_SELECTOR = (
    rf"([0-9#*]\x{{fe0f}}\x{{20e3}})|([ -~])[{_SELECTORS}]|([\pS\x{{203c}}\x{{2049}}\x{{3030}}][{_FORMS}]"
    rf"|\p{{Han}}[{_FORMS}{_IDEOGRAPH_FORMS}]|\p{{Mongolian}}[{_MONGOLIAN_FORMS}]"
    rf"|[\p{{Myanmar}}\p{{Phags_Pa}}]\x{{fe00}})|[{_SELECTORS}]"
)
_JOINERS = r"\x{200c}\x{200d}"
_LOOSE_JOINERS = rf"^[{_JOINERS}]+|[{_JOINERS}]+$|([ -~])[{_JOINERS}]+|( )[{_JOINERS}]+"
_MAY_BE_HIDDEN = rf"[{_INSIDE}{_SELECTORS}{_JOINERS}]"
_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});")


def clean_caption(captions: pa.Array) -> pa.Array:
    """Return captions with HTML entities decoded, hidden characters removed, and white space as single inner blanks.

    An entity ends with a semicolon, a numeric one too: without it "city&region" would become "city®ion".
    """
    decoded = captions
    has_entity = pc.fill_null(pc.match_substring_regex(captions, _ENTITY.pattern), False)
    if pc.any(has_entity).as_py():
        texts = [_unescape(text) for text in captions.filter(has_entity).to_pylist()]
        decoded = pc.replace_with_mask(captions, has_entity, pa.array(texts, captions.type))
    return pc.utf8_trim(pc.replace_substring_regex(_without_hidden(decoded), _BLANKS, " "), characters=" ")


def _without_hidden(captions: pa.Array) -> pa.Array:
    may_be = pc.fill_null(pc.match_substring_regex(captions, _MAY_BE_HIDDEN), False)
    if not pc.any(may_be).as_py():
        return captions
    shown = pc.replace_substring_regex(captions.filter(may_be), _HIDDEN, r"\1")
    shown = pc.replace_substring_regex(shown, f"[{_SELECTORS}]{{2,}}", "")
    shown = pc.replace_substring_regex(shown, _SELECTOR, r"\1\2\3")
    single = pc.replace_substring_regex(pc.replace_substring_regex(shown, _BLANKS, " "), rf"[{_JOINERS}]+ ", " ")
    return pc.replace_with_mask(captions, may_be, pc.replace_substring_regex(single, _LOOSE_JOINERS, r"\1\2"))


def _unescape(text: str) -> str:
    # COYO's captions are escaped twice; a third round would decode text that an author meant to show.
    for _ in range(2):
        text = _ENTITY.sub(lambda found: _decode_entity(found[0]), text)
    return text


def _decode_entity(entity: str) -> str:
    is_known = entity[1] == "#" or entity[1:] in html.entities.html5
    return html.unescape(entity) if is_known else entity
