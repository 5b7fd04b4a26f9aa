"""Laws for all `STAGES`, on a finished build of about sixty rows; listing a new stage tests it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.ledger.digests import digest_columns
from flows.ledger.input_digests import InputDigests
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.executor import InlineExecutor, LocalExecutor
from flows.run.worker import Committed
from schemas.fields import FIELD
from schemas.reasons import REASON
from stages import STAGES
from stages.checks import check_outcome
from stages.contract import Outcome, Reads, Stage
from tests.contract.laws import assert_independent_of_partitioning, changed_value, dependents, with_version
from tests.small_build import Build, Recorder, Web, assert_same_contents, contents, write_sources

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
PARAMETERS = [(stage, name) for stage in STAGES for name in stage.params.model_fields]
RESOURCES = [(stage, name) for stage in STAGES for name in stage.resources.model_fields]
MIN_ROWS = 4
# The small build withdraws nothing and has no hash list.
NO_ROWS = ("list_withdrawn", "record_hashes", "list_left_out", "list_barred")
FEW_ROWS = (
    "set_thresholds", "count_countries", "count_months", "count_utm_zones",  # two scores; few countries
    "find_same_ground", "find_ground_overlap",  # one sample on the ground of two sets
    "count_further_texts",  # two sources
)  # fmt: skip
# These tables describe source files, which differ when the same rows are written in other row groups.
ON_FILES = ("source_listing", "source_file")
# Tables with scores: other partitions form other batches, which round differently.
OF_SCORES = (
    "embedding", "detector_score", "vlm_score", "outlier_rule", "relevant", "caption_match", "caption_rank", "origin",
    "metafile",
)  # fmt: skip
SCORES_AGREE_WITHIN = 1e-3


def outdated(ledger: Ledger, stages: tuple[Stage, ...]) -> tuple[set[str], set[str]]:
    """Return the stages that are due, all of their partitions, and those that wait for another stage."""
    states = [ledger.state(stage) for stage in stages]
    due = {s.stage.name for s in states if s.due}
    for state in states:
        assert len(state.due) in (0, len(state.partitions)), f"{state.stage.name} is stale in part"
    return due, {s.stage.name for s in states if s.blocked}


@pytest.fixture(scope="module")
def second_run(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, Recorder]:
    again = finished.copy_to(tmp_path_factory.mktemp("second") / "build")
    return again, again.run(InlineExecutor())


@pytest.fixture(scope="module")
def repartitioned(small_web: Web, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A build of the same rows in other row groups and download partitions."""
    folder = tmp_path_factory.mktemp("repartitioned")
    sources = write_sources(folder / "sources", small_web, row_group_size=5)
    build = Build(folder / "build", sources).with_settings(download={"urls_per_partition": 7})
    build.run(InlineExecutor())
    return build


@each_stage
def test_a_finished_stage_is_typed_unique_conserving_and_closed(finished: Build, stage: Stage) -> None:
    ledger = finished.ledger()
    state = ledger.state(stage)
    assert state.is_complete and state.receipts
    n_rows = 0
    for receipt in state.receipts:
        table = stage.writes
        kept = ledger.store.read_spans([(receipt.kept_file, 0, -1)], table.schema)
        rejects = table.reject_schema.empty_table()
        if receipt.rejects_file:
            rejects = ledger.store.read_spans([(receipt.rejects_file, 0, -1)], table.reject_schema)
        inputs = {reads.name: ledger.read(reads, receipt.partition) for reads in stage.reads}
        check_outcome(stage, inputs, Outcome(kept, rejects, receipt.counts or None))
        assert receipt.n_kept == kept.num_rows and sum(receipt.reasons.values()) == rejects.num_rows
        assert set(receipt.reasons) <= set(stage.reasons)
        n_rows += kept.num_rows
    least = 0 if stage.name in NO_ROWS else 2 if stage.name in FEW_ROWS else MIN_ROWS
    assert n_rows >= least, "too few rows for the laws to be tested"


