import gc
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.card.facts import card_digest
from flows.card.identity import unfinished
from flows.ledger.ledger import Ledger, short
from flows.ledger.store import Store
from flows.run.executor import InlineExecutor
from flows.run.runner import Runner
from flows.settings import check_settings
from schemas import corpora
from stages.contract import InputError, Reads, Stage
from stages.identity import digest_json
from tests.contract.broken import GIVE, MAKE
from tests.contract.laws import run_toy, toy_build
from tests.small_build import Build, Recorder


@pytest.fixture
def toy(tmp_path: Path) -> Build:
    build = toy_build("SOUND", tmp_path)
    run_toy(build)
    return build


def due(build: Build, stages: tuple[Stage, ...]) -> list[str]:
    ledger = Ledger(Store(build.root), stages, check_settings("toy", build.sections, stages))
    return [f"{s.name}/{p.name}" for s in stages for p in ledger.state(s).due]


def test_a_stage_without_its_input_is_blocked_and_says_what_to_run(tmp_path: Path) -> None:
    build = toy_build("SOUND", tmp_path)
    state = build.ledger().state(MAKE)
    assert not state.partitions and not state.is_complete
    expected = "1 of 1 partitions of given are missing: run `make stage-toy` first"
    assert state.blocked == expected
    assert build.ledger().inputs_ready(MAKE) == expected


def test_a_stale_input_blocks_with_another_message_than_a_missing_one(toy: Build) -> None:
    changed = toy.with_settings(toy={"n_parts": 3})
    assert (
        "1 of 1 partitions of given are missing (1 stale: made with other settings or input, or by an earlier version)"
        in (changed.ledger().state(MAKE).blocked)
    )


def test_partitions_come_from_the_spans_of_an_input_and_not_from_the_disk(toy: Build) -> None:
    (toy.root / "made" / "part-99" / "abc").mkdir(parents=True)
    state = toy.ledger().state(MAKE)
    assert [p.name for p in state.partitions] == ["part-00", "part-01"]
    assert state.is_complete and sorted(state.spans) == ["part-00", "part-01"]


def test_a_column_that_is_not_read_makes_nothing_stale(toy: Build) -> None:
    assert due(toy, (GIVE, MAKE)) == []
    wider = replace(MAKE, reads=(Reads("given", ("sample_id", "source_row", "url")),))
    assert due(toy, (GIVE, wider)) == ["make/part-00", "make/part-01"]
    other_location = replace(MAKE, reads=(Reads("given", ("sample_id", "source_row", "partition")),))
    assert due(toy, (GIVE, other_location)) == []


def test_a_changed_row_only_makes_its_own_partition_stale(toy: Build) -> None:
    def give_other(inputs: object, context: object) -> object:
        outcome = GIVE.run(inputs, context)  # type: ignore[arg-type]
        rows = outcome.kept.to_pylist()
        rows[0]["source_row"] = 100
        return replace(outcome, kept=type(outcome.kept).from_pylist(rows, outcome.kept.schema))

    stages = (replace(GIVE, version=2, run=give_other), MAKE)
    from tests.contract import broken

    broken.CHANGED_FOR_A_TEST = stages  # type: ignore[attr-defined]
    try:
        other = Build(toy.root, toy.sources, toy.sections, stages, "tests.contract.broken:CHANGED_FOR_A_TEST")
        watcher = other.run(InlineExecutor(), ["toy"])
    finally:
        del broken.CHANGED_FOR_A_TEST  # type: ignore[attr-defined]
    assert watcher.begun == [("give", 1, 1), ("make", 2, 1)]
    assert [event.partition for name, event in watcher.events if name == "make"] == ["part-00"]


