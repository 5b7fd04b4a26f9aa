"""A list made from a finished build can be compared with it, and a build can start from the list."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from flows.demo.world.server import WorldServer
from schemas.reasons import REASON
from tests.end_to_end.runs import run

ONE_PASS = ("--set", "download.allow_loopback=true", "--set", "download.passes=1")
ADDED = ("sbu_1_1", "a scene of another corpus", "http://127.0.0.1:9/none.jpg")


def _published(build: Path) -> list[tuple[str, str, str]]:
    """Return name, text and URL of the published web samples."""
    rows: list[tuple[str, str, str]] = []
    for split in ("train", "val"):
        with (build / f"dataset/metafiles/pub11_{split}_metadata.csv").open(encoding="utf-8", newline="") as file:
            rows += [(row["img_name"], row["text"], row["url"]) for row in csv.DictReader(file)]
    return rows


@pytest.fixture
def listed(demo: Path, tmp_path: Path) -> tuple[Path, list[tuple[str, str, str]]]:
    """A list of the build's published samples, with five rows removed, the last one changed, and one added."""
    *kept, changed = _published(demo)[:-5]
    rows = [*kept, (*changed[:2], changed[2] + "?changed"), ADDED]
    path = tmp_path / "pub11_train_metadata.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "img_name", "text", "url", "download_status"])
        writer.writerows([n, *row, True] for n, row in enumerate(rows))
    return path, rows


def test_a_list_of_a_build_is_compared_with_it(
    demo: Path, listed: tuple[Path, list[tuple[str, str, str]]], tmp_path: Path
) -> None:
    path, rows = listed
    done = run("compare", "--build", demo, "--metafile", path, "--out", tmp_path / "compare.csv")
    assert done.returncode == 0, done.stdout
    with (tmp_path / "compare.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert Counter(row["fate"] for row in found) == {"kept": len(rows) - 2, "lost": 2}
    assert {row["reason"] for row in found if row["fate"] == "lost"} == {"not among its candidates"}
    assert all(row["sample_id"] == row["list_name"] for row in found if row["fate"] == "kept")


def test_a_list_is_built_from(
    large_world: Path, listed: tuple[Path, list[tuple[str, str, str]]], tmp_path: Path
) -> None:
    path, rows = listed
    build = tmp_path / "build"
    with WorldServer(large_world):
        done = run("stage", "inventory", "filter", "plan", "download", "--metafile", path, "--build", build, *ONE_PASS)
    assert done.returncode == 0, done.stdout
    with (build / "dataset/tables/stage_download.csv").open(encoding="utf-8", newline="") as file:
        reduced = {row["corpus"]: row for row in csv.DictReader(file) if row["stage"] == "reduce_attempts"}
    assert int(reduced["Total"]["given"]) == len(rows)
    # Rows that failed in a first pass may be kept now; of the others only the changed and the added URL may be lost.
    lost = {
        code: int(n or 0) for code, n in reduced["Total"].items() if code in REASON and not REASON[code].is_transient
    }
    assert sum(lost.values()) <= 2
    assert int(reduced["Total"]["kept"]) > len(rows) // 2
    assert run("verify", "--build", build).returncode == 0
    reported = run("explain", rows[0][0], "--build", build)
    assert reported.returncode == 0 and "corpus = rs5m" not in reported.stdout and rows[0][2] in reported.stdout