@each_stage
def test_a_receipt_has_a_digest_of_each_span_and_column_except_measured_ones(finished: Build, stage: Stage) -> None:
    ledger = finished.ledger()
    values = tuple(f.name for f in stage.writes.fields if f.kind != "measured")
    assert values
    for name, receipt in ledger.state(stage).spans.items():
        span = receipt.spans[name]
        assert set(span.digests) == set(values)
        assert digest_columns(ledger.read(Reads(stage.writes.name, values), name)) == dict(span.digests)
        if stage.split_by:
            assert stage.split_by in stage.writes.schema.names
            assert {
                row[stage.split_by]
                for row in ledger.read(Reads(stage.writes.name, (stage.split_by,)), name).to_pylist()
            } == {name}


@each_stage
def test_a_second_run_does_nothing(finished: Build, second_run: tuple[Build, Recorder], stage: Stage) -> None:
    build, watcher = second_run
    begun = [n_due for name, _, n_due in watcher.begun if name == stage.name]
    if stage.keeps == "current":
        assert not begun
    else:  # it observes again and finds nothing new to record
        events = [event for name, event in watcher.events if name == stage.name]
        assert [(type(event), getattr(event, "n_kept", None)) for event in events] == [(Committed, 0)]
    before, after = (b.ledger().state(stage).receipts for b in (finished, build))
    assert [r.body for r in before] == [r.body for r in after]
    tables = [build.root / stage.writes.name for build in (finished, build)]
    files = [{p.relative_to(table) for p in table.rglob("*") if p.is_file()} for table in tables]
    assert files[0] == files[1]


@pytest.mark.parametrize(("stage", "name"), PARAMETERS, ids=[f"{s.settings_section}.{n}" for s, n in PARAMETERS])
def test_a_changed_parameter_makes_exactly_its_dependents_stale(finished: Build, stage: Stage, name: str) -> None:
    changed = finished.with_settings(
        **{stage.settings_section: {name: changed_value(finished.settings.params(stage), name)}}
    )
    holders = {s.name for s in STAGES if s.settings_section == stage.settings_section and name in s.params.model_fields}
    # An observing stage cannot become stale: it observes again in every run.
    stale = holders - {s.name for s in STAGES if s.keeps != "current" or s.is_accumulating}
    # The new value may switch a stage off: it is then complete, nothing waits for it, and its readers are due.
    ledger, before = changed.ledger(), finished.ledger()
    off = {s.name for s in STAGES if ledger.why_off(s)}
    emptied = {s.writes.name for s in STAGES if s.name in off and not before.why_off(s)}
    stale = (stale | {s.name for s in STAGES if emptied & {reads.table for reads in s.reads}}) - off
    # If stages share a setting and one reads another's table, it waits.
    waiting = set().union(*(dependents(STAGES, {name}) for name in stale)) - off
    assert outdated(changed.ledger(), STAGES) == (stale - waiting, waiting)


def test_nothing_of_a_finished_build_is_stale_under_its_own_settings(finished: Build) -> None:
    assert outdated(finished.ledger(), STAGES) == (set(), set())


@pytest.mark.parametrize(("stage", "name"), RESOURCES, ids=[f"{s.settings_section}.{n}" for s, n in RESOURCES])
def test_a_changed_resource_makes_nothing_stale(finished: Build, stage: Stage, name: str) -> None:
    changed = finished.with_settings(
        **{stage.settings_section: {name: changed_value(finished.settings.resources(stage), name)}}
    )
    assert changed.settings.resources(stage) != finished.settings.resources(stage)
    assert outdated(changed.ledger(), STAGES) == (set(), set())


def test_parameters_and_resources_were_tested() -> None:
    assert len(PARAMETERS) >= 8 and len(RESOURCES) >= 12