def test_the_fingerprint_includes_name_version_params_and_inputs_but_no_resources(toy: Build) -> None:
    ledger = toy.ledger()
    base = ledger.fingerprint(MAKE, "part-00")
    assert base == toy.ledger().fingerprint(MAKE, "part-00") and len(base) == 64
    others = {
        ledger.fingerprint(MAKE, "part-01"),
        toy.ledger().fingerprint(replace(MAKE, version=2), "part-00"),
        toy.with_settings(toy={"text": "other"}).ledger().fingerprint(MAKE, "part-00"),
    }
    assert len(others) == 3 and base not in others
    assert toy.with_settings(toy={"n_threads": 9}).ledger().fingerprint(MAKE, "part-00") == base
    accumulating = replace(MAKE, is_accumulating=True)
    fingerprint = toy.ledger().fingerprint(accumulating, "part-00")
    assert fingerprint == toy.ledger().fingerprint(replace(accumulating, version=2), "part-00")
    assert len(short(base)) == 12


def test_an_older_receipt_is_current_again_when_its_settings_return(toy: Build) -> None:
    other = toy.with_settings(toy={"text": "other"})
    run_toy(other)
    assert {row["caption"].split()[0] for row in other.rows("made")} == {"other"}
    assert {row["caption"].split()[0] for row in toy.rows("made")} == {"caption"}
    assert due(toy, toy.stages) == []


def test_pieces_name_row_groups_of_one_span_or_of_all_in_order(toy: Build) -> None:
    ledger = toy.ledger()
    pieces = ledger.pieces(Reads("given", ("sample_id",), is_whole=True), "whole")
    assert [(p.span, p.first_group, p.n_groups, p.n_rows) for p in pieces] == [
        ("part-00", 0, 1, 6),
        ("part-01", 1, 1, 6),
    ]
    assert [p.span for p in ledger.pieces(Reads("given", ("sample_id",)), "part-01")] == ["part-01"]
    assert ledger.pieces(Reads("given", ("sample_id",)), "part-07") == []
    assert ledger.rows_given(MAKE, "part-01") == 6


def test_rejects_are_read_by_partition_or_whole(toy: Build) -> None:
    ledger = toy.ledger()
    reads = Reads("made", ("sample_id", "reason"), is_whole=True, section="rejects")
    assert reads.name == "made_rejects"
    assert ledger.read(reads)["sample_id"].to_pylist() == [f"toy_0_{n:02d}" for n in range(0, 12, 2)]
    alone = replace(reads, is_whole=False)
    assert ledger.read(alone, "part-01")["sample_id"].to_pylist() == ["toy_0_06", "toy_0_08", "toy_0_10"]


def test_counts_are_read_from_receipts(tmp_path: Path) -> None:
    build = toy_build("SOUND_COUNT", tmp_path)
    run_toy(build)
    rows = build.ledger().read(Reads("made", is_whole=True, section="counts")).to_pylist()
    assert {(r["partition"], r["reason"]): r["n"] for r in rows} == {
        (span, reason): n
        for span in ("part-00", "part-01")
        for reason, n in (("given", 10), ("kept", 3), ("not_an_image", 3), ("no_caption", 4))
    }


def test_a_damaged_input_file_is_named_with_the_remedy(toy: Build) -> None:
    ledger = toy.ledger()
    receipt = ledger.state(GIVE).receipts[0]
    path = ledger.store.path(receipt.kept_file)
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(
        InputError, match=r"given cannot be read: (.|\n)*make verify REPAIR=yes`, then `make stage-toy`"
    ):
        ledger.read(Reads("given", ("sample_id",), is_whole=True))


def test_finding_due_partitions_reads_no_data_file(toy: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object, **named: object) -> None:
        raise AssertionError("a data file was opened")

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    assert all(toy.ledger().state(stage).is_complete for stage in toy.stages)


def test_dependencies_of_a_stage_are_fingerprinted_beside_its_tools(tmp_path: Path) -> None:
    ledger = Build(tmp_path, tmp_path).ledger()
    by_name = {stage.name: ledger.tool_identities(stage) for stage in ledger.stages}
    assert set(by_name["embed_prompts"]) == {"scorer", "prompts"} and by_name["embed_prompts"]["prompts"]["sha256"]
    assert set(by_name["write_shards"]) == {"codecs"} and by_name["write_shards"]["codecs"]


