"""Toy stages at the end of the pipeline, with key columns that no other table has as key."""

from dataclasses import replace

import pyarrow.compute as pc

from schemas.tables import Table
from stages import STAGES as REAL
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects, rejects_table
from stages.rows import run_sql

TILE = Table("toy_tile", ("sample_id",), ("cluster_id",), "The tile of a sample.", leads_to=("cluster_id",))
TAG = Table("toy_tag", ("cluster_id",), ("n_rows",), "A tile that was looked at.")
LINK = Table(
    "toy_link", ("survivor_id",), ("first_sha256", "second_sha256"), "Two tiles side by side.",
    found_by=(("first_sha256", "cluster_id"), ("second_sha256", "cluster_id")),
)  # fmt: skip
SEAM = Table("toy_seam", ("survivor_id",), (), "A link that was looked at.")
_TILES = "SELECT sample_id, 'tile ' || corpus AS cluster_id FROM sample ORDER BY sample_id"


def cut_tiles(inputs: Inputs, context: Context) -> Outcome:
    """Return the tile of each sample; each corpus is one tile."""
    return Outcome(run_sql(_TILES, inputs).cast(TILE.schema), no_rejects(TILE))


def tag_tiles(inputs: Inputs, context: Context) -> Outcome:
    """Return the tiles with their number of samples; reject the tile of cc3m."""
    tiles = run_sql("SELECT cluster_id, count(*) AS n_rows FROM toy_tile GROUP BY ALL ORDER BY ALL", inputs)
    is_odd = pc.equal(tiles["cluster_id"], "tile cc3m")
    odd = tiles.filter(is_odd)
    rejects = rejects_table(TAG, {"cluster_id": odd["cluster_id"]}, ["no_score"] * odd.num_rows, ["x"] * odd.num_rows)
    return Outcome(tiles.filter(pc.invert(is_odd)).cast(TAG.schema), rejects)


_LINKS = """
    SELECT a.cluster_id || ' + ' || b.cluster_id AS survivor_id, a.cluster_id AS first_sha256,
           b.cluster_id AS second_sha256
    FROM tile a JOIN tile b ON a.cluster_id < b.cluster_id ORDER BY ALL
"""


def link_tiles(inputs: Inputs, context: Context) -> Outcome:
    """Return each two tiles."""
    tile = run_sql("SELECT DISTINCT cluster_id FROM toy_tile", inputs)
    return Outcome(run_sql(_LINKS, {"tile": tile}).cast(LINK.schema), no_rejects(LINK))


def look_at_seams(inputs: Inputs, context: Context) -> Outcome:
    """Reject the links of the tile of fmow."""
    links = inputs["toy_link"]
    is_odd = pc.match_substring(links["survivor_id"], "fmow")
    odd = links.filter(is_odd)
    rejects = rejects_table(
        SEAM, {"survivor_id": odd["survivor_id"]}, ["no_score"] * odd.num_rows, ["y"] * odd.num_rows
    )
    return Outcome(links.filter(pc.invert(is_odd)).select(["survivor_id"]).cast(SEAM.schema), rejects)


CUT_TILES = Stage(
    name="cut_tiles", module="toy", version=1, does="Cuts.",
    reads=(Reads("sample", ("sample_id", "corpus"), is_whole=True),), writes=TILE, grain="map",
    given=Given("sample", ("sample_id",)), run=cut_tiles,
)  # fmt: skip
TAG_TILES = Stage(
    name="tag_tiles", module="toy", version=1, does="Tags.",
    reads=(Reads("toy_tile", ("sample_id", "cluster_id"), is_whole=True),), writes=TAG, grain="map",
    given=Given(query="SELECT DISTINCT cluster_id FROM toy_tile", inputs=("toy_tile",)), run=tag_tiles,
    reasons=("no_score",),
)  # fmt: skip
LINK_TILES = Stage(
    name="link_tiles", module="toy", version=1, does="Links.",
    reads=(Reads("toy_tile", ("cluster_id",), is_whole=True),), writes=LINK, grain="observe", given=Given(),
    run=link_tiles,
)  # fmt: skip
LOOK_AT_SEAMS = Stage(
    name="look_at_seams", module="toy", version=1, does="Looks.",
    reads=(Reads("toy_link", ("survivor_id",), is_whole=True),), writes=SEAM, grain="map",
    given=Given("toy_link", ("survivor_id",)), run=look_at_seams, reasons=("no_score",), decides=False,
)  # fmt: skip
STAGES = (*REAL, CUT_TILES, TAG_TILES)
SHARING = (*REAL, CUT_TILES, replace(TAG_TILES, decides=False))
LINKING = (*STAGES, LINK_TILES, LOOK_AT_SEAMS)
