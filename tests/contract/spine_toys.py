"""Two toy stages at the end of the pipeline, with a key column that no other table has as key."""

from dataclasses import replace

import pyarrow.compute as pc

from schemas.tables import Table
from stages import STAGES as REAL
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects, rejects_table
from stages.rows import run_sql

TILE = Table("toy_tile", ("sample_id",), ("cluster_id",), "The tile of a sample.", leads_to=("cluster_id",))
TAG = Table("toy_tag", ("cluster_id",), ("n_rows",), "A tile that was looked at.")
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
STAGES = (*REAL, CUT_TILES, TAG_TILES)
SHARING = (*REAL, CUT_TILES, replace(TAG_TILES, decides=False))
