"""The texts of the generated world's rows, in the text columns of their corpora: captions, and traps.

A trap is a keyword that spans two texts, or one in a column that must not be searched.
"""

import random
from collections import Counter
from typing import Any, NamedTuple

from flows.demo.world.captions import Captions, ascii_lower, holds_keyword
from flows.demo.world.corpora import CC12M, COCO, LAION400M, REDCAPS, VG, WIT, WITHOUT_NULLS

# First text, separator, second text: a keyword only arises when they are joined.
_SEAMS = (
    ("a framed picture, aerial", " ", "view of the bay"), ("the dish of a satellite", " ", "map on the table"),
    ("a shop by the name of Mod", "", "is it open today"), ("two men with Land", "", "sat on a bench"),
)  # fmt: skip
_LANGUAGES = ("en", "de", "es", "ru", "ja", "ar", "zh-TW", "fr")
_WIT_CAPTIONS = ("caption_reference_description", "caption_attribution_description", "caption_alt_text_description")
_WILD = (6016.0, -3.0, 1.0001, 320.0, 1e12)  # values outside [-1, 1], the range of the similarity


class Text(NamedTuple):
    """The caption of a row, and the values of the corpus's text columns."""

    caption: str | None
    columns: dict[str, Any]


class Texts:
    """Generates texts that match, do not match or are blank; all variants of a corpus take turns."""

    def __init__(self, seed: int) -> None:
        self._captions = Captions(random.Random(f"captions {seed}"))
        self._rng = random.Random(f"texts {seed}")
        self._turns: Counter[str] = Counter()

    def matching(self, corpus: str) -> Text:
        """Return a text with a keyword in a searched column."""
        turn = self._turn(f"{corpus} matching")
        caption = self._captions.matching(corpus)
        match corpus:
            case "laioncoco":
                return self._coco_matching(caption, turn)
            case "wit":
                return self._wit_matching(caption, turn)
            case "vg":
                phrases = self._phrases()
                phrases.insert(self._rng.randint(0, len(phrases)), caption + " " * (turn % 2))
                return _regions(phrases)
            case "redcaps":
                return Text(ascii_lower(caption), {"raw_caption": f"{caption} [4000 x 3000] (OC)"})
        return Text(caption, {})

    def other(self, corpus: str) -> Text:
        """Return a text without a keyword in the searched columns; others may contain one."""
        turn = self._turn(f"{corpus} other")
        caption = self._captions.other(corpus)
        match corpus:
            case "laion400m":
                return Text(caption, {"similarity": _WILD[turn % len(_WILD)]} if turn % 3 == 0 else {})
            case "laioncoco":
                return self._coco_other(caption, turn)
            case "wit":
                return self._wit_other(caption, turn)
            case "vg":
                phrases = [caption, *self._phrases()]
                return _regions([*phrases, *self._seam()] if turn % 2 else phrases)
            case "redcaps":
                hidden = f" [{self._captions.matching(REDCAPS)}]" if turn % 2 else ""
                return Text(ascii_lower(caption), {"raw_caption": caption + hidden})
        return Text(caption, {})

    def blank(self, corpus: str) -> Text:
        """Return a blank text: null, empty or only white space."""
        turn = self._turn(f"{corpus} blank")
        keyword = self._captions.matching(corpus)
        match corpus:
            case "laioncoco":
                top, captions = ((None, None), ("", []), (" ", ["", " \n "]), ("", None))[turn % 4]
                return _coco(keyword, top, captions)
            case "wit":
                blanks = (("", "", ""), (" ", "", "\u00a0"), ("", "  \n ", ""))[turn % 3]
                columns = dict(zip(_WIT_CAPTIONS, blanks, strict=True))
                return Text("", {"language": self._language(), "page_title": keyword, **columns})
            case "vg":
                return (Text(None, {"phrases": None}), _regions([]), _regions(["", "  "]))[turn % 3]
            case "redcaps":
                return Text("", {"raw_caption": f"[{keyword}]"})
        plain: tuple[str | None, ...] = ("", "   ")
        if corpus not in WITHOUT_NULLS:
            plain = (None, "", " \t\n ", "\u00a0\u3000 ")
        elif corpus == CC12M:
            plain = (*plain, "\t \t")
        return Text(plain[turn % len(plain)], {})

    def shifted(self) -> Text:
        """Return a LAION-400M text with a keyword, in a row whose values are in the wrong columns."""
        turn = self._turn("shifted")
        columns = {"similarity": _WILD[turn % len(_WILD)], "LICENSE": "UNLIKELY", "NSFW": "0.3141", "WIDTH": 39_580}
        return Text(self._captions.matching(LAION400M), columns)

    def _turn(self, key: str) -> int:
        self._turns[key] += 1
        return self._turns[key] - 1

    def _phrases(self) -> list[str]:
        return [self._captions.other(VG) + " " * (n % 2) for n in range(self._rng.randint(1, 5))]

    def _seam(self) -> tuple[str, str]:
        first, between, second = _SEAMS[self._turn("seam") % len(_SEAMS)]
        if holds_keyword(first) or holds_keyword(second) or not holds_keyword(first + between + second):
            raise RuntimeError(f"{first!r} and {second!r} should only have a keyword when joined")
        return first, second

    def _coco_matching(self, caption: str, turn: int) -> Text:
        captions = [self._captions.other(COCO) for _ in range(4)]
        match turn % 4:
            case 0:
                captions, top = [caption, *captions], caption
            case 1:  # only in all_captions
                captions.insert(self._rng.randint(0, 4), caption)
                top = next(one for one in captions if one is not caption)
            case 2:  # only in top_caption, which should be one of all_captions
                top = caption
            case _:
                captions, top = [caption], caption
        alt_text = self._captions.other(COCO) if turn % 3 else None
        return _coco(alt_text, top, captions)

    def _coco_other(self, caption: str, turn: int) -> Text:
        captions = [caption, *(self._captions.other(COCO) for _ in range(2))]
        match turn % 4:
            case 1:
                captions += self._seam()
            case 2:
                top, first = self._seam()
                return _coco(None, top, [first, *captions])
            case 3:
                return _coco(self._captions.matching(COCO), caption, captions)
        return _coco(self._captions.other(COCO), caption, captions)

    def _wit_matching(self, caption: str, turn: int) -> Text:
        other = self._captions.other(WIT)
        match turn % 5:
            case 0:
                captions = (caption, other, "")
            case 1:
                captions = ("", f"English: {caption} Deutsch: {other}", other)
            case 2:
                captions = (" ", "", caption)
            case 3:  # needs quoting, whatever the caption
                captions = (f'"{caption}",\nas they say\there', "", other)
            case _:
                captions = (caption, caption, caption)
        return self._wit(captions)

    def _wit_other(self, caption: str, turn: int) -> Text:
        keyword = self._captions.matching(WIT)
        match turn % 3:
            case 0:
                captions = ((caption, "", ""), ("", caption, ""), ("", " ", caption))[turn // 3 % 3]
            case 1:
                captions = (caption, "", keyword)
            case _:
                captions = ("", caption, keyword)
        return self._wit(captions, page_title=keyword if turn % 2 else "Norvale", context_page_description=keyword)

    def _wit(self, captions: tuple[str, str, str], **columns: str) -> Text:
        named = dict(zip(_WIT_CAPTIONS, captions, strict=True))
        first = next(caption for caption in captions if caption.strip())
        return Text(first, {"language": self._language(), **columns, **named})

    def _language(self) -> str:
        return self._rng.choice(_LANGUAGES)


def _coco(alt_text: str | None, top: str | None, captions: list[str] | None) -> Text:
    joined = None if captions is None else "\n".join(captions)
    return Text(joined, {"TEXT": alt_text, "top_caption": top, "all_captions": captions})


def _regions(phrases: list[str]) -> Text:
    return Text("\n".join(phrases), {"phrases": phrases})
