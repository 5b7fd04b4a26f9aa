"""The generated world's rows have their stated fates; without the pipeline."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.demo.world.labelled import LABELLED
from flows.demo.world.reading import N_ROWS, path_of
from flows.demo.world.server import Answer
from flows.demo.world.source_reading import read_sources
from flows.demo.world.world import PATTERNS, World, holds_keyword, load_world, make_world

PLANNED = {
    "filter": {
        "no_caption", "no_keyword", "no_url", "wrong_field_count", "invalid_utf8", "no_metadata_row", "listed_again",
        "bad_record", "shifted_row",
    },
    "plan": {"not_a_url", "unsupported_scheme"},
    "reduce_attempts": {
        "http_not_found", "http_forbidden", "http_client_error", "http_throttled", "http_server_error", "timeout",
        "connection_failed", "truncated_body", "private_address", "bad_redirect", "opted_out",
        "body_too_large", "invalid_response",
    },
    "screen": {
        "empty_file", "not_an_image", "format_not_allowed", "truncated_image", "corrupt_image", "too_many_pixels",
    },
    "drop_duplicates": {"url_duplicate", "pixel_duplicate", "near_duplicate"},
    "drop_outliers": {"outlier"},
    "plan_shards": {"nsfw"},
    "write_shards": {""},
}  # fmt: skip


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_equal_arguments_give_equal_bytes_and_another_seed_does_not(world: World, tmp_path: Path) -> None:
    again = make_world(tmp_path / "again", n_rows=N_ROWS, seed=world.seed, port=world.port)
    assert contents(again.out) == contents(world.out)
    assert len(contents(world.out)) > 100
    make_world(again.out, n_rows=N_ROWS, seed=world.seed + 1, port=world.port)
    changed, first = contents(again.out), contents(world.out)
    sources = [name for name in first if name.startswith("sources/")]
    drawn = [name for name in sources if name.split("/")[1] not in LABELLED]
    drawn += [name for name in sources if name.endswith(("rgb.jpg", "_B04.tif"))]
    assert len(drawn) > 25 and all(changed.get(name) != first[name] for name in drawn)


def test_a_world_is_read_back_as_it_was_made(world: World) -> None:
    assert load_world(world.out) == world
    assert json.loads((world.out / "world.json").read_text())["counts"] == world.counts()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(FileExistsError, match=r"precious\.txt, which is not part of a world"):
        make_world(tmp_path, n_rows=N_ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 400"):
        make_world(tmp_path, n_rows=399)


def test_every_source_row_has_exactly_one_fate(world: World) -> None:
    rows = read_sources(world.sources)
    assert len(rows) == N_ROWS
    # An id only occurs twice if its row is listed again, which has its own fate.
    found = Counter((row.sample_id, row.url or "", row.fault == "listed_again") for row in rows)
    assert max(found.values()) == 1
    assert found == Counter((fate.sample_id, fate.url, fate.reason == "listed_again") for fate in world.web_fates)
    for fate in world.web_fates:
        assert fate.corpus == fate.sample_id.split("_")[0]
        assert (fate.fate == "kept") == (fate.reason == "") == (fate.stage == "write_shards")


def test_every_planned_reason_occurs_three_times_and_no_other(world: World) -> None:
    n_rows = Counter((fate.stage, fate.reason) for fate in world.web_fates)
    assert set(n_rows) == {(stage, reason) for stage, reasons in PLANNED.items() for reason in reasons}
    assert min(n_rows.values()) >= 3
    assert n_rows["write_shards", ""] >= 45


def test_filter_fates_follow_from_the_source_rows(world: World) -> None:
    planned = Counter((fate.sample_id, fate.reason if fate.stage == "filter" else "") for fate in world.web_fates)
    assert Counter((row.sample_id, row.reason) for row in read_sources(world.sources)) == planned


@pytest.mark.parametrize(
    ("caption", "is_match"),
    [
        ("AERIAL VIEW", True), ("LANDSAT 8 scene", True), ("modish", True), ("aerial mapping", True),
        ("spaceborne imaging", True), ("U\u017fGS", False), ("aerialimage", False), ("space shuttle", False),
        ("MOD\u0131S", False), ("aerial\u00a0view", False), ("Sentinel 2", False), ("", False),
    ],
)  # fmt: skip
def test_keywords_match_as_substrings_ignoring_only_ascii_case(caption: str, is_match: bool) -> None:
    assert holds_keyword(caption) == is_match


def test_there_are_42_patterns_and_every_one_is_planted(world: World) -> None:
    assert len(PATTERNS) == len(set(PATTERNS)) == 42
    captions = " | ".join(text.lower() for row in read_sources(world.sources) for text in row.searched)
    assert [pattern for pattern in PATTERNS if pattern.lower() not in captions] == []


def test_laion_publishes_width_and_height_swapped(world: World, routes: dict[str, list[Answer]]) -> None:
    rows = pq.read_table(sorted((world.sources / "laion2b").iterdir())[0]).to_pylist()
    sizes = {row["URL"]: (row["WIDTH"], row["HEIGHT"]) for row in rows}
    n_checked = 0
    for fate in world.fates:
        if fate.fate == "kept" and fate.url in sizes:
            name = next(
                (answer["file"] for answer in routes.get(path_of(fate, world.port), []) if "file" in answer), None
            )
            if name:
                n_checked += 1
                with Image.open(world.out / "www" / name) as image:
                    assert sizes[fate.url] == (image.height, image.width)
    assert n_checked > 5
