import csv
from collections import Counter
from pathlib import Path

import pytest

from flows.ask.fates import write_fates
from flows.ask.inspect import explain, failures, status_report
from flows.cli import main
from flows.ledger.garbage import collect_garbage
from flows.run.executor import InlineExecutor
from flows.run.runner import StageFailure
from schemas.corpora import LABELLED_CODES
from stages.contract import InputError
from stages.withdraw.entries import read_entry
from tests.contract.laws import run_toy, toy_build
from tests.earlier_receipts import without_column
from tests.labelled_files import FATES as LABELLED_FATES
from tests.small_build import FATES, Build, assert_same_contents, contents

# These stages decide on files, not on samples.
OF_FILES = {"list_sources", "list_evaluation", "hash_evaluation", "describe_evaluation", "locate_evaluation"}
OF_PAIRS = {"compare_pairs", "compare_candidates"}  # not every picture has a pair
OF_LABELLED = {"read_labelled", "draw_captions", "rank_captions", "choose_captions"}


def status(build: Build) -> dict[object, dict[str, object]]:
    return {row["stage"]: dict(row) for row in status_report(build.ledger()).rows}


def fates(build: Build, out: Path) -> list[dict[str, str]]:
    counts = write_fates(build.ledger(), out)
    rows = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
    assert Counter(row["fate"] for row in rows) == counts
    return rows


def files(build: Build) -> set[Path]:
    found = {p.relative_to(build.root) for p in build.root.rglob("*") if p.is_file()}
    return {p for p in found if not any(part.startswith(".") for part in p.parts)}


def test_status_counts_partitions_and_rows_of_a_finished_build(finished: Build) -> None:
    found = status(finished)
    assert list(found) == [stage.name for stage in finished.stages]
    assert {(row["missing"], row["stale"], row["failed"], row["note"]) for row in found.values()} == {(0, 0, 0, "")}
    assert (found["plan"]["done"], found["plan"]["kept"], found["plan"]["rejected"]) == (4, 52, 2)


def test_status_distinguishes_missing_stale_and_failed_partitions(damaged: Build, tmp_path: Path) -> None:
    stale = status(damaged.with_settings(dedup={"max_distance": 3}))
    found = stale["find_pairs"]
    assert (found["stale"], found["missing"], found["done"]) == (1, 0, 0)
    notes = [str(row["note"]) for row in stale.values() if row["note"]]
    assert "run `make stage-dedup` first" in notes[0], "the first stage that waits says what for"
    assert stale["drop_duplicates"]["note"] == "waits: see compare_pairs"
    assert len({note for note in notes if "see " not in note}) == sum("see " not in note for note in notes)
    receipt = damaged.ledger().state(damaged.stage("plan")).receipts[0]
    (damaged.root / receipt.folder / "receipt.json").unlink()
    assert (status(damaged)["plan"]["missing"], status(damaged)["plan"]["done"]) == (1, 3)
    toy = toy_build("RAISES_INPUT_ERROR", tmp_path / "toy")
    with pytest.raises(StageFailure):
        run_toy(toy)
    assert (status(toy)["make"]["failed"], status(toy)["make"]["done"]) == (1, 1)
    assert list(failures(toy.ledger())) == [
        ("make/part-00", "the file is not as expected: found nothing; put one there")
    ]


def test_status_of_an_empty_build_says_what_to_run_first(small_sources: Path, tmp_path: Path) -> None:
    found = status(Build(tmp_path / "build", small_sources))
    assert {row["done"] for row in found.values()} == {0}
    assert found["list_sources"]["note"] == "run `make stage-inventory`"
    assert "run `make stage-inventory` first" in str(found["inventory"]["note"])
    assert found["filter"]["note"] == "waits: see inventory"


