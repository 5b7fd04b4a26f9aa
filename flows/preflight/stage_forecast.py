"""The forecast of one stage; forecast.py makes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageForecast:
    """The forecast of one stage.

    Attributes:
        stage: its name.
        n_rows: rows that it accounts for in the whole build.
        share_left: share of these rows that is still to do, in [0, 1].
        cpu_s, gpu_s, wall_s: CPU, GPU and elapsed seconds of the whole stage.
        down_bytes, disk_bytes: bytes fetched and written by the whole stage.
        low, high: the range of the seconds, as factors of them.
        basis: where the rates come from.
    """

    stage: str
    n_rows: float
    share_left: float
    cpu_s: float
    gpu_s: float
    wall_s: float
    down_bytes: float
    disk_bytes: float
    low: float
    high: float
    basis: str
