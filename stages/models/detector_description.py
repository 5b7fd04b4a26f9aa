"""The content of a detector's `model.yaml`: layers, classes and input size.

yolo_detector.py builds the detector.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from stages.contract import InputError

DESCRIPTION = "model.yaml"
REMOTE_SENSING = "remote_sensing"

# Layers of ultralytics' published classifiers: an allow-list, as its parser looks up any name and evaluates values.
LayerName = Literal["Conv", "DWConv", "C2f", "C3", "C3k2", "C2PSA", "SPPF", "Classify"]
Layer = tuple[int, int, LayerName, tuple[bool | int | float | Literal["nc"], ...]]


class DetectorDescription(BaseModel):
    """An ultralytics classifier's model file, with facts that ultralytics stores in a pickle.

    Attributes:
        names: classes by index.
        input_px: side of the square that the network sees.
        batch_norm_eps: epsilon of all batch normalisations, which state dictionaries lack.
        scale: the key of `scales` to build; ultralytics builds other layers for m, l and x.
        scales: depth, width and maximum number of channels.
        backbone: layers as (from, repeats, name, arguments).
        head: the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...] = Field(min_length=2)
    nc: int = Field(ge=2)
    input_px: int = Field(ge=32, le=4096)
    batch_norm_eps: float = Field(1e-5, gt=0)
    scale: Literal["n", "s", "m", "l", "x"]
    scales: Mapping[str, tuple[float, float, float]]
    backbone: tuple[Layer, ...] = Field(min_length=1)
    head: tuple[Layer, ...] = Field(min_length=1)

    @field_validator("names", mode="before")
    @classmethod
    def _order_names(cls, names: Any) -> Any:
        # ultralytics writes classes as a list in some files and by number in others.
        return [names.get(n) for n in range(len(names))] if isinstance(names, dict) else names

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if len(set(self.names)) != self.nc or len(self.names) != self.nc:
            raise ValueError(f"nc is {self.nc}, but names are {list(self.names)}: expected one distinct name per class")
        if REMOTE_SENSING not in self.names:
            raise ValueError(f"expected a class {REMOTE_SENSING!r}, found {list(self.names)}: rename it there")
        if self.scale not in self.scales:
            raise ValueError(f"scale is {self.scale!r}, but scales has {list(self.scales)}")
        return self

    @property
    def positive(self) -> int:
        """Index of the class whose probability is the score."""
        return self.names.index(REMOTE_SENSING)

    def architecture(self) -> dict[str, Any]:
        """Return the dictionary from which ultralytics builds a classifier."""
        return {
            "nc": self.nc,
            "scale": self.scale,
            "scales": {name: list(values) for name, values in self.scales.items()},
            "backbone": [[*layer[:3], list(layer[3])] for layer in self.backbone],
            "head": [[*layer[:3], list(layer[3])] for layer in self.head],
        }


def read_description(folder: Path) -> DetectorDescription:
    """Return the description of the detector in a folder.

    Raises:
        InputError: it is missing or does not describe a classifier with the class `remote_sensing`.
    """
    import yaml

    path = folder / DESCRIPTION
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is missing: a detector's folder has {DESCRIPTION} (layers, names, input_px) beside its weights."
            " Convert the checkpoint again with `.venv/bin/python -m stages.models.convert_detector IN.pt OUT_FOLDER`"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} should be YAML: {error}. Convert the checkpoint again") from error
    return check_description(values, str(path))


def check_description(values: Any, where: str) -> DetectorDescription:
    """Return the description from plain values; raise InputError, naming their source, if they are invalid."""
    try:
        return DetectorDescription.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:3])
        raise InputError(f"{where} does not describe a detector: {faults}. Correct it there") from error
