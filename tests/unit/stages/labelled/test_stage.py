"""The generated world's labelled corpora are read as planned; incomplete samples are rejected with a reason."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from flows.demo.world.labelled import LABELLED, read_truth
from flows.demo.world.labelled_rows import LabelledRow
from flows.demo.world.world import World
from schemas.tables import LISTED_HASH, PATCH, SOURCE_LISTING
from stages.checks import check_outcome
from stages.contract import Context, InputError, Inputs, Outcome, no_rejects
from stages.inventory.hashing import hash_files
from stages.inventory.stage import INVENTORY, ListingParams, list_sources
from stages.labelled.patches import LIST_PATCHES, list_patches
from stages.labelled.stage import READ_LABELLED, RENDERER, LabelledParams, read_labelled
from stages.readers.ben.rendering import Renderer
from tests.contract.inputs import call_stage

# The world has no hash list and selects no patches.
SELECTING = {"seasonal_snow", "cloud_or_shadow", "outside_selection", "hash_listed"}


@dataclass
class Files:
    """Stands in for the store's files when a stage is called without a store; has the SOURCES folder."""

    folder: Path
    made: list[Path] = field(default_factory=list)

    def new_file(self, name: str) -> Path:
        self.made.append(self.folder / name)
        return self.made[-1]

    def address(self, path: Path) -> str:
        return str(path)


@dataclass
class Reading:
    """The outcome of each labelled partition of a world, and its inputs."""

    inputs: dict[str, Inputs]
    outcomes: dict[str, Outcome]

    def kept(self) -> dict[str, dict[str, Any]]:
        return {row["sample_id"]: row for o in self.outcomes.values() for row in o.kept.to_pylist()}

    def rejects(self) -> dict[str, tuple[str, str]]:
        rows = [row for o in self.outcomes.values() for row in o.rejects.to_pylist()]
        return {row["sample_id"]: (row["reason"], row["detail"]) for row in rows}


def context(sources: Path, params: Any, partition: str = "whole", files: Any = None, tools: Any = None) -> Context:
    return Context(partition, params, None, tools or {}, files, sources)


def partitions(sources: Path) -> dict[str, Inputs]:
    """Return the stage's inputs for each labelled partition of a SOURCES folder."""
    nothing = {
        "source_listing": SOURCE_LISTING.schema.empty_table(),
        "source_listing_rejects": no_rejects(SOURCE_LISTING),
    }
    listed = list_sources(nothing, context(sources, ListingParams(corpora=LABELLED))).kept
    found = {}
    for name in pc.unique(listed["partition"]).to_pylist():
        rows = {"source_listing": listed.filter(pc.equal(listed["partition"], name))}
        hashed = hash_files(rows, context(sources, None))
        check_outcome(INVENTORY, rows, hashed)
        found[name] = {"source_listing": rows["source_listing"], "source_file": hashed.kept}
    whole = {"source_file": pa.concat_tables([inputs["source_file"] for inputs in found.values()])}
    patches = list_patches(whole, context(sources, None))
    check_outcome(LIST_PATCHES, whole, patches)
    return {
        name: {
            **inputs,
            "listed_hash": LISTED_HASH.schema.empty_table(),
            "patch": patches.kept.filter(pc.equal(patches.kept["partition"], name)),
        }
        for name, inputs in found.items()
    }


def read_all(sources: Path, folder: Path, renderer: Renderer, params: LabelledParams | None = None) -> Reading:
    reading = Reading(partitions(sources), {})
    for name, inputs in reading.inputs.items():
        (folder / name).mkdir(parents=True)
        tools, files = {"renderer": renderer}, Files(folder / name)
        reading.outcomes[name] = read_labelled(inputs, context(sources, params or LabelledParams(), name, files, tools))
        check_outcome(READ_LABELLED, inputs, reading.outcomes[name])
        assert list(reading.outcomes[name].files) == files.made
    return reading


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with RENDERER.open(LabelledParams(), None) as opened:
        yield opened