def _with_manifest(folder: Path, code: str, **changed: str) -> None:
    keys = {"reader": "parquet", "file_pattern": "x", "annotation_licence": "CC0-1.0", "image_rights": "x"} | changed
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    (folder / f"{code}.toml").write_text("\n".join([*lines, "columns = {url = 'u', source_caption = 'c'}"]))


def test_only_the_rights_in_corpora_of_the_build_make_stages_stale(
    finished: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = finished.ledger()
    used = {"laion2b", "coyo700m", "cc3m", "fmow", "ben", "millionaid"}
    assert ledger.corpora() == used and unfinished(ledger) == []
    redistributable = finished.with_settings(shard={"rights": "redistributable"}).ledger()
    assert set(redistributable.tool_identities(finished.stage("plan_shards"))["redistribution"]) == used
    card = card_digest(ledger)
    folder = shutil.copytree(corpora.CORPORA, tmp_path / "manifests")
    monkeypatch.setattr(corpora, "CORPORA", folder)
    _with_manifest(folder, "skyother")
    _with_manifest(folder, "cc12m", image_rights="other")
    assert unfinished(finished.ledger()) == [] and card_digest(finished.ledger()) == card
    own = folder / "cc3m.toml"
    own.write_text(own.read_text().replace("Each image belongs", "Every image belongs"))
    assert "write_metafile" in unfinished(finished.ledger()) and card_digest(finished.ledger()) != card


def test_rights_follow_the_listing_that_the_same_run_makes(finished: Build, tmp_path: Path) -> None:
    build = Build(tmp_path / "build", finished.sources)
    ledger, stage = build.ledger(), build.stage("write_metafile")
    assert ledger.tool_identities(stage) == {"image_rights": {}}
    executor = InlineExecutor()
    Runner(ledger, executor, Recorder(), build.catalogue, build.sources).run(["inventory"])
    assert ledger.tool_identities(stage) == finished.ledger().tool_identities(stage)
    assert len(ledger.tool_identities(stage)["image_rights"]) == 6


def test_a_fingerprint_is_the_digest_of_all_dependencies_as_canonical_json(toy: Build) -> None:
    ledger = toy.ledger()
    for stage, partition in ((GIVE, "whole"), (MAKE, "part-01")):
        depends = {
            "stage": stage.name,
            "version": stage.version,
            "partition": partition,
            "inputs": ledger.input_digests(stage, partition),
            "params": ledger.plain_params(stage),
            "tools": ledger.tool_identities(stage),
        }
        assert ledger.fingerprint(stage, partition) == digest_json(depends)
        accumulating = replace(stage, name=f"{stage.name}_once", is_accumulating=True)
        fewer = {key: depends[key] for key in ("inputs", "partition")} | {"stage": accumulating.name}
        assert ledger.fingerprint(accumulating, partition) == digest_json(fewer)


def test_reading_receipts_leaves_the_garbage_collector_as_it_was(toy: Build) -> None:
    assert gc.isenabled()
    assert toy.ledger().state(MAKE).is_complete
    assert gc.isenabled()
    gc.disable()
    try:
        assert toy.ledger().state(MAKE).is_complete and not gc.isenabled()
    finally:
        gc.enable()


def test_rows_given_are_those_of_the_inputs_that_the_keys_come_from(finished: Build) -> None:
    ledger, screen = finished.ledger(), finished.stage("screen")
    given = {p.name: ledger.rows_given(screen, p.name) for p in ledger.state(screen).partitions}
    receipts = [p.receipt for p in ledger.state(screen).partitions if p.receipt]
    accounted = {receipt.partition: receipt.n_kept + sum(receipt.rejected.values()) for receipt in receipts}
    assert given == accounted and {name for name in given if name.startswith("ben-")}
