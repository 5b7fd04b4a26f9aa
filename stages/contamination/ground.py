"""Find samples and evaluation pictures that show the same ground at any date; these are listed, never removed.

Not for pictures that are copies (marks.py). Ground is taken as a rectangle whose sides point north and east.
"""

from schemas.tables import GROUND_OVERLAP, SAME_GROUND
from stages.contamination.places import M_PER_DEG
from stages.contamination.settings import GroundShareParams, off_without_ground
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import query_rows

_SPLIT = "evaluation_set, evaluation_split"
_PLACES = f"""
    SELECT evaluation_set, evaluation_path, evaluation_split, latitude_deg, longitude_deg, ground_width_m AS width_m,
           ground_height_m AS height_m, latitude_deg - ground_height_m / {2 * M_PER_DEG} AS south,
           latitude_deg + ground_height_m / {2 * M_PER_DEG} AS north
    FROM evaluation_place JOIN evaluation_file USING (evaluation_set, evaluation_path)
    WHERE latitude_deg IS NOT NULL AND ground_width_m > 0 AND ground_height_m > 0
"""
_DX = "least(abs(longitude_deg - b_longitude_deg), 360 - abs(longitude_deg - b_longitude_deg))"
_DX_M = f"{_DX} * {M_PER_DEG} * cos(radians(b_latitude_deg))"
_DY_M = f"abs(latitude_deg - b_latitude_deg) * {M_PER_DEG}"
# The lengths that both pictures show; the share is one of the evaluation picture, b.
_PAIRED = f"""
    SELECT *, least(height_m, b_height_m, (height_m + b_height_m) / 2 - {_DY_M})
              * least(width_m, b_width_m, (width_m + b_width_m) / 2 - {_DX_M}) / (b_width_m * b_height_m) AS share
    FROM pair WHERE (width_m + b_width_m) / 2 > {_DX_M}
"""
_B = "b.latitude_deg AS b_latitude_deg, b.longitude_deg AS b_longitude_deg, b.width_m AS b_width_m"
_SAME = f"""
    WITH place AS ({_PLACES}), shown AS (
        SELECT sample_id, stated_latitude_deg AS latitude_deg, stated_longitude_deg AS longitude_deg,
               gsd_m * width_px AS width_m, gsd_m * height_px AS height_m
        FROM sample JOIN image USING (image_id) JOIN labelled_image USING (sample_id)
        WHERE stated_latitude_deg IS NOT NULL AND stated_longitude_deg IS NOT NULL AND gsd_m > 0
    ), pair AS (
        SELECT a.*, {_SPLIT}, evaluation_path, {_B}, b.height_m AS b_height_m
        FROM shown a JOIN place b ON a.latitude_deg - a.height_m / {2 * M_PER_DEG} < b.north
                                 AND a.latitude_deg + a.height_m / {2 * M_PER_DEG} > b.south
    )
    SELECT sample_id, {_SPLIT}, evaluation_path, round(share, 3) AS ground_share
    FROM ({_PAIRED}) WHERE share >= $least
    QUALIFY row_number() OVER (PARTITION BY sample_id, {_SPLIT} ORDER BY round(share, 3) DESC, evaluation_path) = 1
    ORDER BY sample_id, {_SPLIT}
"""
_OVERLAP = f"""
    WITH place AS ({_PLACES}), pair AS (
        SELECT a.*, b.evaluation_set AS other_set, b.evaluation_split AS other_split, b.evaluation_path AS other_path,
               {_B}, b.height_m AS b_height_m
        FROM place a JOIN place b ON a.south < b.north AND a.north > b.south
        WHERE (a.evaluation_set, a.evaluation_split) <> (b.evaluation_set, b.evaluation_split)
    )
    SELECT evaluation_set, evaluation_path, other_set, other_split, evaluation_split, other_path,
           round(share, 3) AS ground_share
    FROM ({_PAIRED}) WHERE share >= $least
    QUALIFY row_number() OVER (
        PARTITION BY evaluation_set, evaluation_path, other_set, other_split ORDER BY round(share, 3) DESC, other_path
    ) = 1
    ORDER BY evaluation_set, evaluation_path, other_set, other_split
"""


def find_same_ground(inputs: Inputs, context: Context) -> Outcome:
    """Return each labelled sample with each split of an evaluation set whose ground it shows, and the picture there."""
    params: GroundShareParams = context.params
    found = query_rows(_SAME, inputs, least=params.min_ground_share)
    return Outcome(found.cast(SAME_GROUND.schema), no_rejects(SAME_GROUND))


def find_ground_overlap(inputs: Inputs, context: Context) -> Outcome:
    """Return each evaluation picture with each other split, of the same or another set, whose ground it shows."""
    params: GroundShareParams = context.params
    found = query_rows(_OVERLAP, inputs, least=params.min_ground_share)
    return Outcome(found.cast(GROUND_OVERLAP.schema), no_rejects(GROUND_OVERLAP))


_PLACE_READS = (
    Reads(
        "evaluation_place",
        (
            "evaluation_set", "evaluation_path", "latitude_deg", "longitude_deg", "ground_width_m", "ground_height_m",
        ),
        is_whole=True,
    ),
    Reads("evaluation_file", ("evaluation_set", "evaluation_path", "evaluation_split"), is_whole=True),
)  # fmt: skip

FIND_SAME_GROUND = Stage(
    name="find_same_ground",
    module="contamination",
    version=1,
    does="Lists the labelled samples that show the ground of an evaluation picture, at any date.",
    reads=(
        *_PLACE_READS,
        Reads("sample", ("sample_id", "image_id"), is_whole=True),
        Reads("image", ("image_id", "width_px", "height_px"), is_whole=True),
        Reads("labelled_image", ("sample_id", "stated_latitude_deg", "stated_longitude_deg", "gsd_m"), is_whole=True),
    ),
    writes=SAME_GROUND,
    grain="observe",
    given=Given(),
    run=find_same_ground,
    is_queried=True,
    params=GroundShareParams,
    off=off_without_ground,
)

FIND_GROUND_OVERLAP = Stage(
    name="find_ground_overlap",
    module="contamination",
    version=1,
    does="Finds pictures of two evaluation sets, or of two splits of one, that show the same ground.",
    reads=_PLACE_READS,
    writes=GROUND_OVERLAP,
    grain="observe",
    given=Given(),
    run=find_ground_overlap,
    is_queried=True,
    params=GroundShareParams,
    off=off_without_ground,
)
