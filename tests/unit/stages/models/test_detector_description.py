"""The allowed content of a detector's model.yaml; anything else is refused with its location."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.contract import InputError
from stages.models.detector_description import DESCRIPTION, read_description

VALUES: dict[str, Any] = {
    "nc": 2,
    "names": ["other", "remote_sensing"],
    "input_px": 64,
    "scale": "n",
    "scales": {"n": [0.5, 0.25, 1024]},
    "backbone": [[-1, 1, "Conv", [64, 3, 2]], [-1, 2, "C3k2", [128, False, 0.25]]],
    "head": [[-1, 1, "Classify", ["nc"]]],
}


def write(folder: Path, values: Any) -> Path:
    (folder / DESCRIPTION).write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder


def test_a_description_has_the_architecture_for_ultralytics(tmp_path: Path) -> None:
    found = read_description(write(tmp_path, VALUES))
    assert found.architecture() == {key: VALUES[key] for key in ("nc", "scale", "scales", "backbone", "head")}
    assert (found.positive, found.batch_norm_eps) == (1, 1e-5)


def test_a_description_is_unchanged_by_writing_and_reading(tmp_path: Path) -> None:
    found = read_description(write(tmp_path, VALUES))
    assert read_description(write(tmp_path, found.model_dump(mode="json"))) == found


def test_numbered_classes_are_sorted_by_number(tmp_path: Path) -> None:
    found = read_description(write(tmp_path, {**VALUES, "names": {1: "remote_sensing", 0: "other"}}))
    assert found.names == ("other", "remote_sensing")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"names": ["other", "aerial"]}, "expected a class 'remote_sensing'"),
        ({"names": ["remote_sensing", "remote_sensing"]}, "one distinct name per class"),
        ({"names": ["a", "b", "remote_sensing"]}, "nc is 2"),
        ({"names": {5: "remote_sensing", 6: "other"}}, "names"),
        ({"scale": "x"}, "scale is 'x'"),
        ({"scale": ""}, "scale"),
        ({"input_px": 0}, "input_px"),
        ({"activation": "__import__('os').getcwd()"}, "activation"),
        ({"head": [[-1, 1, "TorchVision", [2]]]}, "head"),
        ({"head": [[-1, 1, "Classify", ["__import__('os')"]]]}, "head"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        read_description(write(tmp_path, {**VALUES, **change}))


@pytest.mark.parametrize(
    ("data", "expected"), [(None, "is missing"), (b"a: [", "YAML"), (b"\xff\xfe\xfa", "YAML"), (b"", "file: ")]
)
def test_a_missing_or_broken_description_is_refused(tmp_path: Path, data: bytes | None, expected: str) -> None:
    if data is not None:
        (tmp_path / DESCRIPTION).write_bytes(data)
    with pytest.raises(InputError, match=expected):
        read_description(tmp_path)
