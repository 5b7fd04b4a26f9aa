"""Read a withdrawal list: one sample, URL, host, sha256 or perceptual hash per line."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from schemas.corpora import known_codes
from stages.contract import InputError
from stages.plan.hosts import ascii_host
from stages.plan.urls import UrlFault, normalise_url
from stages.plurals import in_lines

Kind = Literal["sample_id", "url", "host", "sha256", "phash"]
KINDS: tuple[Kind, ...] = ("sample_id", "url", "host", "sha256", "phash")

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PHASH = re.compile(r"[0-9a-fA-F]{16}")
_SAID = re.compile(rf"({'|'.join(KINDS)})\s*:\s*(?!//)(.+)")
_SHOWN_FAULTS = 5


def read_entries(path: Path) -> list[tuple[Kind, str]]:
    """Return the entries of a list as (kind, value), each once, in order of the file.

    Empty lines and lines that begin with "#" are skipped. The form of a line decides its kind, unless it is stated, as
    in "host: example.org". URLs are normalised as in plan, hosts are ASCII in lower case, hashes are in lower case.

    Raises:
        InputError: the file cannot be read, has no entry, or has a line of unknown form; then nothing is withdrawn.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"the list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the list {path} is not UTF-8 text: {error}") from error
    found, faults = [], []
    for number, line in _entries(lines):
        try:
            found.append(read_entry(line))
        except ValueError as fault:
            faults.append(f"line {number}: {line[:80]!r}: {fault}")
    if faults:
        raise InputError(
            f"{path}: {len(faults)} of {len(faults) + len(found)} entries have an unknown form, so nothing was"
            f" withdrawn. Expected a sample's name, a URL, a host, 64 hex digits (sha256) or 16 (perceptual hash), one"
            f" per line:\n{in_lines(faults, _SHOWN_FAULTS)}"
        )
    if not found:
        raise InputError(f"{path} has no entry: expected one sample, URL, host or hash per line")
    return list(dict.fromkeys(found))


def read_entry(line: str) -> tuple[Kind, str]:
    """Return the kind and the value of one entry.

    Raises:
        ValueError: the text has no known form, or not that of its stated kind.
    """
    said = _SAID.fullmatch(line)
    kind = said[1] if said else _kind_of(line)
    value = said[2].strip() if said else line
    match kind:
        case "url":
            return "url", _url(value)
        case "host":
            return "host", _host(value, said is not None)
        case "sha256" | "phash":
            if not (_SHA256 if kind == "sha256" else _PHASH).fullmatch(value):
                raise ValueError(f"a {kind} has {64 if kind == 'sha256' else 16} hex digits")
            return ("sha256" if kind == "sha256" else "phash"), value.lower()
    return "sample_id", value


def _entries(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _kind_of(text: str) -> str:
    if "://" in text:
        return "url"
    if _SHA256.fullmatch(text):
        return "sha256"
    if _PHASH.fullmatch(text):
        return "phash"
    if text.split("_")[0] in known_codes() and "_" in text and not re.search(r"\s", text):
        return "sample_id"
    return "host"


def _url(text: str) -> str:
    try:
        return normalise_url(text)
    except UrlFault as fault:
        raise ValueError(str(fault)) from fault


def _host(text: str, is_said: bool) -> str:
    if re.search(r"[^:]:[0-9]+", text) and not text.endswith("]"):
        raise ValueError("a host has no port: it is withdrawn with all its ports")
    if text.isdigit() and int(text) < 2**64:
        raise ValueError(f"a perceptual hash is written in hex digits: {int(text):016x}")
    if (not is_said and "." not in text) or re.search(r"[\s/,;@]", text):
        raise ValueError("neither a sample's name nor a URL, a host or a hash")
    return ascii_host(text.lower().rstrip("."))
