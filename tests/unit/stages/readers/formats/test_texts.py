import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stages.readers.formats.texts import count_blank, is_blank

TEXTS = (
    "",
    " ",
    "\t\n",
    "\u00a0",
    "\u3000 ",
    "\u2028",
    "a",
    " a",
    "!",
    "~",
    "\x7f",
    "\x20x",
    "é",
    "\u200b",
    "日本",
    None,
)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_counts_of_blank_texts_agree_with_the_found_ones(kind: pa.DataType) -> None:
    random = np.random.default_rng(2)
    n_blank = 0
    for n_rows in (0, 1, 2, 3, 50, 400):
        picks = random.choice(len(TEXTS), n_rows).tolist()
        texts = pa.array([TEXTS[i] for i in picks], pa.string())
        for part in (texts, texts.slice(n_rows // 3), texts.slice(1, n_rows // 2)):
            expected = pc.sum(is_blank(part)).as_py() or 0
            assert count_blank(part.cast(kind)) == expected
            n_blank += expected
    assert n_blank > 100


@pytest.mark.parametrize("texts", [[""], ["", ""], ["a", ""], ["", "a"], ["a", "", None], [None, "~"], ["\x00"]])
def test_an_empty_text_at_either_end_counts_once(texts: list[str | None]) -> None:
    for kind in (pa.string(), pa.large_string()):
        found = pa.array(texts, kind)
        assert count_blank(found) == sum(text in (None, "") for text in texts)
