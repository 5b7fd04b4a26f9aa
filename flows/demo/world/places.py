"""Assigns the generated world's rows to source files in a seeded order, and gives them sample ids."""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise

from flows.demo.world.corpora import PARTS, REDCAPS, VG, WEB, WIT, YFCC
from flows.demo.world.rows import Row

_ENDS = {1: (0, 1), 2: (0, 0.6, 1), 3: (0, 0.5, 0.85, 1)}  # shares of rows at which files end: uneven
_ENDS_REDCAPS = (0, 0, 0.45, 0.75, 1)  # the first file is empty
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def place(planned: Sequence[Row], seed: int) -> dict[tuple[str, int], list[Row]]:
    """Distribute the rows over the source files in a seeded order and set their sample ids.

    Returns:
        the rows of each file, in file order, by corpus and part number.
    """
    rng = random.Random(f"order {seed}")
    placed: dict[tuple[str, int], list[Row]] = {}
    for corpus in WEB:
        rows = [row for row in planned if row.corpus == corpus]
        rng.shuffle(rows)
        again = [row for row in rows if row.reason == "listed_again"]
        rows = [row for row in rows if row.reason != "listed_again"]
        if corpus == WIT:
            rows = _kept_apart(rows, rng)
        parts = PARTS[corpus]
        shares = _ENDS_REDCAPS if corpus == REDCAPS else _ENDS[len(parts)]
        ends = [round(len(rows) * share) for share in shares]
        files = [rows[start:end] for start, end in pairwise(ends)]
        if corpus in (YFCC, REDCAPS, VG):
            _name_natively(corpus, rows, rng)
            _list_again(corpus, files, again, rng)
        placed |= {(corpus, part): file for part, file in zip(parts, files, strict=True)}
        for part, number, row in _numbered(corpus, parts, files):
            row.sample_id = row.sample_id or f"{corpus}_{part}_{number}"
    return placed


def _kept_apart(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """Return the rows without adjacent wrong_field_count rows: a reader may not see where the second begins."""
    wrong = [row for row in rows if row.reason == "wrong_field_count"]
    apart = [row for row in rows if row.reason != "wrong_field_count"]
    places = sorted(rng.sample(range(len(apart)), len(wrong)), reverse=True)
    for place_before, row in zip(places, wrong, strict=True):
        apart.insert(place_before, row)
    return apart


def _name_natively(corpus: str, rows: Sequence[Row], rng: random.Random) -> None:
    """Set sample ids from ids like the corpus's own; rows without an id are skipped."""
    ids: Sequence[object]
    if corpus == YFCC:
        ids = rng.sample(range(10**6, 7 * 10**9), len(rows))
    elif corpus == VG:  # ascending with gaps, as published
        ids = sorted(rng.sample(range(1, 2_417_998), len(rows)))
    else:
        ids = [_base_36(n) for n in rng.sample(range(36**4, 36**6 // 2), len(rows))]
    for row, native_id in zip(rows, ids, strict=True):
        if row.reason != "bad_record":
            row.sample_id = f"{corpus}_{native_id}"


def _base_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _list_again(corpus: str, files: Sequence[list[Row]], again: Sequence[Row], rng: random.Random) -> None:
    """Insert rows that repeat another row's id after it, in a later file if there is one."""
    with_rows = [file for file in files if file]
    first, last = with_rows[0], with_rows[-1]
    originals = rng.sample([row for row in first if row.reason != "bad_record"], len(again))
    for row, original in zip(again, originals, strict=True):
        row.sample_id = original.sample_id
        start = 1 + next(n for n, one in enumerate(last) if one is original) if last is first else 0
        last.insert(rng.randint(start, len(last)), row)


def _numbered(corpus: str, parts: Sequence[int], files: Sequence[Sequence[Row]]) -> Iterator[tuple[int, int, Row]]:
    """Yield part, position and row; RedCaps counts its rows across its files, as part 0."""
    if corpus == REDCAPS:
        yield from ((0, n, row) for n, row in enumerate(row for file in files for row in file))
        return
    for part, file in zip(parts, files, strict=True):
        yield from ((part, n, row) for n, row in enumerate(file))
