"""Builds of only the labelled corpora: effects of lists, a selection and a slice."""

from pathlib import Path
from typing import Any

import pytest

from flows.run.executor import InlineExecutor
from stages.contract import Reads
from stages.readers.ben import lists as ben_lists
from stages.slices import belongs
from stages.stats.counts import COUNT_RS3
from tests.contract.inputs import call_stage
from tests.contract.inputs_labelled import write_lists
from tests.labelled_files import FATES, PATCHES, write_labelled_files
from tests.small_build import Build

MODULES = ["inventory", "labelled"]


@pytest.fixture(scope="module")
def all_patches(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("labelled")
    build = Build(folder / "build", write_labelled_files(folder / "sources"))
    build.run(InlineExecutor(), MODULES)
    return build


def fates(build: Build) -> dict[str, str]:
    kept = {row["sample_id"]: "" for row in build.rows("labelled_image")}
    return kept | {row["sample_id"]: row["reason"] for row in rejects(build, "labelled_image", "sample_id")}


def rejects(build: Build, table: str, key: str) -> list[dict[str, Any]]:
    reads = Reads(table, (key, "reason", "detail"), is_whole=True, section="rejects")
    found: list[dict[str, Any]] = build.ledger().read(reads).to_pylist()
    return found


def test_patches_are_read_without_lists(all_patches: Build) -> None:
    assert fates(all_patches) == FATES
    assert [row["v1_patch"] for row in all_patches.rows("patch")] == list(PATCHES)
    assert "ben-lists" not in all_patches.ledger().state(all_patches.stage("read_labelled")).spans


def test_a_list_makes_the_patches_stale_and_a_selection_rejects_some(all_patches: Build, tmp_path: Path) -> None:
    sources = write_labelled_files(tmp_path / "sources")
    write_lists(sources)
    (sources / f"ben/{ben_lists.CLOUD}.csv").write_text(f"{PATCHES[1]}\n")
    build = Build(tmp_path / "build", sources)
    build.run(InlineExecutor(), MODULES)
    assert fates(build) == FATES, "lists alone reject nothing"
    selecting = build.with_settings(labelled={"ben_selection": "rs5m"})
    selecting.run(InlineExecutor(), MODULES)
    assert fates(selecting) == {**FATES, "ben_0": "seasonal_snow", "ben_1": "cloud_or_shadow"}
    before = _fingerprints(selecting)
    (sources / f"ben/{ben_lists.CLOUD}.csv").write_text(f"{PATCHES[2]}\n")
    selecting.run(InlineExecutor(), MODULES)
    assert fates(selecting)["ben_1"] == "" and fates(selecting)["ben_2"] == "cloud_or_shadow"
    after = _fingerprints(selecting)
    assert {name for name in after if after[name] != before[name]} == {"ben-00000", "ben-lists"}


def test_a_slice_has_the_same_rows_and_a_full_run_after_it_reads_the_rest(all_patches: Build, tmp_path: Path) -> None:
    share = 0.5
    inside = {
        sample for sample in FATES if belongs(sample.rsplit("_", 2)[0] if sample.startswith("fmow_") else sample, share)
    }
    assert 2 <= len(inside) < len(FATES)
    pilot = Build(tmp_path / "build", all_patches.sources).with_settings(inventory={"pilot": share})
    pilot.run(InlineExecutor(), MODULES)
    assert fates(pilot) == {sample: fate for sample, fate in FATES.items() if sample in inside}
    left_out = rejects(pilot, "source_listing", "path")
    assert {row["reason"] for row in left_out} == {"scenes_outside_pilot"}
    n_files = sum(int(row["detail"].split(" ")[0]) for row in left_out)
    assert n_files + len(pilot.rows("source_file")) == len(all_patches.rows("source_file"))
    whole = pilot.with_settings(inventory={"pilot": 1.0})
    whole.run(InlineExecutor(), MODULES)
    assert fates(whole) == FATES and rejects(whole, "source_listing", "path") == []
    pilot.run(InlineExecutor(), MODULES)
    assert set(fates(pilot)) == inside


def test_deselected_and_unreadable_samples_are_counted_separately(tmp_path: Path) -> None:
    _, outcome = call_stage(COUNT_RS3, tmp_path / "rs3")
    rows = {row["source"]: row for row in outcome.kept.to_pylist()}
    names = ("listed", "unreadable", "unselected", "invalid", "uncaptioned", "remain")
    assert [rows["ben"][name] for name in names] == [4, 0, 1, 1, 1, 1]
    assert [rows["fmow"][name] for name in names] == [1, 1, 0, 0, 0, 0]
    assert [rows["Total"][name] for name in names] == [5, 1, 1, 1, 1, 1]


def _fingerprints(build: Build) -> dict[str, str]:
    return {p.name: p.fingerprint for p in build.ledger().state(build.stage("read_labelled")).partitions}
