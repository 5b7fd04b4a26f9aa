"""Find the NLTK packages for place names: those in the environment variable NLTK_DATA, else the project's small ones.

Does not import NLTK (two seconds), because every run needs the tool's identity. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from stages.contract import InputError
from stages.identity import digest_json, package_version

SMALL_PACKAGES = Path(__file__).parents[2] / "manifests" / "nltk_small"
DIGESTS = "SHA256SUMS"

_CHUNKER = "english_ace_multiclass"
# The files that NLTK 3.10 reads from each package.
FILES: Mapping[str, tuple[str, ...]] = {
    "tokenizers/punkt_tab": tuple(
        f"english/{name}" for name in ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")
    ),
    "taggers/averaged_perceptron_tagger_eng": tuple(
        f"averaged_perceptron_tagger_eng.{name}.json" for name in ("classes", "tagdict", "weights")
    ),
    "chunkers/maxent_ne_chunker_tab": tuple(
        f"{_CHUNKER}/{name}" for name in ("alwayson.tab", "labels.txt", "mapping.tab", "weights.txt")
    ),
    "corpora/words": ("en-basic",),
}


@dataclass(frozen=True)
class PlacePackages:
    """The packages and their folders.

    Attributes:
        folders: data folders, in NLTK's search order.
        is_small: whether they are the project's own packages, trained on generated sentences.
    """

    folders: tuple[Path, ...]
    is_small: bool

    def describe(self) -> str:
        """Return one sentence for the user."""
        if self.is_small:
            return (
                "place names by small NLTK packages trained on generated sentences (manifests/nltk_small), a"
                " demonstration; set NLTK_DATA to a folder with NLTK's own packages for real names"
            )
        return f"place names by NLTK's packages in NLTK_DATA (sha256 {_digest(self)[:12]})"


def find_packages() -> PlacePackages:
    """Return the packages of NLTK_DATA if it is set, else the small ones.

    Raises:
        InputError: NLTK_DATA is set but lacks a package, or the small packages differ from the committed ones.
    """
    folders = tuple(Path(part).expanduser() for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part)
    packages = PlacePackages(folders or (SMALL_PACKAGES,), not folders)
    missing = [package for package in FILES if not any(_has(folder, package) for folder in packages.folders)]
    if missing and folders:
        raise InputError(
            f"NLTK_DATA={os.environ['NLTK_DATA']} lacks {', '.join(missing)}: expected NLTK's packages"
            f" {', '.join(name.split('/')[1] for name in FILES)}, as folders or zips. Put the missing ones there,"
            " or unset NLTK_DATA to use the small demonstration packages"
        )
    if packages.is_small:
        _check_small(missing)
    return packages


def packages_identity(packages: PlacePackages) -> dict[str, str]:
    """Return the dependencies of the place names: NLTK's version and the packages' contents."""
    kind = "small" if packages.is_small else "NLTK_DATA"
    return {"nltk": package_version("nltk"), "packages": kind, "sha256": _digest(packages)}


def read_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that a folder's SHA256SUMS names."""
    lines = (folder / DIGESTS).read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def file_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of the packages in a folder; a zip counts as the files in it."""
    return {
        f"{package}/{name}": digest
        for package in FILES
        if _has(folder, package)
        for name, digest in _package_digests(folder, package, _stamp(folder, package))
    }


def _check_small(missing: list[str]) -> None:
    if missing or file_digests(SMALL_PACKAGES) != read_digests(SMALL_PACKAGES):
        raise InputError(
            "manifests/nltk_small differs from its SHA256SUMS: restore it with"
            " `git checkout manifests/nltk_small`, or rebuild it with `python -m flows.demo.models.nltk_small`"
        )


def _digest(packages: PlacePackages) -> str:
    found: dict[str, str] = {}
    for folder in packages.folders:  # the first folder with the file counts, as in NLTK's search
        found = {**file_digests(folder), **found}
    return digest_json(found)


def _has(folder: Path, package: str) -> bool:
    return _stamp(folder, package) != ()


def _stamp(folder: Path, package: str) -> tuple[tuple[str, int, int], ...]:
    """Return path, size and time of a package's files, from the folder or else the zip; empty if it is incomplete."""
    for paths in ([folder / package / name for name in FILES[package]], [folder / f"{package}.zip"]):
        if all(path.is_file() for path in paths):
            return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    return ()


@lru_cache(maxsize=64)
def _package_digests(
    folder: Path, package: str, stamp: tuple[tuple[str, int, int], ...]
) -> tuple[tuple[str, str], ...]:
    if not stamp[0][0].endswith(".zip"):
        contents = [(name, (folder / package / name).read_bytes()) for name in FILES[package]]
    else:
        try:
            with ZipFile(stamp[0][0]) as archive:
                contents = [(name, archive.read(f"{Path(package).name}/{name}")) for name in FILES[package]]
        except (BadZipFile, KeyError) as error:
            raise InputError(
                f"{stamp[0][0]} is not a complete NLTK package ({error}): expected {', '.join(FILES[package])} in it."
                " Replace it, or unset NLTK_DATA to use the small demonstration packages"
            ) from error
    return tuple((name, hashlib.sha256(data).hexdigest()) for name, data in contents)
