"""Metafile, a stage of shard: one row per sample of a tar, with name, text and origin."""

from collections.abc import Mapping

import pyarrow as pa

from schemas.corpora import load_corpora
from schemas.tables import METAFILE, ORIGIN
from stages.contract import Context, Dependency, Given, Inputs, Outcome, Params, Reads, Stage, no_rejects
from stages.identity import digest_json
from stages.rows import run_sql


def write_metafile(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per sample of a tar, in the order of the tar: name, text, origin, rights, scores, digests."""
    schema = pa.schema([("corpus", pa.string()), ("image_rights", pa.string())])
    rows = run_sql(_ROWS, {**inputs, "rights": pa.Table.from_pylist(_rights(), schema)})
    return Outcome(rows.select(METAFILE.schema.names).cast(METAFILE.schema), no_rejects(METAFILE))


_ROWS = """
    FROM shard JOIN shard_plan USING (sample_id) JOIN origin USING (sample_id) LEFT JOIN rights USING (corpus)
    ORDER BY sample_id
"""
_OF_SHARD = ("sample_id", "shard", "published_sha256", "published_n_bytes", "published_format")
_OF_PLAN = ("sample_id", "img_name", "published_text", "caption_sources", "split", "body_sha256")


def _rights() -> list[dict[str, str]]:
    """Return the rights in images that each corpus's manifest states, as plain rows: making a table imports pandas."""
    return [{"corpus": code, "image_rights": corpus.image_rights} for code, corpus in load_corpora().items()]


def _digests_of_rights(params: Params) -> Mapping[str, str]:
    return {row["corpus"]: digest_json(row) for row in _rights()}


WRITE_METAFILE = Stage(
    name="write_metafile",
    module="shard",
    version=5,
    does="Writes the origin, rights, position, time, scores and group of each sample of a tar.",
    reads=(
        Reads("shard", _OF_SHARD),
        Reads("shard_plan", _OF_PLAN),
        Reads("origin", tuple(name for name in ORIGIN.schema.names if name != "shard")),
    ),
    writes=METAFILE,
    grain="map",
    given=Given("shard", ("sample_id",)),
    run=write_metafile,
    depends=(Dependency("image_rights", _digests_of_rights, is_by_corpus=True),),
    partitions_from=("shard",),
)