@pytest.fixture(scope="module")
def reading(world: World, renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return read_all(world.sources, tmp_path_factory.mktemp("read"), renderer)


@pytest.fixture(scope="module")
def truth(world: World) -> dict[str, LabelledRow]:
    return read_truth(world.out)


def body(row: dict[str, Any], sources: Path) -> bytes:
    in_sources = row["body_file"].removeprefix("sources:")
    path = Path(row["body_file"]) if in_sources == row["body_file"] else sources / in_sources
    data = path.read_bytes()[row["body_offset"] :][: row["n_bytes"]]
    assert hashlib.sha256(data).hexdigest() == row["body_sha256"]
    return data


def test_every_labelled_sample_has_its_planned_fate(world: World, reading: Reading) -> None:
    planned = {fate.sample_id: fate for fate in world.fates if fate.corpus in LABELLED}
    refused = {name: fate.reason for name, fate in planned.items() if fate.stage == "read_labelled"}
    assert {name: reason for name, (reason, _) in reading.rejects().items()} == refused
    assert set(reading.kept()) == set(planned) - set(refused)
    assert set(refused.values()) == set(READ_LABELLED.reasons) - SELECTING - {
        "file_too_large",
        "named_again",  # in tars of a release alone
        "not_stated",  # with release metadata alone
    }


def test_a_file_above_the_byte_limit_is_refused_unread(reading: Reading, renderer: Renderer, tmp_path: Path) -> None:
    n_refused = 0
    for name, inputs in reading.inputs.items():
        files = inputs["source_file"]
        files = files.filter(pc.is_valid(files["sample_id"])).slice(0, 1)
        if not files.num_rows:  # the partition only has lists
            continue
        place, size = files.schema.get_field_index("size_bytes"), pa.array([5_000_000_000], pa.int64())
        alone = {**inputs, "source_file": files.set_column(place, files.schema.field(place), size)}
        (tmp_path / name).mkdir()
        sources = tmp_path / "nothing of the file is read"
        tools, made = {"renderer": renderer}, Files(tmp_path / name)
        outcome = read_labelled(alone, context(sources, LabelledParams(), name, made, tools))
        (refused,) = outcome.rejects.to_pylist()
        assert refused["reason"] == "file_too_large"
        assert refused["detail"].endswith("5000000000 bytes, more than 1000 MB")
        n_refused += 1
    assert n_refused >= 3


def test_with_release_metadata_only_stated_images_are_read(
    world: World, reading: Reading, renderer: Renderer, tmp_path: Path
) -> None:
    name, inputs = next((n, i) for n, i in reading.inputs.items() if n.startswith("ben"))
    kept = [row["sample_id"] for row in reading.outcomes[name].kept.to_pylist()]
    stated = pa.table({"sample_id": kept[:1], "published_text": ["a stated text"]})
    tools = {"renderer": renderer, "stated": stated}
    made = Files(tmp_path)
    outcome = read_labelled(inputs, context(world.sources, LabelledParams(), name, made, tools))
    (row,) = outcome.kept.to_pylist()
    assert (row["sample_id"], row["released_caption"]) == (kept[0], "a stated text")
    assert set(outcome.rejects["reason"].to_pylist()) == {"not_stated"} and len(kept) > 1


def test_place_time_country_and_labels_are_true(reading: Reading, truth: dict[str, LabelledRow]) -> None:
    n_placed = 0
    for name, row in reading.kept().items():
        expected = truth[name]
        assert (row["stated_latitude_deg"] is None) == (expected.latitude_deg is None), name
        if expected.latitude_deg is not None and expected.longitude_deg is not None:
            assert abs(row["stated_latitude_deg"] - expected.latitude_deg) < 1e-6
            assert abs((row["stated_longitude_deg"] - expected.longitude_deg + 180) % 360 - 180) < 1e-6
            n_placed += 1
        assert (row["stated_datetime"] or "") == expected.datetime
        assert (row["stated_country_code"] or "") == expected.country_code
        assert (tuple(row["labels"]), row["scene_id"], row["path"]) == (
            expected.labels, expected.scene_id, expected.path,
        )  # fmt: skip
        assert row["corpus"] == name.split("_")[0] and row["annotation_licence"]
    assert n_placed >= 15
    assert "ZZZ" in {row["stated_country_code"] for row in reading.kept().values()}


def test_an_image_is_located_in_its_own_file_and_a_patch_in_the_tar(
    world: World, reading: Reading, truth: dict[str, LabelledRow]
) -> None:
    for row in reading.kept().values():
        data = body(row, world.sources)
        if row["corpus"] != "ben":
            assert row["body_file"] == f"sources:{row['path']}" and data == (world.sources / row["path"]).read_bytes()
            continue
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (120, 120))
    tars = [path for outcome in reading.outcomes.values() for path in outcome.files]
    assert len(tars) == 1
    with tarfile.open(tars[0]) as tar:
        members = {member.name: member.mtime for member in tar.getmembers()}
    assert members == {f"{name}.jpg": 0 for name in reading.kept() if name.startswith("ben_")}


