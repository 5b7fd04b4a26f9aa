"""Encoded texts are decoded before the search, and lose their tags but no words."""

import pyarrow as pa
import pytest

from stages.readers.formats.cleaning import clean_caption
from stages.readers.formats.encoded import strip_tags, url_decoded


def test_texts_are_decoded() -> None:
    texts = pa.array(["a+b%26c%C3%A9%0A", None, "100%+%zz"])
    assert url_decoded(texts).to_pylist() == ["a b&cé\n", None, "100% %zz"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('see <a href="http://a/">this</a>, please', "see this, please"),
        ("one<br/>two<P>three</P>", "one two three"),
        ("<b>sub</b>urban <STRONG>x</STRONG>", "suburban x"),
        ("<abbr>x</abbr> <img src='a'>y", "x y"),
        ("height < 3 m and > 2 m", "height < 3 m and > 2 m"),
        ("<3 Landsat <!-- note -->", "<3 Landsat"),
        ("&lt;b&gt; is shown", "<b> is shown"),
        ("<unclosed Landsat", "<unclosed Landsat"),
    ],
)
def test_tags_are_removed_and_words_are_kept(text: str, expected: str) -> None:
    assert clean_caption(strip_tags(pa.array([text]))).to_pylist() == [expected]
