"""Draw the items of a task: a seeded sample of each stratum, in mixed order.

The sample depends only on the build, the seed and N. A larger N keeps the items of a smaller one unless their stratum
gets fewer places, and labels belong to items, so judged items are not shown again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.ask.picture import LOCATED, bar_pictures
from flows.ask.spine import samples_query
from flows.ask.views import open_views
from flows.detector.used import add_used_samples
from flows.ledger.ledger import Ledger
from flows.rate.strata import has_pictures, item_query, text_query
from stages.contract import InputError

if TYPE_CHECKING:
    import duckdb

NOTHING = {
    "audit_contamination": "no sample is marked as being in an evaluation set, so there is nothing to audit:"
    " name sets with `make stage-contamination EVAL=…`",
    "audit_dedup": "this build has no two samples to compare",
}


@dataclass(frozen=True)
class Location:
    """Location and format of a picture's bytes; pictures of evaluation sets are outside the build."""

    file: str
    offset: int
    n_bytes: int
    image_format: str
    is_outside: bool = False


@dataclass(frozen=True)
class Item:
    """One item to judge; see `Judgement` for the fields. A picture is None if it was never accepted."""

    item: str
    stratum: str
    decision: str
    sample_id: str
    other_id: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    pictures: tuple[Location | None, ...] = ()


@dataclass(frozen=True)
class Stratum:
    """A stratum: its decision, its number of members in the build, and its drawn items."""

    name: str
    decision: str
    size: int
    n_drawn: int


@dataclass(frozen=True)
class Drawn:
    """A sample: its strata, its items in the order in which they are shown, and how many samples were left out.

    Those left out are the training images of the detector that an audit judges.
    """

    strata: tuple[Stratum, ...]
    items: tuple[Item, ...]
    n_used: int = 0


def allocate(sizes: Mapping[str, int], n: int, is_even: bool) -> dict[str, int]:
    """Return how many items to draw from each stratum: at least one, and at most its size.

    Args:
        sizes: members of each stratum, at least 1.
        n: total number of items; fewer if the strata have fewer, more if there are more strata.
        is_even: whether half of the items are distributed evenly, for small strata; else all in proportion.
    """
    places = dict.fromkeys(sizes, 1)
    total = sum(sizes.values())
    n = min(max(n, len(sizes)), total)
    shares = {
        name: (n / 2 / len(sizes) + n / 2 * size / total) if is_even else n * size / total
        for name, size in sizes.items()
    }
    while sum(places.values()) < n:
        open_strata = [name for name in sizes if places[name] < sizes[name]]
        # The stratum furthest below its share; by name on a tie.
        neediest = max(sorted(open_strata), key=lambda name: shares[name] / places[name])
        places[neediest] += 1
    return places


def draw(ledger: Ledger, name: str, n: int, seed: str, is_even: bool) -> Drawn:
    """Return the sample of a task.

    Args:
        ledger: the build.
        name: name of the task; for ratings followed by the half.
        n: number of items to draw.
        seed: another seed draws other items.
        is_even: as in `allocate`.

    Raises:
        InputError: the build has no item of the task.
    """
    with open_views(ledger) as db:
        query = item_query(ledger, db, name, seed)
        # Each item has a weight, 1 unless it represents several members.
        weighted = f"({query}) UNION ALL BY NAME SELECT NULL::DOUBLE AS weight WHERE false"
        bar_pictures(ledger, db, f"({samples_query(ledger)})")
        n_used = add_used_samples(ledger, db) if name == "audit_outliers" else 0
        without_used = "AND sample_id NOT IN (FROM used)" if n_used else ""
        # Items whose picture must not be shown, and training images of the detector, are in no stratum.
        db.execute(f"""CREATE TEMP TABLE item AS FROM ({weighted})
                       WHERE sample_id NOT IN (FROM barred) AND coalesce(other_id, '') NOT IN (FROM barred)
                       {without_used}""")
        found = db.execute(
            "SELECT stratum, decision, round(sum(coalesce(weight, 1)))::BIGINT, count(*) FROM item"
            " GROUP BY ALL ORDER BY 1"
        ).fetchall()
        if not found:
            raise InputError(NOTHING.get(name, f"this build has no sample to judge in {name.replace('_', ' of ')}"))
        places = allocate({stratum: n_items for stratum, _, _, n_items in found}, n, is_even)
        rows = _drawn_rows(db, places, seed)
        texts = _texts(db, name, [row["item"] for row in rows])
        shown = [[row["sample_id"], *([row["other_id"]] if row["other_id"] else [])] for row in rows]
        located = _locations(ledger, db, sorted({s for ids in shown for s in ids})) if has_pictures(name) else {}
        if name == "audit_contamination":
            located |= _evaluation_locations(db)
    items = [
        Item(
            **{key: row[key] for key in ("item", "stratum", "decision", "sample_id", "other_id")},
            facts=json.loads(row["facts"]),
            text=texts.get(row["item"]),
            pictures=tuple(located.get(sample) for sample in ids) if has_pictures(name) else (),
        )
        for row, ids in zip(rows, shown, strict=True)
    ]
    items.sort(key=lambda item: hashlib.sha256(f"{seed}:order:{item.item}".encode()).digest())
    strata = tuple(Stratum(stratum, decision, size, places[stratum]) for stratum, decision, size, _ in found)
    return Drawn(strata, tuple(items), n_used)


def _drawn_rows(db: duckdb.DuckDBPyConnection, places: Mapping[str, int], seed: str) -> Sequence[Mapping[str, Any]]:
    """Return the members of each stratum with the smallest seeded digests."""
    columns = ("item", "stratum", "decision", "sample_id", "other_id", "facts")
    rows: list[dict[str, Any]] = []
    for stratum, n in places.items():
        found = db.execute(
            f"SELECT {', '.join(columns)} FROM item WHERE stratum = ? ORDER BY sha256(? || ':' || item), item LIMIT ?",
            [stratum, seed, n],
        )
        rows += [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    return rows


def _texts(db: duckdb.DuckDBPyConnection, name: str, items: list[str]) -> dict[str, str]:
    query = text_query(name)
    if query is None:
        return {}
    found = db.execute(f"SELECT item, text FROM ({query}) WHERE item IN (SELECT unnest(?::VARCHAR[]))", [items])
    return dict(found.fetchall())


def _evaluation_locations(db: duckdb.DuckDBPyConnection) -> dict[str, Location]:
    """Return the locations of evaluation pictures; pictures given only by hashes have none."""
    found = db.execute(
        "SELECT DISTINCT i.evaluation_set || '/' || i.evaluation_path, i.evaluation_file, f.size_bytes, i.image_format"
        " FROM evaluation_image i JOIN evaluation_file f USING (evaluation_set, evaluation_path)"
        " SEMI JOIN contaminated USING (evaluation_set, evaluation_path)"
        " WHERE NOT ends_with(i.evaluation_file, '.parquet')"
    )
    return {name: Location(file, 0, size, kind, True) for name, file, size, kind in found.fetchall()}


def _locations(ledger: Ledger, db: duckdb.DuckDBPyConnection, sample_ids: list[str]) -> dict[str, Location]:
    """Return the location of each sample's accepted picture."""
    found = db.execute(
        f"""
        SELECT sample_id, body_file, body_offset, n_bytes, image_format
        FROM ({LOCATED.format(samples=f"({samples_query(ledger)})")})
        WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))
        """,
        [sample_ids],
    )
    return {sample: Location(*place) for sample, *place in found.fetchall() if place[0] is not None}