def test_every_candidate_has_exactly_its_planned_fate(finished: Build, tmp_path: Path) -> None:
    rows = fates(finished, tmp_path / "deep" / "fates.csv")
    web = [row for row in rows if row["corpus"] not in LABELLED_CODES]
    assert sorted(row["sample_id"] for row in web) == sorted(r["sample_id"] for r in finished.rows("candidate"))
    assert len(web) == 54
    labelled = {row["sample_id"]: row["reason"] for row in rows if row["corpus"] in LABELLED_CODES}
    assert labelled == LABELLED_FATES
    found = {row["sample_id"]: row for row in rows}
    for sample_id, (stage, reason) in FATES.items():
        assert (found[sample_id]["stage"], found[sample_id]["reason"]) == (stage, reason), sample_id
    kept = {row["sample_id"] for row in rows if row["fate"] == "kept"}
    assert kept == {row["sample_id"] for row in finished.rows("metafile")}
    outliers = {row["sample_id"] for row in rows if row["stage"] == "drop_outliers"}
    assert {row["survivor"] for row in rows if row["survivor"]} <= kept | outliers


def test_fates_need_a_finished_build(finished: Build, tmp_path: Path) -> None:
    other = finished.with_settings(dedup={"max_distance": 3})
    with pytest.raises(InputError, match=r"fates need a finished build: .*make stage-dedup"):
        write_fates(other.ledger(), tmp_path / "fates.csv")
    assert not (tmp_path / "fates.csv").exists()


def test_explain_shows_what_every_stage_did_with_a_kept_sample(finished: Build) -> None:
    text = "\n".join(explain(finished.ledger(), "cc3m_0_0", None))
    stages = [line.split(":")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert text.startswith("sample cc3m_0_0: published in pub11-") and stages.pop(1) == "its picture"
    order = [stage.name for stage in finished.stages]
    assert stages[1:] == sorted(stages[1:], key=order.index)
    deciding = {s.name for s in finished.stages if s.reasons and s.name not in OF_FILES | OF_PAIRS} - OF_LABELLED
    assert deciding <= set(stages)
    for fact in ("keywords = ['Google Earth']", "http_status = 200", "width_px = 64", "phash = ", "shard = pub11-"):
        assert fact in text
    assert "REJECTED" not in text


def test_explain_writes_perceptual_hashes_as_withdraw_reads_them(finished: Build) -> None:
    image_id, phash = (finished.rows("image", ("image_id", "phash"))[0][name] for name in ("image_id", "phash"))
    sample_id = next(
        row["sample_id"] for row in finished.rows("sample", ("sample_id", "image_id")) if row["image_id"] == image_id
    )
    text = "\n".join(explain(finished.ledger(), sample_id, None))
    assert f"phash = {phash:016x}\n" in text and f"phash_orientations = ['{phash:016x}', " in text
    assert read_entry(f"{phash:016x}") == ("phash", f"{phash:016x}")


def test_explain_does_not_offer_a_picture_that_show_refuses(finished: Build) -> None:
    marked = finished.with_settings(shard={"max_punsafe_of": {"coyo700m": 0.0}})
    lines = explain(marked.ledger(), "coyo700m_0_5", None)
    assert "its picture is not shown: the sample is withdrawn, on a hash list or marked" in lines[1]
    assert "make show" not in "\n".join(lines)


@pytest.mark.parametrize("sample_id", [name for name, (_, reason) in FATES.items() if reason])
def test_explain_names_the_stage_and_the_reason_of_a_rejected_sample(finished: Build, sample_id: str) -> None:
    stage, reason = FATES[sample_id]
    lines = explain(finished.ledger(), sample_id, None)
    rejected = [line for line in lines if "REJECTED" in line]
    assert len(rejected) == 1 and rejected[0].startswith(f"{stage}: REJECTED\n")
    assert f"reason = {reason}" in rejected[0]
    assert lines[-1] == rejected[0], "no stage follows"
    assert lines[0].startswith(f"sample {sample_id}: rejected by {stage}: {reason}"), "the verdict comes first"


@pytest.mark.parametrize(
    ("sample_id", "reason", "fact"),
    [
        ("laion2b_0_3", "no_keyword", "source_caption = 'a cat'"),
        ("laion2b_0_4", "no_caption", "url = 'http://"),
        ("laion2b_0_5", "no_url", ""),
        ("cc3m_0_8", "no_keyword", "source_caption = 'a horse'"),
        ("cc3m_0_9", "invalid_utf8", "0xff"),
        ("cc3m_0_10", "wrong_field_count", ""),
    ],
)
def test_explain_reads_the_source_again_for_a_row_that_never_matched(
    finished: Build, sample_id: str, reason: str, fact: str
) -> None:
    text = "\n".join(explain(finished.ledger(), sample_id, finished.sources))
    assert f"reason = {reason}" in text and fact in text


@pytest.mark.parametrize("sample_id", ["laion2b_9_0", "nothing", "redcaps_0_1", "laion2b_0_x"])
def test_explain_of_an_unknown_id_describes_the_form_of_ids(finished: Build, sample_id: str) -> None:
    with pytest.raises(InputError, match=r"expected <corpus>_<part>_<row> of a listed file, such as cc3m_0_0"):
        explain(finished.ledger(), sample_id, finished.sources)


def test_explain_of_an_unmatched_row_needs_the_sources(finished: Build) -> None:
    with pytest.raises(InputError, match=r"set SOURCES=… to read its row again from laion2b/part-00000-a\.parquet"):
        explain(finished.ledger(), "laion2b_0_3", None)


def test_garbage_is_exactly_the_files_that_no_receipt_names(finished: Build, damaged: Build) -> None:
    before = files(damaged)
    assert collect_garbage(damaged.ledger(), is_dry_run=False) == (0, 0, [])
    assert files(damaged) == before
    receipt = damaged.ledger().state(damaged.stage("screen")).receipts[0]
    strays = [
        damaged.root / receipt.folder / "abandoned.kept.parquet",
        damaged.root / receipt.folder / "receipt.json.damaged-1",
        damaged.root / "image/000-00000/0123456789ab/half.kept.parquet",
    ]
    for stray in strays:
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"rubbish")
    assert collect_garbage(damaged.ledger(), is_dry_run=True)[:2] == (3, 21)
    assert all(stray.exists() for stray in strays)
    assert collect_garbage(damaged.ledger(), is_dry_run=False)[:2] == (3, 21)
    assert files(damaged) == before
    assert_same_contents(contents(finished), contents(damaged))