def test_a_partition_depends_only_on_its_own_files_and_is_deterministic(
    world: World, reading: Reading, renderer: Renderer, tmp_path: Path
) -> None:
    again = read_all(world.sources, tmp_path, renderer)
    assert list(again.outcomes) == list(reading.outcomes) and len(again.outcomes) >= 6
    for name, outcome in reading.outcomes.items():
        other = again.outcomes[name]
        assert outcome.kept.drop_columns(["body_file"]).equals(other.kept.drop_columns(["body_file"]))
        assert [path.read_bytes() for path in outcome.files] == [path.read_bytes() for path in other.files]
        assert set(outcome.kept["partition"].to_pylist()) <= {name}


def test_details_name_what_is_missing_or_unreadable(reading: Reading) -> None:
    details: dict[str, list[str]] = {}
    for reason, detail in reading.rejects().values():
        details.setdefault(reason, []).append(detail)
    assert "has no B03" in details["missing_band"][0]
    assert any("B02: expected (1, 120, 120, 'uint16'), found (1, 60, 60, 'uint16')" in d for d in details["bad_band"])
    assert any(detail.startswith("B04: ") for detail in details["bad_band"])
    assert any("is not JSON" in detail for detail in details["bad_metadata"])
    assert any("expected a JSON object, found list" in detail for detail in details["bad_metadata"])
    assert "has neither a ground truth record nor one beside it" in details["missing_metadata"][0]


def test_clip_quality_and_chroma_settings_change_the_picture(world: World, tmp_path: Path) -> None:
    n_bytes = {}
    for name, settings in {
        "default": {}, "clip": {"ben_clip_reflectance": 4000}, "quality": {"ben_jpeg_quality": 50},
        "chroma": {"ben_has_full_chroma": False},
    }.items():  # fmt: skip
        params = LabelledParams(**settings)
        with RENDERER.open(params, None) as renderer:
            kept = read_all(world.sources, tmp_path / name, renderer, params).kept()
        row = next(row for row in kept.values() if row["corpus"] == "ben")
        n_bytes[name] = row["n_bytes"], body(row, world.sources)
    with Image.open(io.BytesIO(n_bytes["clip"][1])) as dark, Image.open(io.BytesIO(n_bytes["default"][1])) as bright:
        assert np.asarray(dark).mean() == pytest.approx(np.asarray(bright).mean() / 2, rel=0.02)
    assert n_bytes["quality"][0] < n_bytes["chroma"][0] < n_bytes["default"][0]


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_a_record_that_changed_after_inventory_is_refused(
    reading: Reading, world: World, renderer: Renderer, tmp_path: Path, change: str
) -> None:
    name, inputs = next((n, i) for n, i in reading.inputs.items() if n.startswith("fmow-airport"))
    for path in inputs["source_file"]["path"].to_pylist():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((world.sources / path).read_bytes())
    record = next(path for path in sorted(tmp_path.rglob("*.json")) if "groundtruth" in str(path))
    if change == "gone":
        record.unlink()
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "gsd": 9}))
    words = {"gone": "cannot be read .No such file", "changed": "has changed since inventory"}[change]
    with pytest.raises(InputError, match=words):
        read_labelled(inputs, context(tmp_path, LabelledParams(), name, Files(tmp_path), {"renderer": renderer}))


