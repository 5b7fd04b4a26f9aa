"""Costs of a row at each stage, used where a build has not measured them: rates, each with its source."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from schemas.manifest_files import MANIFESTS, Manifest, ManifestError, load_manifest


class Rate(Manifest):
    """The cost of one stage.

    Attributes:
        stage: name of the stage; "" for stages that have no rate of their own.
        model: the model that it holds for, if the stage has other rates with others; "" for all without one.
        cpu_s_per_row: CPU seconds per row that it accounts for.
        gpu_s_per_row: seconds of one GPU per row; 0 for a stage without a model, or if measured on a CPU only.
        network_s_per_row: elapsed seconds of the whole download per URL, spent waiting for hosts.
        fixed_cpu_s: CPU seconds that do not depend on the rows: imports, opening models.
        bytes_per_row: bytes fetched per row; 0 if nothing is fetched.
        low: lower limit of the cost, as a factor of it.
        high: upper limit of the cost, as a factor of it.
        bench: benchmark whose result on this machine replaces the rate: `name: beginning of the case`; "" for none.
        source: where it was measured, or its assumptions.
    """

    stage: str
    model: str = ""
    cpu_s_per_row: float = Field(0.0, ge=0)
    gpu_s_per_row: float = Field(0.0, ge=0)
    network_s_per_row: float = Field(0.0, ge=0)
    fixed_cpu_s: float = Field(0.5, ge=0)
    bytes_per_row: float = Field(0.0, ge=0)
    low: float = Field(0.5, gt=0, le=1)
    high: float = Field(2.0, ge=1)
    bench: str = Field("", pattern=r"^([a-z_]+: .+)?$")
    source: str = Field(min_length=1)


class _Rates(Manifest):
    rates: tuple[Rate, ...] = Field(alias="rate", min_length=1)

    @model_validator(mode="after")
    def _check_default(self) -> Self:
        if [rate.stage for rate in self.rates].count("") != 1:
            raise ValueError('expected one rate of stage = "", for all other stages')
        return self


def load_rates(path: Path = MANIFESTS / "rates.toml") -> dict[str, Rate]:
    """Return the shipped rates by stage, or stage/model; "" is for all other stages. Raises ManifestError."""
    rates = load_manifest(path, _Rates).rates
    names = [f"{rate.stage}/{rate.model}" if rate.model else rate.stage for rate in rates]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ManifestError(f"{path}: key rate.stage: {twice} named twice")
    return dict(zip(names, rates, strict=True))


def rate_of(rates: Mapping[str, Rate], stage: str, settings: Iterable[object]) -> Rate:
    """Return the rate of the model that one of a stage's settings names, else the stage's, else that of all others."""
    of_model = [f"{stage}/{value}" for value in settings]
    return next((rates[name] for name in (*of_model, stage) if name in rates), rates[""])
