"""The answers of raters, one appended JSON line per judgement, so that a killed server loses nothing.

A later line of the same rater on the same item replaces an earlier one when the file is read.
"""

from __future__ import annotations

import fcntl
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stages.contract import InputError

FOLDER = "ratings"  # under the build folder
_MAX_NAME = 40


@dataclass(frozen=True)
class Judgement:
    """One rater's answers to one item.

    Attributes:
        item: the item's name, unique in its task.
        rater: the rater's name.
        answers: the answer's value, by question.
        sample_id: the sample whose picture or text was shown.
        other_id: the sample, or evaluation picture, that was shown beside it.
        stratum, decision: those of the item when it was judged.
        facts: the scores or distances behind the decision, for calibration.
        at: time of the answer, ISO 8601 in UTC.
    """

    item: str
    rater: str
    answers: Mapping[str, str]
    sample_id: str
    other_id: str | None = None
    stratum: str = ""
    decision: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""


def label_file(build: Path, task: str) -> Path:
    """Return the path of a task's labels in a build folder."""
    return build / FOLDER / f"{task}.jsonl"


def checked_rater(name: str) -> str:
    """Return a rater's name, normalised.

    Raises:
        InputError: it is empty, over 40 characters, or has characters that cannot be printed.
    """
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise InputError(f"a rater's name has 1 to {_MAX_NAME} printable characters, found {name!r}")
    return name


def append(path: Path, judgement: Judgement) -> None:
    """Append a judgement and flush it to the disk. Several processes may append at once."""
    line = asdict(judgement) | {"at": judgement.at or datetime.now(UTC).isoformat(timespec="seconds")}
    data = json.dumps(line, ensure_ascii=True).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size and _last_byte(file.fileno(), size) != b"\n":
            data = b"\n" + data  # the last line was cut by a crash: the new one must not join it
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _last_byte(descriptor: int, size: int) -> bytes:
    return os.pread(descriptor, 1, size - 1)


def read(path: Path) -> tuple[dict[tuple[str, str], Judgement], int]:
    """Return the last judgement of each (rater, item), and the number of unreadable lines."""
    found: dict[tuple[str, str], Judgement] = {}
    n_unreadable = 0
    for judgement in _lines(path):
        if judgement is None:
            n_unreadable += 1
        else:
            found[judgement.rater, judgement.item] = judgement
    return found, n_unreadable


def _lines(path: Path) -> Iterator[Judgement | None]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield _parsed(line)


def _parsed(line: bytes) -> Judgement | None:
    try:
        judgement = Judgement(**json.loads(line))
    except (ValueError, TypeError):  # cut by a crash, or edited
        return None
    answers = judgement.answers
    is_whole = isinstance(answers, dict) and all(isinstance(a, str) for a in (*answers, *answers.values()))
    return judgement if is_whole and isinstance(judgement.item, str) and isinstance(judgement.rater, str) else None
