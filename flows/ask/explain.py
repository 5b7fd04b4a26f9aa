"""Answer what became of one sample, stage by stage, from the tables and, for a row that never matched, its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flows.ask.picture import BARRED, is_barred
from flows.ask.report import printable
from flows.ask.spine import names_of
from flows.ask.views import open_views, scalar
from flows.ledger.ledger import Ledger
from schemas.fields import FIELD
from stages.contract import InputError, Stage
from stages.safety.hash_lists import HASH_LISTED

if TYPE_CHECKING:
    import duckdb

    from stages.filter.filtering import Search

_LIST_SHOWN = 40  # all keywords of a caption, not all values of a feature
_ROWS_SHOWN = 20  # all drawn captions of an image, not every pair of a picture with thousands of likenesses


def explain(ledger: Ledger, sample_id: str, sources: Path | None) -> list[str]:
    """Return the lines of `explain`: the result of every stage for a sample.

    Raises:
        InputError: no row of any source file has the id.
    """
    with open_views(ledger) as db:
        names = names_of(ledger, db, sample_id)
        if not names:
            return _explain_unmatched(ledger, db, sample_id, sources)
        rows = []
        for stage in ledger.stages:
            found = _rows_of(ledger, stage, db, names.get(stage.writes.key[0]))
            rows += found
            if stage.decides and any(row.verdict == "REJECTED" for row in found):
                break  # its picture and its caption may continue for other samples
        if hidden := next((row for row in rows if row.facts.get("reason") == HASH_LISTED), None):
            # Neither its URL nor its hashes: nothing that leads to it.
            return [f"sample {sample_id}: rejected by {hidden.stage.name}: {HASH_LISTED} ({hidden.facts['detail']})"]
        has_image = any(row.stage.writes.name in ("fetched", "labelled_image") for row in rows if row.verdict == "kept")
        picture = [_where_picture_is(ledger, db, sample_id)] if has_image else []
        return [f"sample {sample_id}: {_verdict(ledger, rows)}", *picture, *_texts(rows)]


def _where_picture_is(ledger: Ledger, db: duckdb.DuckDBPyConnection, sample_id: str) -> str:
    if is_barred(ledger, db, sample_id):
        return f"its picture is not shown: the sample {BARRED}"
    return f"its picture: `make show ID={sample_id}` writes it to a file"


def _texts(rows: Sequence[_StageRow]) -> Iterator[str]:
    """Yield the texts of rows; of one stage and verdict at most `_ROWS_SHOWN`, then how many more there are."""
    for (stage, verdict), group in groupby(rows, key=lambda row: (row.stage.name, row.verdict)):
        texts = [row.text() for row in group]
        yield from texts[:_ROWS_SHOWN]
        if len(texts) > _ROWS_SHOWN:
            yield f"{stage}: {verdict}: {len(texts) - _ROWS_SHOWN} more rows"


@dataclass(frozen=True)
class _StageRow:
    """A stage's row on a sample: kept, REJECTED, an attempt, or not run."""

    stage: Stage
    verdict: str
    facts: Mapping[str, str]

    def text(self) -> str:
        facts = "".join(f"\n    {name} = {value}" for name, value in self.facts.items() if name != "sample_id")
        return f"{self.stage.name}: {self.verdict}{facts}"


def _verdict(ledger: Ledger, rows: Sequence[_StageRow]) -> str:
    """Return the fate of a sample in a few words."""
    for row in rows:
        if row.verdict == "REJECTED" and row.stage.decides:
            detail = row.facts.get("detail", "")
            return f"rejected by {row.stage.name}: {row.facts['reason']}" + (f" ({detail})" if detail else "")
    for row in rows:
        if row.stage.writes.name == "shard" and row.verdict == "kept":
            return f"published in {row.facts['shard']}.tar"
    undone = next((stage for stage in ledger.stages if not ledger.state(stage).is_complete), None)
    return "kept so far" + (f"; next: `make stage-{undone.module}`" if undone is not None else "")


def _rows_of(ledger: Ledger, stage: Stage, db: duckdb.DuckDBPyConnection, values: list[str] | None) -> list[_StageRow]:
    """Return the rows of a stage whose key has one of some values; none if a sample has no such key."""
    name = stage.writes.name
    if values is None or stage.keeps != "current":
        return []
    if reason := ledger.why_off(stage):
        return [_StageRow(stage, f"off: {reason}", {})]
    found_rows = []
    for section, verdict in ((name, "kept"), (f"{name}_rejects", "REJECTED")):
        key = ", ".join(f't."{name}"' for name in stage.writes.key)
        first = f't."{stage.writes.key[0]}"'
        found = db.execute(
            f'SELECT t.* FROM "{section}" t WHERE {first} IN (SELECT unnest(?::VARCHAR[])) ORDER BY {key}', [values]
        )
        names = [column[0] for column in found.description or ()]
        for row in found.fetchall():
            facts = {n: _shown(_in_hex(n, v)) for n, v in zip(names, row, strict=True) if v is not None}
            found_rows.append(_StageRow(stage, "attempt" if stage.is_accumulating else verdict, facts))
    blocked = "" if found_rows else ledger.state(stage).blocked
    return [_StageRow(stage, f"not run: {blocked}", {})] if blocked else found_rows


