"""The table of patches has each patch of the source files once, with its facts from lists and tables."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.tables import SOURCE_FILE
from stages.checks import check_outcome
from stages.contract import Context, InputError
from stages.labelled.patches import LIST_PATCHES, list_patches
from tests.contract.inputs_labelled import V2_PATCH, write_lists
from tests.labelled_files import PATCHES


def look(sources: Path, *extra: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"corpus": "ben", "path": f"ben/v1/{name}/{name}_B02.tif", "sample_id": f"ben_{1500 + n}"}
        for n, name in enumerate(PATCHES)
    ]
    lists = sorted((sources / "ben").glob("*.*"))
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in lists}
    rows += [{"corpus": "ben", "path": f"ben/{path.name}", "file_sha256": digests[path]} for path in lists]
    rows += [{"corpus": "fmow", "path": "fmow/x", "sample_id": "fmow_dam_1_0_rgb"}, *extra]
    whole = [{"size_bytes": 1, "file_sha256": "sha", "sample_id": None, **row} for row in rows]
    inputs = {"source_file": pa.Table.from_pylist(whole, schema=SOURCE_FILE.schema)}
    context = Context("whole", None, None, {}, None, sources)  # type: ignore[arg-type]
    outcome = list_patches(inputs, context)
    check_outcome(LIST_PATCHES, inputs, outcome)
    return outcome.kept.to_pylist()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "ben").mkdir()
    return tmp_path


def test_without_lists_a_patch_only_has_its_name(sources: Path) -> None:
    rows = look(sources)
    assert [(row["sample_id"], row["v1_patch"]) for row in rows] == [
        (f"ben_{1500 + n}", name) for n, name in enumerate(PATCHES)
    ]
    assert {row["partition"] for row in rows} == {"ben-00001"}
    known = {name for row in rows for name, value in row.items() if value is not None}
    assert known == {"sample_id", "v1_patch", "partition"}


def test_facts_come_from_lists_and_tables_and_are_null_without_them(sources: Path) -> None:
    write_lists(sources)
    rows = look(sources)
    assert [row["has_seasonal_snow"] for row in rows] == [True, False, False, False]
    assert [row["has_cloud_or_shadow"] for row in rows] == [None] * 4
    assert [row["v2_patch"] for row in rows] == [None, V2_PATCH, None, None]
    assert (rows[1]["v2_labels"], rows[1]["v2_split"], rows[1]["v2_country"]) == (
        ["Pastures", "Marine waters"], "test", "Ireland",
    )  # fmt: skip


def test_a_patch_of_version_2_gets_its_name_in_version_1(sources: Path) -> None:
    write_lists(sources)
    path = f"ben/BigEarthNet-S2/{V2_PATCH[:-6]}/{V2_PATCH}/{V2_PATCH}_B02.tif"
    rows = look(sources, {"corpus": "ben", "path": path, "sample_id": "ben_7"})
    assert [(row["v1_patch"], row["v2_patch"]) for row in rows if row["sample_id"] == "ben_7"] == [
        (PATCHES[1], V2_PATCH)
    ]


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_a_list_that_changed_after_inventory_is_refused(sources: Path, change: str) -> None:
    stated = {"corpus": "ben", "path": "ben/lists/val.csv", "file_sha256": "other"}
    (sources / "ben/lists").mkdir()
    if change == "changed":
        (sources / "ben/lists/val.csv").write_text(f"{PATCHES[0]}\n")
    with pytest.raises(InputError, match={"gone": "cannot be read", "changed": "has changed since inventory"}[change]):
        look(sources, stated)