def test_results_of_other_settings_are_garbage_once_the_new_ones_are_finished(damaged: Build) -> None:
    other = damaged.with_settings(dedup={"max_distance": 3})
    n_files, _, notes = collect_garbage(other.ledger(), is_dry_run=True)
    assert n_files == 0
    assert len(notes) == 1 and notes[0].startswith("nothing removed of what is not complete: find_pairs, ")
    other.run(InlineExecutor())
    n_files, n_bytes, notes = collect_garbage(other.ledger(), is_dry_run=False)
    assert n_files >= 2 and n_bytes > 0 and notes == []
    assert status(damaged)["cluster"]["done"] == 0
    assert status(damaged)["download"]["done"] == 3, "observations are never removed"
    kept = contents(other)
    assert kept["shard_tars"] and kept["pair_tars"]


def test_every_command_names_a_build_folder_of_an_earlier_version(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = damaged.ledger().state(damaged.stage("download")).receipts[0]
    without_column(damaged.root, receipt, "body_md5")
    options = damaged.arguments(tmp_path)
    more = {"explain": ["laion2b_0_0"], "fates": ["--out", str(tmp_path / "fates.csv")]}
    for command in ("status", "explain", "tables", "report", "verify", "fates", "gc", "build"):
        assert main([command, *more.get(command, []), *options]) == 2
        said = capsys.readouterr().out
        assert f"error: {damaged.root} was made by an earlier version of this project: {receipt.folder}" in said
        assert "lacks the column body_md5. Build into a new folder with BUILD=…" in said
