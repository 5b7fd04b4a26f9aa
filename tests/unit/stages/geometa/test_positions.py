"""One rule decides for every source which pairs of numbers are positions."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from schemas.fields import FIELD
from stages.geometa.positions import is_position
from stages.readers.batch import rows_table
from stages.readers.labelled_records import position

NONE = [
    (0.0, 0.0), (-0.0, 0.0), (0.0, -0.0), (1e-9, -1e-9), (0.00009, 0.00009), (90.1, 0.0), (-122.2, 47.6), (10.0, 180.1),
    (np.nan, 5.0), (5.0, np.nan), (np.nan, np.nan), (np.inf, 5.0), (5.0, -np.inf), (1e308, 1e308),
]  # fmt: skip
SOME = [(47.6, -122.2), (0.0, 7.5), (51.5, 0.0), (90.0, 180.0), (-90.0, -180.0), (0.001, 0.0), (-0.0, 0.001)]


@pytest.mark.parametrize(("pair", "expected"), [*product(NONE, [False]), *product(SOME, [True])])
def test_every_source_of_positions_has_one_rule(pair: tuple[float, float], expected: bool) -> None:
    assert bool(is_position(*pair)) is expected
    assert bool(position(*pair)) is expected
    rows = rows_table(
        {
            "source_row": pa.array([0], pa.int64()),
            "stated_latitude_deg": pa.array([pair[0]], FIELD["stated_latitude_deg"].type),
            "stated_longitude_deg": pa.array([pair[1]], FIELD["stated_longitude_deg"].type),
        }
    )
    found = rows["stated_latitude_deg"][0].as_py(), rows["stated_longitude_deg"][0].as_py()
    assert found == (pair if expected else (None, None))


@pytest.mark.parametrize("name", ["stated_latitude_deg", "stated_longitude_deg"])
def test_a_single_coordinate_is_no_position(name: str) -> None:
    rows = rows_table({"source_row": pa.array([0], pa.int64()), name: pa.array([7.5], pa.float64())})
    assert rows[name].null_count == 1