def test_a_changed_manifest_requires_a_new_inventory(
    reading: Reading, world: World, renderer: Renderer, tmp_path: Path
) -> None:
    name, inputs = next(iter(reading.inputs.items()))
    listing = inputs["source_listing"]
    digests = pa.array(["other"] * len(listing))
    stale = listing.set_column(listing.schema.get_field_index("reader_digest"), "reader_digest", digests)
    with pytest.raises(InputError, match="run `make stage-inventory` first"):
        read_labelled(
            {**inputs, "source_listing": stale},
            context(world.sources, LabelledParams(), name, Files(tmp_path), {"renderer": renderer}),
        )


def test_the_identity_of_the_renderer_covers_what_decides_its_bytes() -> None:
    identity = RENDERER.identity(LabelledParams())
    assert set(identity) == {"rasterio", "pyproj", "pillow", "numpy", "libjpeg_turbo"} and all(identity.values())


def test_the_selection_of_rs5m_needs_both_lists_and_rejects_their_patches(
    reading: Reading, world: World, renderer: Renderer, tmp_path: Path
) -> None:
    [(name, inputs)] = [(n, i) for n, i in reading.inputs.items() if n.startswith("ben-0")]
    made = context(world.sources, LabelledParams(ben_selection="rs5m"), name, Files(tmp_path), {"renderer": renderer})
    with pytest.raises(InputError, match=r"needs the list patches_with_cloud_and_shadow\.csv .* holds none"):
        read_labelled(inputs, made)
    kept = reading.outcomes[name].kept.to_pylist()
    cloudy, northern = (
        next(row["sample_id"] for row in kept if (row["stated_latitude_deg"] or 0) < 58),
        next(row["sample_id"] for row in reversed(kept) if (row["stated_latitude_deg"] or 0) < 58),
    )
    rows = [
        {
            **row,
            "has_cloud_or_shadow": row["sample_id"] == cloudy,
            "v2_country": "Finland" if row["sample_id"] == northern else "Austria",
        }
        for row in inputs["patch"].to_pylist()
    ]
    found = read_labelled({**inputs, "patch": pa.Table.from_pylist(rows, PATCH.schema)}, made)
    check_outcome(READ_LABELLED, inputs, found)
    reasons = {row["sample_id"]: row["reason"] for row in found.rejects.to_pylist()}
    assert reasons[cloudy] == "cloud_or_shadow"
    assert reasons[northern] == "outside_selection"
    assert sum(reason in SELECTING for reason in reasons.values()) == 2


def test_lists_are_in_a_partition_without_samples(reading: Reading) -> None:
    assert {row["path"] for row in reading.inputs["ben-lists"]["source_file"].to_pylist()} == {
        "ben/train.csv", "ben/lists/patches_with_seasonal_snow.csv",
    }  # fmt: skip
    outcome = reading.outcomes["ben-lists"]
    assert (outcome.kept.num_rows, outcome.rejects.num_rows, outcome.files) == (0, 0, ())


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_on_a_hash_list_is_refused_before_its_picture_is_read(tmp_path: Path, kind: str) -> None:
    wanted = {"sha256": "millionaid_P0000001", "md5": "fmow_dam_3_0_rgb"}[kind]
    name = f"{wanted.partition('_')[2]}.jpg"  # and the content of the handmade file
    outcomes = {}
    for listed in ("sha256", "md5"):
        row = {"hash_kind": listed, "hash": hashlib.new(kind, name.encode()).hexdigest()}
        inputs, outcome = call_stage(
            READ_LABELLED,
            tmp_path / listed,
            lambda inputs, row=row: {**inputs, "listed_hash": pa.Table.from_pylist([row], LISTED_HASH.schema)},  # type: ignore[misc]
        )
        check_outcome(READ_LABELLED, inputs, outcome)
        outcomes[listed == kind] = {row["sample_id"]: row for row in outcome.rejects.to_pylist()}
    assert outcomes[True].keys() - outcomes[False].keys() == {wanted} and len(outcomes[False]) > 2
    assert outcomes[True][wanted]["reason"] == "hash_listed" and name not in str(outcomes[True][wanted])