@each_stage
def test_a_raised_version_makes_the_stage_and_its_dependents_stale(finished: Build, stage: Stage) -> None:
    raised = with_version(STAGES, stage.name)
    ledger = Ledger(Store(finished.root), raised, finished.settings)
    stale = set() if stage.keeps != "current" or stage.is_accumulating else {stage.name}
    assert outdated(ledger, raised) == (stale, dependents(STAGES, stale))


def test_rows_do_not_depend_on_partitioning(finished: Build, repartitioned: Build) -> None:
    """One test, so that one test process makes the second build."""
    builds = (finished, repartitioned)
    n_parts = [len(build.ledger().state(build.stage("download")).partitions) for build in builds]
    assert n_parts[1] > n_parts[0] > 1
    # Tars of pairs hold scores as text, whose length differs with their last digits.
    assert_independent_of_partitioning(finished, repartitioned, but=(*ON_FILES, *OF_SCORES, "pair", "pair_tars"))
    assert contents(finished)["shard_tars"] == contents(repartitioned)["shard_tars"]
    for table in OF_SCORES:
        assert_scores_agree(finished, repartitioned, table)


def assert_scores_agree(one: Build, other: Build, table: str) -> None:
    key, *_ = next(s.writes.key for s in STAGES if s.writes.name == table)
    ours, theirs = ({row[key]: row for row in build.rows(table)} for build in (one, other))
    assert ours.keys() == theirs.keys() and len(ours) >= 2, table
    n_compared = 0
    for name, row in ours.items():
        for column, value in row.items():
            if isinstance(value, float) or (isinstance(value, list) and column == "image_feature"):
                assert np.allclose(value, theirs[name][column], rtol=0, atol=SCORES_AGREE_WITHIN), (table, name, column)
                n_compared += 1
    assert n_compared >= len(ours), table


def test_rows_and_tars_do_not_depend_on_the_executor(finished: Build, tmp_path: Path) -> None:
    in_workers = Build(tmp_path / "build", finished.sources)
    with LocalExecutor(in_workers.settings.run) as executor:
        assert in_workers.settings.run.workers == 2
        in_workers.run(executor)
    found = contents(in_workers)
    assert_same_contents(contents(finished), found)
    # Seven or eight: which tar a web sample goes to depends on its URL, which has the port of this run.
    planned = {row["shard"] for row in in_workers.rows("shard_plan", ["shard"])}
    for tars in (found["shard_tars"], found["pair_tars"]):
        assert tars.keys() == planned and all(len(digests) == 1 for digests in tars.values())
    assert len(planned) > 4


def test_the_small_build_holds_kept_rows_and_many_reasons(finished: Build) -> None:
    ledger = finished.ledger()
    seen = {code for stage in STAGES for r in ledger.state(stage).receipts for code, n in r.reasons.items() if n}
    counted = {code for r in ledger.state(finished.stage("filter")).receipts for code, n in r.counts.items() if n}
    assert len(seen) >= 12 and {"no_caption", "no_keyword", "no_url", "invalid_utf8"} <= counted
    assert seen <= set(REASON)


@each_stage
def test_fingerprints_exclude_measured_columns_and_locations_that_are_not_copied(finished: Build, stage: Stage) -> None:
    ledger = finished.ledger()
    moved = [name for r in stage.reads for name in r.columns if FIELD[name].kind != "value"]
    for partition in ledger.state(stage).partitions:
        digests = ledger.input_digests(stage, partition.name)
        assert set(digests) == {reads.name for reads in stage.reads}
        for reads in stage.reads:
            copied = stage.writes.schema.names
            values = tuple(
                c for c in reads.columns
                if FIELD[c].kind == "value" or (FIELD[c].kind == "location" and c in copied)
            )  # fmt: skip
            if reads.section != "kept" or values == reads.columns:
                continue
            alone = Reads(reads.table, values, reads.is_whole, reads.section, reads.is_optional)
            reader = replace(stage, name="reader", reads=(alone,))
            assert InputDigests(ledger).of(reader, partition.name) == {alone.name: digests[reads.name]}, moved
