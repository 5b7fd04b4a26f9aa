"""Which files stay listed though they are not under SOURCES any more: those whose rows are in the build.

Not for looking at SOURCES.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpora import Corpus
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
    """Return the rows of files that were listed before and are not there now, but for those another has replaced.

    A web corpus's file is replaced by one of the same part, and a companion by another; a labelled one's by one of the
    same role and sample. A file of a scene that is outside of the slice is not gone.

    Args:
        before: the listing of the last look.
        seen: the listing of this one.
        corpora: by code.
        chosen: codes of the corpora that take part; none for all.
        pilot_share: share of the scenes that is taken.
    """
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
                for row in listed  # of a corpus whose manifest has a fault, all are kept: nothing new is listed
            ],
            pa.bool_(),
        )
    )


def _in_slice(rows: pa.Table, corpora: Mapping[str, Corpus], pilot_share: float) -> pa.Table:
    """Return the rows without those of scenes outside of the slice; labelled ones bear the share of this look."""
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
    """Return what a file without a sample is to its corpus: a part of it, a companion of a part, or a list of names."""
    corpus = corpora.get(row["corpus"])
    below = row["path"].partition("/")[2]
    if corpus is None:
        return row["corpus"], row["part"], False
    if corpus.half == "rs3":
        return row["corpus"], list_name(below), True
    return row["corpus"], below if reader_of(corpus).has_files_by_name else row["part"], corpus.is_companion(below)


def _sample_role(row: Mapping[str, str], corpora: Mapping[str, Corpus]) -> tuple[str, str]:
    return row["sample_id"], role_of(row["path"], corpora[row["corpus"]])
