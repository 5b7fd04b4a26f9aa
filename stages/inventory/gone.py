"""Keep files listed that are no longer under SOURCES, because their rows are in the build.

SOURCES is not read here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from schemas.tables import SOURCE_LISTING
from stages.inventory.labelled_listing import role_of
from stages.readers.labelled_records import list_name
from stages.readers.readers import labelled_reader, reader_of
from stages.slices import belongs


def gone(
    before: pa.Table,
    seen: pa.Table,
    corpora: Mapping[str, Corpus],
    chosen: Sequence[str],
    pilot_share: float = 1.0,
) -> pa.Table:
    """Return the rows of files that were listed before and are missing now, except those replaced by another.

    A web corpus's file is replaced by one with the same part number, and a companion by another companion; a labelled
    corpus's file by one with the same role and sample. Files of scenes outside the pilot do not count as missing.

    Args:
        before: the last listing.
        seen: the new listing.
        corpora: corpora by code.
        chosen: codes of the corpora to list; empty for all.
        pilot_share: share of the scenes in the pilot.
    """
    # Both are in one order: mostly nothing has changed, and no hash of millions of paths is needed.
    if not before.num_rows or before["path"].equals(seen["path"]):
        return SOURCE_LISTING.schema.empty_table()
    rows = before.cast(SOURCE_LISTING.schema)
    rows = rows.filter(pc.invert(pc.is_in(before["path"], seen["path"].combine_chunks())))
    if chosen:
        rows = rows.filter(pc.is_in(rows["corpus"], pa.array(chosen)))
    rows = _in_slice(rows, corpora, pilot_share)
    web = ["corpus", "path", "part", "sample_id"]
    taken = {_file_role(row, corpora) for row in seen.filter(pc.is_null(seen["sample_id"])).select(web).to_pylist()}
    is_left = [row["sample_id"] or _file_role(row, corpora) not in taken for row in rows.select(web).to_pylist()]
    rows = rows.filter(pa.array(map(bool, is_left), pa.bool_()))
    others = seen.filter(pc.is_in(seen["sample_id"], pc.unique(rows["sample_id"]), skip_nulls=True))
    roles = {_sample_role(row, corpora) for row in others.select(["corpus", "path", "sample_id"]).to_pylist()}
    listed = rows.select(["corpus", "path", "sample_id"]).to_pylist()
    return rows.filter(
        pa.array(
            [
                row["sample_id"] is None or row["corpus"] not in corpora or _sample_role(row, corpora) not in roles
                for row in listed  # if the corpus's manifest is invalid, all its files are kept: nothing new is listed
            ],
            pa.bool_(),
        )
    )


def _in_slice(rows: pa.Table, corpora: Mapping[str, Corpus], pilot_share: float) -> pa.Table:
    """Return the rows without those of scenes outside the pilot; labelled ones get the new share."""
    samples = rows["sample_id"].to_pylist()
    scene_of = {code: labelled_reader(found).scene_of for code, found in corpora.items() if found.half == "rs3"}
    is_inside = [
        sample is None or code not in scene_of or belongs(scene_of[code](sample), pilot_share)
        for sample, code in zip(samples, rows["corpus"].to_pylist(), strict=True)
    ]
    shares = [
        share if sample is None else pilot_share
        for sample, share in zip(samples, rows["pilot_share"].to_pylist(), strict=True)
    ]
    index = rows.schema.get_field_index("pilot_share")
    rows = rows.set_column(index, rows.schema.field(index), pa.array(shares, pa.float64()))
    return rows.filter(pa.array(is_inside, pa.bool_()))


def _file_role(row: Mapping[str, Any], corpora: Mapping[str, Corpus]) -> tuple[str, int | str, bool]:
    """Return the role of a file without a sample: its part number, a companion of that part, or a list of names."""
    corpus = corpora.get(row["corpus"])
    below = row["path"].partition("/")[2]
    if corpus is None:
        return row["corpus"], row["part"], False
    if corpus.half == "rs3":
        return row["corpus"], list_name(below), True
    return row["corpus"], below if reader_of(corpus).has_files_by_name else row["part"], corpus.is_companion(below)


def _sample_role(row: Mapping[str, str], corpora: Mapping[str, Corpus]) -> tuple[str, str]:
    return row["sample_id"], role_of(row["path"], corpora[row["corpus"]])
