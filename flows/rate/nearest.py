"""Find the nearest kept sample by perceptual hash for a share of the kept samples, to audit missed duplicates.

Brute force in numpy: some 2,000 samples against 3 million take about half a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

N_COMPARED = 2_000  # kept samples compared with all others; their strata are scaled up


def nearest_kept(db: duckdb.DuckDBPyConnection, seed: str, n_compared: int = N_COMPARED) -> None:
    """Add a table `nearest_kept`: sample_id, other_id, phash_distance, in bits, and weight.

    Args:
        db: a database with views of survivor and image.
        seed: seed that, hashed with sample_id, chooses the samples.
        n_compared: number of samples to compare; each stands for `weight` kept samples.
    """
    query = "SELECT sample_id, phash FROM survivor JOIN image USING (image_id) ORDER BY sha256($seed || sample_id)"
    kept = db.sql(query, params={"seed": f"{seed}:nearest:"}).to_arrow_table()
    ids, hashes = kept["sample_id"].to_pylist(), kept["phash"].to_numpy()
    n = min(n_compared, len(ids)) if len(ids) > 1 else 0
    others, distances = [], []
    for row in range(n):
        bits = np.bitwise_count(hashes ^ hashes[row])
        bits[row] = 255  # the sample itself
        nearest = int(bits.argmin())
        others.append(ids[nearest])
        distances.append(int(bits[nearest]))
    table = {
        "sample_id": pa.array(ids[:n], pa.string()),
        "other_id": pa.array(others, pa.string()),
        "phash_distance": pa.array(distances, pa.int32()),
        "weight": pa.array([len(ids) / n if n else 0.0] * n, pa.float64()),
    }
    db.register("nearest_kept", pa.table(table))
