"""Captions are cleaned: entities are decoded, and hidden characters removed where they are not spelling."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.readers.formats.cleaning import clean_caption

SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("published", "clean"),
    [
        ("  an  aerial\timage\r\n", "an aerial image"),
        ("don&amp;#39;t &quot;zoom&quot;", 'don\'t "zoom"'),
        ("&amp;amp;amp;", "&amp;"),
        ("a\u00a0b\u2028c\u3000d", "a b c d"),
        ("a\u200bb\u202ec\x00d\x85e", "a b c d e"),
        ("sat\ufeffel\u2060li\u00adte", "satellite"),
        ("city&region, rock&parade, ?a=1&sect=2, R&ampD", "city&region, rock&parade, ?a=1&sect=2, R&ampD"),
        ("&notit; &#38 &#x26 &lt &nosuch; &copy;", "&notit; &#38 &#x26 &lt &nosuch; ©"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\u0915\u094d\u200d\u0937 \U0001f469\u200d\U0001f680", "\u0915\u094d\u200d\u0937 \U0001f469\u200d\U0001f680"),
        ("\u0645&zwnj;\u062e", "\u0645\u200c\u062e"),
        ("\u200dsat\u200del\u200clite \u200d image\u200c", "satellite image"),
        ("of \U000e0069\U000e0067 a bay", "of a bay"),
        (SCOTLAND, SCOTLAND),
        (SCOTLAND[:-1] + " map", "\U0001f3f4 map"),
        ("&#8203;", ""),
        ("aerial view" + "".join(chr(0xE0100 + byte) for byte in b"secret"), "aerial view"),
        ("\U0001f600" + "".join(chr(0xE0100 + byte) for byte in b"secret") + " x", "\U0001f600 x"),
        ("\ufe0fa\ufe01erial\ufe00 \ufe0fview =\ufe0e 1\ufe0f \u00e9\ufe0f \u180b", "aerial view = 1 \u00e9"),
        ("a\u115f\u1160e\u17b4r\u17b5i\U0001d173a\U0001bca0l\U000e0fff", "aerial"),
        ("aerial\ufffcview", "aerial view"),
        *[
            (kept, kept)
            for kept in (
                "\u2764\ufe0f and \u2600\ufe0e", "1\ufe0f\u20e3 #\ufe0f\u20e3",
                "\u00a9\ufe0f \u203c\ufe0f \u2194\ufe0f",
                "\U0001f469\U0001f3fd\u200d\u2695\ufe0f", "\u2764\ufe0f\u200d\U0001f525",
                "\U0001f3f3\ufe0f\u200d\U0001f308",
                "\u845b\U000e0100\u98fe\ufe00\u8fbb\U000e0101",
                "\u1820\u180b\u1828\u180d", "\u2229\ufe00", "\u1000\ufe00",
            )
        ],
        *[
            (kept, kept)
            for kept in (
                "\u0d05\u0d35\u0d28\u0d4d\u200d \u0d2a\u0d31", "\u0d15\u0d23\u0d4d\u0d23\u0d42\u0d30\u0d4d\u200d",
                "\u09a4\u09cd\u200d \u09a4", "\u0647\u200d", "\u0647\u064e\u200d \u0647", "\u0915\u094d\u200c",
                "\u062e\u0627\u0646\u0647\u200c \u0647\u0627",
                "\u2139\ufe0f \u303d\ufe0f", "\u2801\u2800\u2803 \u2801\u2800",
            )
        ],
        ("\u0d28\u0d4d\u200d\u200d\u200d \u0915\u200d \u00e9\u200c", "\u0d28\u0d4d\u200d \u0915 \u00e9"),
        ("a\u2800b\u2800\u2800c\u2800 \u2800d\u2800", "a b c d"),
        ("\u2800 \u2801\u2800\u2800", "\u2801\u2800\u2800"),
        ("a\ufff0b\ufff8", "ab"),
        ("\u845b\U000e0100\U000e0101", "\u845b"),
        ("\u845b\u00ad\U000e0100", "\u845b\U000e0100"),
        ("\u1820\ufe00 \u2764\u180b \u2764\U000e0100", "\u1820 \u2764 \u2764"),
        ("Zürich &amp; Köln", "Zürich & Köln"),
        ("e\u0301", "e\u0301"),
        ("", ""),
        (None, None),
    ],
)  # fmt: skip
def test_captions_are_cleaned(published: str | None, clean: str | None) -> None:
    assert clean_caption(pa.array([published, "plain"], pa.string())).to_pylist() == [clean, "plain"]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_a_clean_caption_has_single_inner_blanks_only(text: str) -> None:
    clean = clean_caption(pa.array([text], pa.string()))[0].as_py()
    assert clean == " ".join(clean.split())
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in clean)
