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
# notation, tags, and codes that Unicode keeps for further ones.
_INSIDE = (
    r"\x{ad}\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{3164}\x{ffa0}\x{2060}-\x{2065}\x{feff}\x{fff0}-\x{fff8}"
    r"\x{1bca0}-\x{1bca3}\x{1d173}-\x{1d17a}\x{e0000}-\x{e00ff}\x{e01f0}-\x{e0fff}"
)
# Kept where they are spelling: the tags of a region's flag, such as Scotland's, after the black flag: letters and
# digits, then an end.
_FLAG = r"(\x{1f3f4}[\x{e0030}-\x{e0039}\x{e0061}-\x{e007a}]{3,6}\x{e007f})"
_HIDDEN = rf"{_FLAG}|[{_INSIDE}]+"
# Variation selectors choose a form of the character before them, and can carry any bytes: only a single one is kept,
# after a symbol or an emoji of another class (all of emoji-variation-sequences.txt of Unicode 17), in a keycap, after
# an ideograph, or a letter of the scripts that have variants.
_FORMS, _IDEOGRAPH_FORMS, _MONGOLIAN_FORMS = r"\x{fe00}-\x{fe0f}", r"\x{e0100}-\x{e01ef}", r"\x{180b}-\x{180d}\x{180f}"
_OTHER_EMOJI = r"\x{203c}\x{2049}\x{2139}\x{3030}\x{303d}"
_SELECTORS = f"{_FORMS}{_IDEOGRAPH_FORMS}{_MONGOLIAN_FORMS}"
_SELECTOR = (
    rf"([0-9#*]\x{{fe0f}}\x{{20e3}})|([ -~])[{_SELECTORS}]|([\pS{_OTHER_EMOJI}][{_FORMS}]"
    rf"|\p{{Han}}[{_FORMS}{_IDEOGRAPH_FORMS}]|\p{{Mongolian}}[{_MONGOLIAN_FORMS}]"
    rf"|[\p{{Myanmar}}\p{{Phags_Pa}}]\x{{fe00}})|[{_SELECTORS}]"
)
# Joiner and non-joiner are kept inside words that are not ASCII (Persian, Indic scripts, emoji). Before a blank and at
# the end only a single one is, where it changes the letter before it: after a virama (Malayalam's chillus, Bengali's
# khanda ta) or a letter of a cursive script (Unicode standard, 12.1, 12.9 and 23.2).
_JOINERS = r"\x{200c}\x{200d}"
_VIRAMAS = (  # canonical combining class 9 in Unicode 17
    r"\x{94d}\x{9cd}\x{a4d}\x{acd}\x{b4d}\x{bcd}\x{c4d}\x{ccd}\x{d3b}\x{d3c}\x{d4d}\x{dca}\x{e3a}\x{eba}\x{f84}\x{1039}"
    r"\x{103a}\x{1714}\x{1715}\x{1734}\x{17d2}\x{1a60}\x{1b44}\x{1baa}\x{1bab}\x{1bf2}\x{1bf3}\x{2d7f}\x{a806}\x{a82c}"
    r"\x{a8c4}\x{a953}\x{a9c0}\x{aaf6}\x{abed}\x{10a3f}\x{11046}\x{11070}\x{1107f}\x{110b9}\x{11133}\x{11134}\x{111c0}"
    r"\x{11235}\x{112ea}\x{1134d}\x{113ce}-\x{113d0}\x{11442}\x{114c2}\x{115bf}\x{1163f}\x{116b6}\x{1172b}\x{11839}"
    r"\x{1193d}\x{1193e}\x{119e0}\x{11a34}\x{11a47}\x{11a99}\x{11c3f}\x{11d44}\x{11d45}\x{11d97}\x{11f41}\x{11f42}"
    r"\x{1612f}"
)
_CURSIVE = r"[\p{Arabic}\p{Syriac}\p{Nko}\p{Mandaic}\p{Mongolian}\p{Adlam}\p{Hanifi_Rohingya}]\pM*"
_LAST_JOINERS = rf"((?:[{_VIRAMAS}]|{_CURSIVE})[{_JOINERS}])[{_JOINERS}]*( |$)|[{_JOINERS}]+( |$)"
_LOOSE_JOINERS = rf"^[{_JOINERS}]+|([ -~])[{_JOINERS}]+"
# The blank of Braille is one elsewhere too. Twice, since a match takes the character that the next one begins with.
_BRAILLE = r"\x{2800}-\x{28ff}"
_LONE_BRAILLE_BLANKS = rf"(^|[^{_BRAILLE}])\x{{2800}}+([^{_BRAILLE}]|$)"
_MAY_BE_HIDDEN = rf"[{_INSIDE}{_SELECTORS}{_JOINERS}\x{{2800}}]"
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
    for _ in range(2):
        shown = pc.replace_substring_regex(shown, _LONE_BRAILLE_BLANKS, r"\1 \2")
    single = pc.replace_substring_regex(shown, _BLANKS, " ")
    single = pc.replace_substring_regex(single, _LAST_JOINERS, r"\1\2\3")
    return pc.replace_with_mask(captions, may_be, pc.replace_substring_regex(single, _LOOSE_JOINERS, r"\1"))


def _unescape(text: str) -> str:
    # COYO's captions are escaped twice; a third round would decode text that an author meant to show.
    for _ in range(2):
        text = _ENTITY.sub(lambda found: _decode_entity(found[0]), text)
    return text


def _decode_entity(entity: str) -> str:
    is_known = entity[1] == "#" or entity[1:] in html.entities.html5
    return html.unescape(entity) if is_known else entity
