"""The manifests of the published corpora: rights, files, and how to read them.

Not for reading them: that is `stages/readers`.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from schemas.corpus import Corpus
from schemas.manifest_files import MANIFESTS, ManifestError, read_toml, shown
from schemas.manifest_files import load_manifest as _load

CORPORA = MANIFESTS / "corpora"
# All corpora of RS5M, those without a manifest yet included; others may be read too, by their manifest alone.
CORPUS_CODES = (
    "laion2b", "laion400m", "laioncoco", "coyo700m", "wit", "yfcc15m", "cc12m", "cc3m", "redcaps", "sbu", "vg",
    "fmow", "ben", "millionaid",
)  # fmt: skip
LABELLED_CODES = ("fmow", "ben", "millionaid")  # RS3; the others of RS5M are PUB11
LIST_CODE = "rs5m"  # RS5M's own lists of samples, and its released tars of PUB11: no corpus, but read like one
RELEASED_CODE = "rs5mrs3"  # RS5M's released tars of RS3, likewise


Check = Callable[[Corpus], str]  # why a manifest cannot be used, or ""


def no_check(corpus: Corpus) -> str:
    """Return no fault."""
    return ""


def load_corpora(folder: Path | None = None, check: Check = no_check) -> dict[str, Corpus]:
    """Return the corpora whose manifest has no fault, by code, in the order of their codes.

    Args:
        folder: of the manifests; by default the repository's.
        check: returns a further fault of a manifest, or "".

    Raises:
        ManifestError: the folder has no manifest.
    """
    return {code: found for code, found in _load_all(folder or CORPORA, check) if isinstance(found, Corpus)}


def load_corpus(code: str, folder: Path | None = None, check: Check = no_check) -> Corpus:
    """Return one corpus. Raises ManifestError where its manifest is missing or has a fault."""
    return _load_one((folder or CORPORA) / f"{code}.toml", check)


def manifest_faults(folder: Path | None = None, check: Check = no_check) -> dict[str, str]:
    """Return the invalid manifests by code, each with its file, key and fault; empty if all are valid."""
    return {code: str(found) for code, found in _load_all(folder or CORPORA, check) if isinstance(found, ManifestError)}


def labelled_codes(folder: Path | None = None) -> tuple[str, ...]:
    """Return the codes of RS3's corpora, followed by those of other labelled corpora with a manifest.

    A manifest with a fault counts too, where its half can be read: its corpus does not change halves by it.
    """
    return _labelled_codes(folder or CORPORA)


@lru_cache
def _labelled_codes(folder: Path) -> tuple[str, ...]:
    found = [path.stem for path in sorted(folder.glob("*.toml")) if _half_in(path) == "rs3"]
    return (*LABELLED_CODES, *(code for code in found if code not in LABELLED_CODES))


def _half_in(path: Path) -> object:
    try:
        return read_toml(path).get("half")
    except (OSError, ValueError, RecursionError):  # load_corpora names the fault
        return None


def known_codes() -> tuple[str, ...]:
    """Return the codes of RS5M's corpora, in its order, followed by those of other corpora with a manifest."""
    return (*CORPUS_CODES, *(code for code in load_corpora() if code not in CORPUS_CODES))


def _load_all(folder: Path, check: Check) -> Iterator[tuple[str, Corpus | ManifestError]]:
    paths = sorted(path for path in folder.glob("*.toml") if not path.name.startswith("."))  # an editor's drafts
    if not paths:
        raise ManifestError(f"{shown(folder)}: expected one <code>.toml per corpus, found none")
    for path in paths:
        try:
            yield path.stem, _load_one(path, check)
        except ManifestError as error:
            yield path.stem, error


def _load_one(path: Path, check: Check) -> Corpus:
    corpus = _load(path, Corpus, {"code": path.stem})
    if corpus.code != path.stem:
        raise ManifestError(f"{shown(path)}: key code: expected {path.stem!r}, the file's name, found {corpus.code!r}")
    if fault := check(corpus):
        raise ManifestError(f"{shown(path)}: {fault}")
    return corpus
