"""The command `gc` with PURGE=yes: destroy fetched bytes that are withdrawn or on a hash list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flows.ask.dataset import OUTLIERS, PAGE
from flows.ask.spine import samples_query
from flows.ask.views import open_views
from flows.ledger.ledger import Ledger
from flows.ledger.purge import Place, count_left, purge_files
from flows.ledger.store import IN_SOURCES
from stages.contract import InputError, Reads
from stages.plurals import briefly, counted
from stages.safety.hash_lists import BODY_HASHES, HASH_LISTED, listed_sql
from stages.withdraw.matching import withdrawn_query

if TYPE_CHECKING:
    import duckdb

_SHOWN = 20
_TARS = ("shard", "pair")


def purge(ledger: Ledger) -> Iterator[str]:
    """Destroy the bodies, file by file; yield a line on each file, and one on files outside the build.

    A fetched body goes if all samples of its URL are withdrawn, or if its hash is; a rendered picture goes with its
    sample. Where pages show pictures, they are removed: `make report` and `make build` write them again.

    Raises:
        InputError: tars may still hold bodies to destroy.
    """
    _refuse_unfinished(ledger)
    with open_views(ledger) as db:
        places, in_sources = _places(db, samples_query(ledger))
    n_bodies = n_files = 0
    for purged in purge_files(ledger.store, places):
        n_bodies, n_files = n_bodies + purged.n_bodies, n_files + 1
        yield f"{purged.address}: {_bodies(purged.n_bodies)} destroyed, {purged.n_bytes / 1e3:,.0f} kB"
    yield (
        f"{_bodies(n_bodies)} destroyed in {counted(n_files, 'file')}"
        if n_bodies
        else "no file holds a body to destroy"
    )
    pages = [path for name in (PAGE, OUTLIERS) if (path := ledger.store.root / name).exists()]
    for path in pages:
        path.unlink()
    if pages:
        removed = " and ".join(path.name for path in pages)
        yield f"{removed} removed, since pages show pictures: `make report` writes them again"
    yours = f"; yours to delete there: {briefly(in_sources, _SHOWN)}" if in_sources else ""
    yield f"files under SOURCES, such as labelled corpora and released tars, are never changed{yours}"


def count_waiting(ledger: Ledger) -> int:
    """Return how many bodies in a finished build `purge` would destroy.

    Some may have been destroyed before: a stage that runs again, as read_labelled does after a change of the hash
    lists, renders its pictures again.
    """
    barred = (Reads("withdrawal", ("entry",), is_whole=True), Reads("listed_hash", ("hash",), is_whole=True))
    if not any(ledger.read(reads).num_rows for reads in barred):
        return 0
    with open_views(ledger) as db:
        return count_left(ledger.store, _places(db, samples_query(ledger))[0])


def _bodies(n: int) -> str:
    return counted(n, "body", "bodies")


def _refuse_unfinished(ledger: Ledger) -> None:
    undone = [stage.name for stage in ledger.stages if not ledger.state(stage).is_complete]
    has_tars = any(any(ledger.store.root.glob(f"{table}/*/*/*.tar")) for table in _TARS)
    if undone and has_tars:
        raise InputError(
            f"{', '.join(undone[:3])} are not finished, so tars may hold what is to be destroyed:"
            " run `make build` first"
        )


def _places(db: duckdb.DuckDBPyConnection, samples: str) -> tuple[dict[str, list[Place]], list[str]]:
    """Return the bodies to destroy by the address of their file, and the paths of those under SOURCES."""
    db.execute(f"CREATE TEMP TABLE gone AS {_GONE.format(samples=samples, withdrawn=withdrawn_query())}")
    db.execute(f"CREATE TEMP TABLE gone_fetch AS {_GONE_FETCH}")
    places: dict[str, list[Place]] = {}
    in_sources: list[str] = []
    for address, offset, n_bytes in db.execute(_BODIES).fetchall():
        if address.startswith(IN_SOURCES):
            in_sources.append(address.removeprefix(IN_SOURCES))
        else:
            places.setdefault(address, []).append((offset, n_bytes))
    in_sources += [path for (path,) in db.execute(_SOURCE_FILES).fetchall()]
    return places, list(dict.fromkeys(in_sources))


# Samples that are withdrawn, and those whose screened picture is listed.
_GONE = f"""
    WITH sample AS (FROM ({{samples}})), withdrawn AS ({{withdrawn}})
    SELECT sample_id, image_id FROM sample SEMI JOIN withdrawn USING (sample_id)
    UNION SELECT sample_id, image_id FROM sample JOIN ({listed_sql("image_id", "image")}) USING (image_id)
"""
# A sample's name alone does not take the picture of another sample of the same URL away.
_GONE_FETCH = f"""
    SELECT fetch_id FROM planned LEFT JOIN (SELECT sample_id, true AS is_gone FROM gone) USING (sample_id)
    GROUP BY fetch_id HAVING bool_and(coalesce(is_gone, false))
    UNION {listed_sql("fetch_id", "fetch_attempt", BODY_HASHES)}
    UNION SELECT fetch_id FROM fetch_attempt
          WHERE body_sha256 IN (SELECT entry FROM withdrawal WHERE entry_kind = 'sha256')
"""
_BODIES = """
    SELECT body_file, body_offset, n_bytes FROM fetch_attempt SEMI JOIN gone_fetch USING (fetch_id)
    WHERE body_file IS NOT NULL
    UNION SELECT body_file, body_offset, n_bytes FROM labelled_image SEMI JOIN gone USING (sample_id)
    UNION SELECT body_file, body_offset, n_bytes FROM labelled_image
          WHERE body_sha256 IN (SELECT entry FROM withdrawal WHERE entry_kind = 'sha256')
    ORDER BY ALL
"""
# Files of labelled samples: of the withdrawn ones, of which a picture may be rendered again, and of the listed ones.
_SOURCE_FILES = f"""
    SELECT DISTINCT path FROM source_file
    WHERE sample_id IN (SELECT sample_id FROM gone UNION
                        SELECT sample_id FROM labelled_image_rejects WHERE reason = '{HASH_LISTED}')
    ORDER BY path
"""
