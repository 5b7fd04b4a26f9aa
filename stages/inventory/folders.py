"""Look at SOURCES itself: which corpora have a folder there, and what else is beside these.

Not for looking into the folders of corpora.
"""

import difflib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.corpora import Corpus
from stages.contract import InputError
from stages.inventory.passed_over import LeftOut
from stages.inventory.tree import PARTIAL_ENDINGS, is_below, is_folder, is_utf8, not_regular

_OF_A_CORPUS = ("no_reader", "left_out", "faulty_manifest")
_PREFIX = 4  # characters that name a corpus alone: coyo, fmow-rgb
_LIKENESS = 0.75  # of a folder's name and a code, as difflib measures it: LAION-2B-en is named, LAION-5B too


@dataclass(frozen=True)
class Folders:
    """What SOURCES holds.

    Attributes:
        corpora: those to be listed.
        real_paths: of their folders, by code.
        rejects: what else there is, with its reason.
    """

    corpora: tuple[Corpus, ...]
    real_paths: Mapping[str, str]
    rejects: tuple[LeftOut, ...]

    def others(self, code: str) -> tuple[str, ...]:
        """Return the real paths of the folders of the other corpora, but for one that holds this corpus's own."""
        own = self.real_paths[code]
        return tuple(path for other, path in self.real_paths.items() if other != code and not is_below(own, path))


def look_at(
    sources: Path, corpora: Mapping[str, Corpus], chosen: Sequence[str], faults: Mapping[str, str] | None = None
) -> Folders:
    """Return the corpora under SOURCES, and everything else there with its reason.

    Args:
        sources: the SOURCES folder.
        corpora: those that can be read, by code.
        chosen: codes of the corpora that take part; empty for all.
        faults: by code, what is wrong with a manifest that cannot be used.

    Raises:
        InputError: SOURCES is no folder, cannot be read or has no folder of a corpus, or a chosen one is missing.
    """
    faults = faults or {}
    names = _names(sources, corpora)
    _check_chosen(sources, corpora, chosen, faults)
    rejects: list[LeftOut] = []
    found: dict[str, str] = {}
    for name in names:
        shown = name.encode("utf-8", "backslashreplace").decode()
        reason, detail = _judge(sources, name, corpora, chosen, faults)
        real = os.path.realpath(sources / name)
        if not reason and real in found.values():
            code = next(code for code, path in found.items() if path == real)
            reason, detail = "reached_twice", f"the same folder as {code}"
        if reason:
            rejects.append((shown if reason in _OF_A_CORPUS or name in corpora else "", shown, reason, detail))
        else:
            found[name] = real
    if not found and not any(reason in ("unreadable", "left_out", "faulty_manifest") for _, _, reason, _ in rejects):
        near = [detail for _, _, _, detail in rejects if detail.startswith("did you mean")]
        raise InputError(
            f"SOURCES={sources} holds no corpus: expected at least one folder of {', '.join(sorted(corpora))}"
            + "".join(f"; found {path}: {detail}" for _, path, _, detail in rejects if detail in near)
        )
    return Folders(tuple(corpora[code] for code in sorted(found)), found, tuple(rejects))


def nothing_readable(sources: Path, rejects: Sequence[LeftOut]) -> InputError:
    """Return the error for a SOURCES folder of which no file can be read."""
    lost = ("unreadable", "empty_file", "faulty_manifest")
    faults = [
        f"{path} ({'empty: ' * (reason == lost[1])}{detail})" for _, path, reason, detail in rejects if reason in lost
    ]
    more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
    return InputError(
        f"nothing under SOURCES={sources} can be read: {'; '.join(faults[:5])}{more}. Give the right to read them, or"
        " put back what they lead to"
    )


def near_corpus(name: str, corpora: Mapping[str, Corpus]) -> str:
    """Return the code of the corpus that a folder's name may mean: by code or title, whatever case and dashes."""
    by_word = {_plain(corpus.title): code for code, corpus in corpora.items()} | {code: code for code in corpora}
    plain = _plain(name)
    if found := difflib.get_close_matches(plain, by_word, 1, _LIKENESS):
        return by_word[found[0]]
    begun = {code for code in corpora if min(len(plain), len(code)) >= _PREFIX and _begins(plain, code)}
    return begun.pop() if len(begun) == 1 else ""


def _check_chosen(
    sources: Path, corpora: Mapping[str, Corpus], chosen: Sequence[str], faults: Mapping[str, str]
) -> None:
    for code in chosen:
        if code in faults:
            continue  # its folder is rejected, and the other corpora go on
        if code not in corpora:
            raise InputError(f"inventory.corpora names {code!r}; corpora with a reader: {', '.join(sorted(corpora))}")
        if not is_folder(sources / code) and not (sources / code).is_symlink():
            raise InputError(f"inventory.corpora names {code}, but {sources / code} is no folder")


def _names(sources: Path, corpora: Mapping[str, Corpus]) -> list[str]:
    """Return the names in SOURCES; a folder comes before a link to it."""
    try:
        paths = sorted(sources.iterdir(), key=lambda path: (path.is_symlink(), path.name))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"SOURCES={sources} is no folder: expected one with a folder per corpus ({', '.join(sorted(corpora))});"
            " say where yours is with SOURCES=…"
        ) from None
    except OSError as error:
        raise InputError(f"SOURCES={sources} cannot be read: {error.strerror}. Give the right to read it") from error
    return [path.name for path in paths]


def _judge(
    sources: Path, name: str, corpora: Mapping[str, Corpus], chosen: Sequence[str], faults: Mapping[str, str]
) -> tuple[str, str]:
    """Return the reason for which something in SOURCES is passed over, and a detail; "" for a corpus's folder."""
    if name.startswith("."):
        return "hidden_file", ""
    if not is_utf8(name):
        return "unreadable", "its name is not UTF-8: rename it"
    try:
        mode = (sources / name).stat().st_mode
    except OSError as error:
        return "unreadable", f"it cannot be looked at: {error.strerror}"
    if stat.S_ISDIR(mode):
        if name in faults and (not chosen or name in chosen):
            return "faulty_manifest", faults[name]
        if name not in corpora and name not in faults:
            return "no_reader", _advice(name, corpora)
        return ("left_out", f"inventory.corpora is {list(chosen)}") if chosen and name not in chosen else ("", "")
    if not stat.S_ISREG(mode):
        return "unreadable", not_regular(mode)
    if name.endswith(PARTIAL_ENDINGS):
        return "partial_download", ""
    owners = [code for code, corpus in sorted(corpora.items()) if corpus.match_file(name) or corpus.is_companion(name)]
    return "loose_file", f"named like a file of {' or '.join(owners)}: move it into that folder" if owners else ""


def _advice(name: str, corpora: Mapping[str, Corpus]) -> str:
    near = near_corpus(name, corpora)
    return f"did you mean {near}?" if near else f"known corpora: {', '.join(sorted(corpora))}"


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
