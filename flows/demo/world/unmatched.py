"""The generated world's rows that the filter rejects or counts, except most of those without a keyword."""

import re
from collections.abc import Callable

from flows.demo.world.corpora import CC3M, CC12M, COCO, LAION400M, REDCAPS, VG, WEB, WIT, WITHOUT_NULLS, YFCC
from flows.demo.world.rows import Row
from flows.demo.world.texts import Text, Texts

_OF_LINES = ("wrong_field_count", "invalid_utf8")
# Control characters in a line of invalid UTF-8 would mean a damaged file, not one bad row.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LINES_OF_FIELDS = (CC3M, CC12M, WIT, YFCC)
_WITH_TRAPS = (LAION400M, COCO, WIT, REDCAPS, VG)
# Reason; rows in a world of 3,000; minimum per corpus; the corpora in which it occurs.
_PLANNED = (
    ("no_caption", 60, 3, WEB),
    ("no_url", 33, 3, WEB),
    ("wrong_field_count", 24, 3, _LINES_OF_FIELDS),
    ("invalid_utf8", 16, 3, _LINES_OF_FIELDS),
    ("no_metadata_row", 6, 3, (YFCC,)),
    ("listed_again", 18, 3, (YFCC, REDCAPS, VG)),
    ("bad_record", 6, 3, (REDCAPS,)),
    ("shifted_row", 12, 3, (LAION400M,)),
    ("no_keyword", 0, 8, _WITH_TRAPS),  # enough for all traps of each corpus
    ("no_keyword", 0, 3, tuple(corpus for corpus in WEB if corpus not in _WITH_TRAPS)),
)
_BAD_RECORDS: tuple[object, ...] = (None, "7nbxym", 12.5, ["7nbxym"])


def plan_unmatched(n_rows: int, texts: Texts, fresh_url: Callable[[str], str]) -> list[Row]:
    """Return the planned rows.

    Args:
        n_rows: number of rows of the whole world.
        texts: generates the texts.
        fresh_url: returns an unused URL in a folder, which the server does not know.
    """
    rows = []
    for reason, n_planned, n_least, corpora in _PLANNED:
        for n in range(max(n_least * len(corpora), round(n_planned * n_rows / 3000))):
            rows.append(_row(corpora[n % len(corpora)], reason, n // len(corpora), texts, fresh_url))
    return rows


def _row(corpus: str, reason: str, n: int, texts: Texts, fresh_url: Callable[[str], str]) -> Row:
    """Return the n-th row of a corpus with a reason."""
    text = _text(corpus, reason, n, texts)
    if reason == "bad_record":
        columns = {"record": _BAD_RECORDS[n // 2 % len(_BAD_RECORDS)]} if n % 2 else {}
        return Row(corpus, None, None, "filter", reason, texts=columns)
    if reason == "no_metadata_row" or (corpus, reason) == (YFCC, "listed_again"):
        return Row(corpus, None, None, "filter", reason)
    if reason in _OF_LINES:
        if corpus not in _LINES:  # the corpus's writer damages the row
            return Row(corpus, text.caption, None, "filter", reason, texts={**text.columns, "variant": n})
        line = _LINES[corpus](reason, n, str(text.caption).encode(), fresh_url(reason).encode())
        return Row(corpus, None, None, "filter", reason, line=line)
    url: str | None = fresh_url(reason)
    if reason == "no_url":
        url = "" if n % 2 or corpus in WITHOUT_NULLS else None
    elif reason == "no_caption" and n % 3 == 0:
        url = ""
    return Row(corpus, text.caption, url, "filter", reason, texts=text.columns)


def _text(corpus: str, reason: str, n: int, texts: Texts) -> Text:
    """Return the row's text; for most reasons it contains a keyword."""
    if reason == "no_caption":
        return texts.blank(corpus)
    if reason == "shifted_row":
        return texts.shifted()
    is_other = reason == "no_keyword" or (corpus in _LINES and n % 3 == 0 and reason in _OF_LINES)
    return texts.other(corpus) if is_other else texts.matching(corpus)


def _cc3m_line(reason: str, n: int, caption: bytes, url: bytes) -> bytes:
    if reason == "wrong_field_count":
        return (caption + b"\t" + url + b"\tphoto", caption + b" " + url, b"", caption + b"\t\t" + url)[n % 4]
    caption = _CONTROL.sub(b" ", caption)
    return (caption + b" caf\xe9\t" + url, caption + b"\t" + url + b"\xff", b"\x80" + caption + b"\t" + url)[n % 3]


def _cc12m_line(reason: str, n: int, caption: bytes, url: bytes) -> bytes:
    if reason == "wrong_field_count":  # all text after the first tab is the caption
        return (url + b" " + caption.replace(b"\t", b" "), b"", url, b" ")[n % 4]
    caption = _CONTROL.sub(b" ", caption)
    return (url + b"\t" + caption + b" caf\xe9", url + b"\xff\t" + caption, url + b"\t\xed\xa0\x80" + caption)[n % 3]


_LINES = {CC3M: _cc3m_line, CC12M: _cc12m_line}
