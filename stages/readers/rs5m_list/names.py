"""Parse image names of RS5M's lists: the corpus of the sample, and its sample_id in a build.

`stages/readers/rs5m_list/reader.py` reads the lists.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from schemas.corpora import CORPUS_CODES, LABELLED_CODES, LIST_CODE, RELEASED_CODE, known_codes, labelled_codes
from stages.contract import InputError

# Letters and digits only: the name becomes a file name, a key in a tar and a word on a command line.
_NAME = re.compile(r"([a-z0-9]+)_([a-z0-9_-]{1,100})(?:\.(?:jpe?g|png|webp|gif|bmp|tiff?))?", re.IGNORECASE | re.ASCII)
_CODES = {code: code for code in CORPUS_CODES if code not in LABELLED_CODES} | {"coyo": "coyo700m"}


# At the beginning of a row, after an index if there is one.
_ROW = re.compile(rb"(?:\d{1,18},)?\"?([A-Za-z0-9]+_[A-Za-z0-9_-]{1,100}(?:\.[A-Za-z]{3,4})?)\"?,")


class NameFault(NamedTuple):
    """An invalid name: a reason and a detail."""

    reason: str
    detail: str


def sample_id_of(name: str | None) -> str | NameFault:
    """Return the sample_id of an image name: without extension, and with our corpus code as prefix.

    RS5M's own scripts call YFCC15M yfcc14m, so any yfcc is accepted.
    """
    found = _NAME.fullmatch((name or "").strip())
    if found is None:
        return NameFault("bad_record", f"expected an image name like laion2b_0_0, found {(name or '')[:80]!r}")
    prefix = found[1].lower()
    code = "yfcc15m" if prefix.startswith("yfcc") else _CODES.get(prefix, prefix if _is_other_corpus(prefix) else None)
    if code is not None:
        return f"{code}_{found[2]}"
    if prefix in LABELLED_CODES:
        return NameFault("labelled_sample", f"{found[0]}: {prefix} is a labelled corpus, read from its own files")
    return NameFault("unknown_corpus", f"{found[0]}: expected one of {', '.join(_CODES)} before the first underscore")


def labelled_id_of(name: str | None) -> str | None:
    """Return the sample_id of the name of a labelled image; None for every other name."""
    found = _NAME.fullmatch((name or "").strip())
    prefix = found[1].lower() if found else ""
    return f"{prefix}_{found[2]}" if found and prefix in labelled_codes() else None


@lru_cache
def _is_other_corpus(code: str) -> bool:
    """Return whether a code is that of a web corpus with a manifest that is not in RS5M."""
    return code in known_codes() and code not in (LIST_CODE, *labelled_codes())


def sample_corpora(listed: Iterable[str]) -> frozenset[str]:
    """Return the corpora that samples of listed files may belong to.

    Args:
        listed: corpora of the listed files. RS5M's lists may name samples of every web corpus with a manifest, and the
            released tars of RS3 hold those of its three corpora.
    """
    found = set(listed)
    if LIST_CODE in found:
        found |= set(known_codes()) - set(labelled_codes())
    if RELEASED_CODE in found:
        found |= set(LABELLED_CODES)
    return frozenset(found)


def begins_row(line: bytes) -> bool:
    """Return whether a line begins with an image name, which no line of a text does."""
    found = _ROW.match(line)
    if found is None:
        return False
    name = found[1].decode("ascii")
    return isinstance(sample_id_of(name), str) or name.partition("_")[0].lower() in LABELLED_CODES


def check_alone(codes: Iterable[str]) -> None:
    """Check that a list of samples, or released tars, are not read together with corpora of their samples.

    Args:
        codes: corpora of the listed files.

    Raises:
        InputError: both are listed.
    """
    labelled = set(codes) & set(labelled_codes())
    web = set(codes) - labelled
    if RELEASED_CODE in labelled and len(labelled) > 1:
        raise InputError(
            f"{RELEASED_CODE} has samples of other labelled corpora, and SOURCES also has files of"
            f" {', '.join(sorted(labelled - {RELEASED_CODE}))}: sample_ids would collide. Build from one or the other,"
            " each with its own BUILD folder"
        )
    if LIST_CODE in web and len(web) > 1:
        raise InputError(
            f"{LIST_CODE} lists samples of other web corpora, and SOURCES also has source files of"
            f" {', '.join(sorted(web - {LIST_CODE}))}: sample_ids would collide. Build from one or the other, each"
            " with its own BUILD folder"
        )