def _explain_unmatched(
    ledger: Ledger, db: duckdb.DuckDBPyConnection, sample_id: str, sources: Path | None
) -> list[str]:
    from schemas.corpora import LIST_CODE
    from schemas.manifests import load_keywords
    from stages.filter.again import corpus_of, files_of, read_again
    from stages.filter.stage import search_of
    from stages.readers.corpora import load_corpora
    from stages.readers.readers import reader_of

    rejected = db.execute("SELECT reason, detail FROM candidate_rejects WHERE sample_id = ?", [sample_id]).fetchone()
    if rejected:
        verdict = f"sample {sample_id}: rejected by filter: {rejected[0]} ({rejected[1]})"
        return [verdict, f"filter: REJECTED\n    reason = {rejected[0]}\n    detail = {rejected[1]}"]
    corpora = load_corpora()
    wanted = [sample_id.partition("_")[0], LIST_CODE]
    listed = db.execute("SELECT path, part FROM source_listing WHERE corpus IN ?", [wanted]).fetchall()
    files, corpus = files_of(sample_id, listed, corpora), corpus_of(sample_id, listed, corpora)
    if not files or corpus is None:
        image = "SELECT min(sample_id) FROM labelled_image WHERE corpus = ?"
        if labelled := (db.execute(image, wanted[:1]).fetchone() or (None,))[0]:
            raise InputError(
                f"no sample {sample_id!r}: expected the name of an image of {wanted[0]}, such as {labelled}"
            )
        near = scalar(db, "SELECT min(sample_id) FROM candidate")
        raise InputError(f"no sample {sample_id!r}: expected <corpus>_<part>_<row> of a listed file, such as {near}")
    if sources is None:
        raise InputError(f"{sample_id} is not a candidate; set SOURCES=… to read its row again from {', '.join(files)}")
    params = ledger.settings.params(ledger.writer["candidate"])
    search = search_of(params, load_keywords())  # type: ignore[arg-type]
    row = read_again(sample_id, files, sources, corpus, search.choices)
    if row is None:
        raise InputError(
            f"no sample {sample_id!r}: {', '.join(files)} {'has' if len(files) == 1 else 'have'} no such row"
        )
    reason = row.pop("reason", None) or filter_reason(
        row, search, _share(db, corpus.code), reader_of(corpus).is_sample_list
    )
    facts = [f"{name} = {value!r}" for name, value in row.items() if value is not None]
    head = f"filter: REJECTED (read again from {', '.join(files)})\n    reason = {reason}"
    return [f"sample {sample_id}: rejected by filter: {reason}", head + "".join(f"\n    {fact}" for fact in facts)]


def filter_reason(row: Mapping[str, Any], search: Search, pilot_share: float, is_listed: bool = False) -> str:
    """Return why the filter did not keep a readable source row.

    Args:
        row: the row in our columns.
        search: the keywords of the run.
        pilot_share: share of the rows in the pilot.
        is_listed: whether the row is from a list of samples, and needs no keyword.
    """
    from stages.filter.keywords import match_any
    from stages.slices import belongs

    text = next((text for name in ("searched_text", "source_caption") if (text := row.get(name)) is not None), "")
    if not text.strip():
        return "no_caption"
    if not is_listed and not match_any(pa.array([text], pa.string()), search.patterns)[0].as_py():
        return "no_keyword"
    if not belongs(row.get("url") or "", pilot_share):
        return "outside_pilot"
    return "none: the filter would keep this row; run `make stage-filter`"


def _share(db: duckdb.DuckDBPyConnection, code: str) -> float:
    return float(scalar(db, f"SELECT min(pilot_share) FROM source_listing WHERE corpus = '{code}'"))


def _in_hex(name: str, value: Any) -> object:
    """Return perceptual hashes as `make withdraw` reads them, and any other value unchanged."""
    if FIELD[name].type == pa.uint64():
        return f"{value:016x}"
    return [f"{each:016x}" for each in value] if FIELD[name].type == pa.list_(pa.uint64()) else value


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) > _LIST_SHOWN:
        value = f"{value[:3]} and {len(value) - 3} more"
    return printable(str(value)).replace("\n", "\\n")
