"""List SOURCES itself: the folders of corpora, and everything else.

Folders of corpora are listed in tree.py.
"""

import difflib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.corpus import Corpus
from stages.contract import InputError
from stages.inventory.passed_over import LeftOut
from stages.inventory.tree import PARTIAL_ENDINGS, is_below, is_folder, is_utf8, not_regular
from stages.plurals import briefly

Choice = Literal["both", "pub11"]
_OF_A_CORPUS = ("no_reader", "left_out", "faulty_manifest")
_SHOWN = 5  # faults in a message
_PREFIX = 4  # minimum length of a name that identifies a corpus: coyo, fmow-rgb
_LIKENESS = 0.75  # similarity of a folder's name and a code, by difflib: enough for LAION-2B-en and LAION-5B


@dataclass(frozen=True)
class Folders:
    """The content of SOURCES.

    Attributes:
        corpora: corpora to list.
        real_paths: real paths of their folders, by code.
        rejects: everything else, with reasons.
    """

    corpora: tuple[Corpus, ...]
    real_paths: Mapping[str, str]
    rejects: tuple[LeftOut, ...]

    def others(self, code: str) -> tuple[str, ...]:
        """Return the real paths of the other corpora's folders, except one that contains this corpus's folder."""
        own = self.real_paths[code]
        return tuple(path for other, path in self.real_paths.items() if other != code and not is_below(own, path))


def chosen_codes(corpora: Mapping[str, Corpus], chosen: Sequence[str], halves: Choice) -> tuple[str, ...]:
    """Return the codes of the corpora to list, by code and half; empty for all.

    Raises:
        InputError: the two settings together leave no corpus.
    """
    if halves == "both":
        return tuple(chosen)
    found = tuple(code for code in chosen or corpora if code in corpora and corpora[code].half == halves)
    if not found:
        raise InputError(
            f"inventory.corpora = {list(chosen)} and inventory.halves = {halves} leave no corpus: name a web corpus,"
            ' or set inventory.halves = "both"'
        )
    return found


def look_at(
    sources: Path,
    corpora: Mapping[str, Corpus],
    chosen: Sequence[str],
    faults: Mapping[str, str] | None = None,
    halves: Choice = "both",
) -> Folders:
    """Return the corpora under SOURCES, and everything else with a reason.

    Args:
        sources: the SOURCES folder.
        corpora: readable corpora by code.
        chosen: codes of the corpora to list; empty for all.
        faults: faults of invalid manifests by code.
        halves: the corpora of the other half are left out.

    Raises:
        InputError: SOURCES is not a folder, is unreadable or has no folder of a corpus, or a chosen corpus is missing.
    """
    faults = faults or {}
    names = _names(sources, corpora)
    check_chosen(sources, corpora, chosen, faults)
    rejects: list[LeftOut] = []
    found: dict[str, str] = {}
    for name in names:
        shown = name.encode("utf-8", "backslashreplace").decode()
        reason, detail = _judge(sources, name, corpora, chosen, faults)
        if not reason and halves not in ("both", corpora[name].half):
            reason, detail = "left_out", f"inventory.halves is {halves}"
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
            f"SOURCES={sources} has no corpus: expected at least one folder of {', '.join(sorted(corpora))}"
            + "".join(f"; found {path}: {detail}" for _, path, _, detail in rejects if detail in near)
        )
    return Folders(tuple(corpora[code] for code in sorted(found)), found, tuple(rejects))


def no_folder(sources: Path, corpora: Iterable[str]) -> InputError:
    """Return the error for a SOURCES that is not a folder; `corpora` are the codes of those that can be read."""
    return InputError(
        f"SOURCES={sources} is not a folder: expected one with a folder per corpus ({', '.join(sorted(corpora))});"
        " set its path with SOURCES=…"
    )


def nothing_readable(sources: Path, rejects: Sequence[LeftOut]) -> InputError:
    """Return the error for a SOURCES folder without a readable file."""
    lost = ("unreadable", "empty_file", "faulty_manifest")
    faults = [
        f"{path} ({'empty: ' * (reason == lost[1])}{detail})" for _, path, reason, detail in rejects if reason in lost
    ]
    advice = {
        "unreadable": "grant permission to read them, or restore the targets of links",
        "empty_file": "download empty files again",
        "faulty_manifest": "correct the manifests",
    }
    found = {reason for _, _, reason, _ in rejects}
    todo = "; ".join(text for reason, text in advice.items() if reason in found)
    return InputError(f"nothing under SOURCES={sources} can be read: {briefly(faults, _SHOWN, '; ')}. To do: {todo}")


def near_corpus(name: str, corpora: Mapping[str, Corpus]) -> str:
    """Return the code of the corpus that a folder's name may mean: by code or title, ignoring case and dashes."""
    by_word = {_plain(corpus.title): code for code, corpus in corpora.items()} | {code: code for code in corpora}
    plain = _plain(name)
    if found := difflib.get_close_matches(plain, by_word, 1, _LIKENESS):
        return by_word[found[0]]
    begun = {code for code in corpora if min(len(plain), len(code)) >= _PREFIX and _begins(plain, code)}
    return begun.pop() if len(begun) == 1 else ""


def check_chosen(
    sources: Path, corpora: Mapping[str, Corpus], chosen: Sequence[str], faults: Mapping[str, str]
) -> None:
    """Refuse a choice of corpora that have no reader or no folder. Raises InputError."""
    for code in chosen:
        if code in faults:
            continue  # its folder is rejected, and the other corpora are listed
        if code not in corpora:
            raise InputError(f"inventory.corpora names {code!r}; corpora with a reader: {', '.join(sorted(corpora))}")
        if not is_folder(sources / code) and not (sources / code).is_symlink():
            raise InputError(f"inventory.corpora names {code}, but {sources / code} is not a folder")


def _names(sources: Path, corpora: Mapping[str, Corpus]) -> list[str]:
    """Return the names in SOURCES, with folders before links to them."""
    try:
        paths = sorted(sources.iterdir(), key=lambda path: (path.is_symlink(), path.name))
    except (FileNotFoundError, NotADirectoryError):
        raise no_folder(sources, corpora) from None
    except OSError as error:
        raise InputError(f"SOURCES={sources} cannot be read: {error.strerror}. Grant permission to read it") from error
    return [path.name for path in paths]


def _judge(
    sources: Path, name: str, corpora: Mapping[str, Corpus], chosen: Sequence[str], faults: Mapping[str, str]
) -> tuple[str, str]:
    """Return why an entry of SOURCES is passed over, as reason and detail; "" for a corpus's folder."""
    if name.startswith("."):
        return "hidden_file", ""
    if not is_utf8(name):
        return "unreadable", "its name is not UTF-8: rename it"
    try:
        mode = (sources / name).stat().st_mode
    except OSError as error:
        return "unreadable", f"its status cannot be read: {error.strerror}"
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
