"""Samples and evaluation pictures on the same ground are found, exactly as by comparing all of them."""

import math
from typing import Any

import numpy as np

from stages.contamination.ground import FIND_GROUND_OVERLAP, FIND_SAME_GROUND
from stages.contamination.places import M_PER_DEG
from tests.contamination_pictures import as_tables, run_stage
from tests.contract.handmade import samples_of

N_SAMPLES, N_PLACES = 300, 60


def overlap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the share of the second's ground that the first one shows."""
    turned = abs(one["lon"] - other["lon"])
    dx_m = min(turned, 360 - turned) * M_PER_DEG * math.cos(math.radians(other["lat"]))
    dy_m = abs(one["lat"] - other["lat"]) * M_PER_DEG
    width_m = min(one["w"], other["w"], (one["w"] + other["w"]) / 2 - dx_m)
    height_m = min(one["h"], other["h"], (one["h"] + other["h"]) / 2 - dy_m)
    return max(width_m, 0) * max(height_m, 0) / (other["w"] * other["h"])


def scattered(n: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    lons = (180 + rng.uniform(-0.1, 0.1, n) + 180) % 360 - 180  # on both sides of the date line
    return [
        {"lat": float(lat), "lon": float(lon), "w": float(w), "h": float(h)}
        for lat, lon, w, h in zip(
            60 + rng.uniform(-0.05, 0.05, n), lons, rng.uniform(200, 3000, n), rng.uniform(200, 3000, n), strict=True
        )
    ]


def place_rows(places: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"evaluation_set": "aid" if n % 3 else "ucm", "evaluation_path": f"{n:03d}", "evaluation_split": "test",
         "latitude_deg": place["lat"], "longitude_deg": place["lon"], "ground_width_m": place["w"],
         "ground_height_m": place["h"]}
        for n, place in enumerate(places)
    ]  # fmt: skip


def test_samples_on_the_ground_of_a_set_are_found() -> None:
    samples, places = scattered(N_SAMPLES, 1), scattered(N_PLACES, 2)
    ids = [f"fmow_port_{n}_0_rgb" for n in range(N_SAMPLES)]
    gsd_m = 10.0
    for sample in samples:
        sample |= {"w": round(sample["w"] / gsd_m) * gsd_m, "h": round(sample["h"] / gsd_m) * gsd_m}
    rows = place_rows(places)
    tables = as_tables(
        FIND_SAME_GROUND,
        {
            "evaluation_place": rows,
            "evaluation_file": rows,
            "sample": samples_of(dict(zip(ids, ids, strict=True))),
            "image": [
                {"image_id": name, "width_px": round(s["w"] / gsd_m), "height_px": round(s["h"] / gsd_m)}
                for name, s in zip(ids, samples, strict=True)
            ],
            "labelled_image": [
                {"sample_id": name, "stated_latitude_deg": s["lat"], "stated_longitude_deg": s["lon"], "gsd_m": gsd_m}
                for name, s in zip(ids, samples, strict=True)
            ],
        },
    )
    found = {
        (row["sample_id"], row["evaluation_set"]): (row["evaluation_path"], row["ground_share"])
        for row in run_stage(FIND_SAME_GROUND, tables).to_pylist()
    }
    expected = {}
    for name, sample in zip(ids, samples, strict=True):
        for own in ("aid", "ucm"):
            shares = [
                (round(overlap(sample, place), 3), row["evaluation_path"])
                for place, row in zip(places, rows, strict=True)
                if row["evaluation_set"] == own
            ]
            share, path = max(shares, key=lambda one: (one[0], [-ord(c) for c in one[1]]))
            if share >= 0.0505:
                expected[name, own] = (path, share)
    assert len(expected) > 20
    wrong = {key for key in expected if found.get(key, ("", 0))[0] != expected[key][0]}
    assert not wrong and all(abs(found[key][1] - expected[key][1]) <= 0.0011 for key in expected)
    assert all(share < 0.0505 for key, (_, share) in found.items() if key not in expected)


def test_two_sets_on_the_same_ground_are_found_in_both_directions() -> None:
    places = [{"lat": 50.0, "lon": 8.0, "w": 600.0, "h": 600.0}, {"lat": 50.0, "lon": 8.0, "w": 1200.0, "h": 1200.0}]
    rows = [*place_rows(places), {**place_rows(places)[0], "evaluation_path": "x", "latitude_deg": None}]
    tables = as_tables(FIND_GROUND_OVERLAP, {"evaluation_place": rows, "evaluation_file": rows})
    found = run_stage(FIND_GROUND_OVERLAP, tables).to_pylist()
    names = ("evaluation_path", "other_path", "ground_share")
    assert [tuple(row[name] for name in names) for row in found] == [("001", "000", 1.0), ("000", "001", 0.25)]
