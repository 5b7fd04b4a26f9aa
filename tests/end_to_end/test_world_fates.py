"""Every sample of the generated world has its planned fate."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from flows.cli import main
from flows.demo.world.rows import OUTLIER
from flows.demo.world.world import load_world
from schemas.corpora import CORPUS_CODES, LABELLED_CODES
from schemas.reasons import REASON
from tests.end_to_end.runs import cpu_s_of_children, receipts, run

# Where models decide, 99 % must be as planned; either of two scores may reject an outlier.
SCORED = ("drop_outliers", "plan_shards", "write_shards")
BY_SCORE = ("low_vlm_score", "low_detector_prob")


def _planned(world: Path) -> list[dict[str, str]]:
    with (world / "fates.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _table(build: Path, name: str) -> list[dict[str, str]]:
    with (build / "dataset" / "tables" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def observed(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    out = tmp_path_factory.mktemp("fates") / "fates.csv"
    done = run("fates", "--build", demo, "--out", out)
    assert done.returncode == 0, done.stdout
    with out.open(encoding="utf-8", newline="") as file:
        return {row["sample_id"]: row for row in csv.DictReader(file)}


def test_every_sample_has_its_planned_fate(large_world: Path, observed: dict[str, dict[str, str]]) -> None:
    wrong, wrong_by_score = [], []
    planned = [row for row in _planned(large_world) if row["stage"] != "filter"]
    scored = [row for row in planned if row["stage"] in SCORED and row["corpus"] not in LABELLED_CODES]
    for row in planned:
        found = observed.get(row["sample_id"], {})
        reason = OUTLIER if found.get("reason") in BY_SCORE else found.get("reason")
        same = all(found.get(name) == row[name] for name in ("corpus", "stage", "fate", "survivor"))
        if not same or reason != row["reason"]:
            is_of_a_score = row in scored and found.get("stage") in SCORED
            (wrong_by_score if is_of_a_score else wrong).append((row, found))
    assert not wrong, f"{len(wrong)} of {len(planned)}, first: {wrong[:3]}"
    assert len(wrong_by_score) <= 0.01 * len(scored), f"{len(wrong_by_score)} of {len(scored)}: {wrong_by_score[:5]}"
    assert len(observed) == len(planned) > 900 and len(scored) > 400
    assert {row["reason"] for row in planned} > {"near_duplicate", "timeout", "truncated_image", "private_address", ""}


def test_unmatched_rows_are_counted_per_corpus_and_reason(large_world: Path, demo: Path) -> None:
    planned = Counter((row["corpus"], row["reason"]) for row in _planned(large_world) if row["stage"] == "filter")
    counted = Counter()
    for row in _table(demo, "stage_filter.csv"):
        if row["corpus"] != "Total":
            for reason in set(row) & set(REASON):
                counted[row["corpus"], reason] += int(row[reason])
    assert +counted == +planned
    assert planned.total() > 1000


@pytest.mark.parametrize(
    "reason",
    [
        "no_keyword",
        "no_caption",
        "no_url",
        "wrong_field_count",
        "invalid_utf8",
        "no_metadata_row",
        "shifted_row",
        "bad_record",
    ],
)
def test_explain_reads_an_unmatched_row_again(
    large_world: Path, demo: Path, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_id = next(row["sample_id"] for row in _planned(large_world) if row["reason"] == reason)
    code = main(["explain", sample_id, "--build", str(demo)])
    explained = capsys.readouterr().out
    assert code == 0, explained
    assert f"reason = {reason}" in explained


def test_a_second_run_does_nothing(demo: Path) -> None:
    before = receipts(demo)
    before_s = cpu_s_of_children()
    done = run("demo", "--build", demo)
    assert done.returncode == 0
    assert cpu_s_of_children() - before_s < 20
    assert receipts(demo) == before
    assert done.stdout.startswith("nothing to do") and len(done.stdout.splitlines()) <= 5


def test_every_row_of_the_funnel_adds_up_and_the_total_is_the_last(large_world: Path, demo: Path) -> None:
    rows = _table(demo, "pub11_funnel.csv")
    figures = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
    assert list(rows[0])[:8] == ["source", *figures]
    assert all(f"published_{name}" in rows[0] for name in figures)
    assert {row["source"] for row in rows[:-1]} == set(CORPUS_CODES) - set(LABELLED_CODES)
    assert rows[-1]["source"] == "Total"
    for row in rows:
        n = {name: int(row[name]) for name in figures}
        assert n["downloaded"] - n["invalid"] - n["duplicate"] - n["outlier"] == n["remain"]
    for name in figures:
        assert int(rows[-1][name]) == sum(int(row[name]) for row in rows[:-1])
    assert int(rows[-1]["rows"]) == len(load_world(large_world).web_fates)


@pytest.mark.parametrize("command", ["status", "tables", "gc"])
def test_a_command_prints_nothing_beside_its_output(demo: Path, command: str) -> None:
    done = run(command, "--build", demo)
    assert (done.returncode, done.stderr) == (0, ""), "such as what a library finds at the interpreter's end"


def test_verify_finds_nothing_wrong(demo: Path) -> None:
    done = run("verify", "--build", demo)
    # A slow machine also sees how far it is.
    unexpected = [line for line in done.stderr.splitlines() if not line.startswith("verify: ")]
    assert (done.returncode, unexpected) == (0, []), done.stdout
    assert "every row is accounted for" in done.stdout
