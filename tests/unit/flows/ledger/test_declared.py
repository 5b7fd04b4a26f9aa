from dataclasses import replace
from pathlib import Path

import pytest

from flows.ask.views import open_views
from flows.ledger.declared import as_declared, differences
from flows.ledger.store import Store
from flows.ledger.verify import verify
from stages.contract import InputError, Reads, Stage
from tests.contract.broken import MADE, MAKE
from tests.contract.laws import run_toy, toy_build
from tests.earlier_receipts import of_version, without_column
from tests.small_build import Build, assert_same_contents, contents


@pytest.fixture
def toy(tmp_path: Path) -> Build:
    build = toy_build("SOUND", tmp_path / "a [b]*'")
    run_toy(build)
    return build


def due(build: Build, stage: Stage = MAKE) -> list[str]:
    return [partition.name for partition in build.ledger().state(stage).due]


def test_receipts_record_the_type_of_each_column(toy: Build) -> None:
    body = toy.ledger().state(MAKE).receipts[0].body
    assert body["kept"]["columns"] == {"sample_id": "string", "caption": "string", "similarity": "double"}
    assert body["rejects"]["columns"] == {"sample_id": "string", "reason": "string", "detail": "string"}
    assert differences(MADE, body) == ""
    other = {**body, "kept": {**body["kept"], "columns": {"sample_id": "string", "caption": "int64", "odd": "bool"}}}
    assert differences(MADE, other) == (
        "lacks the column similarity and has in addition the column odd and has with another type the column caption"
    )


@pytest.mark.parametrize("fault", ["column", "version"])
def test_a_partition_of_another_declaration_is_stale_and_done_again(toy: Build, fault: str) -> None:
    before = contents(toy)
    receipt = toy.ledger().state(MAKE).receipts[0]
    if fault == "column":
        without_column(toy.root, receipt, "similarity")
    else:
        of_version(toy.root, receipt, MAKE.version - 1)
    assert due(toy) == [receipt.partition]
    assert "1 stale: made with other settings or input, or by an earlier version" in toy.ledger().describe_due(
        toy.ledger().state(MAKE)
    )
    faults = [found for found in verify(toy.ledger()) if not isinstance(found, str)]
    assert [fault.where for fault in faults] == [f"make/{receipt.partition}"]
    run_toy(toy)
    assert due(toy) == []
    assert_same_contents(before, contents(toy))


@pytest.mark.parametrize("lasting", [replace(MAKE, is_accumulating=True), replace(MAKE, keeps="all")])
def test_what_the_world_answered_is_refused_with_the_folder_and_the_remedy(toy: Build, lasting: Stage) -> None:
    first, second = toy.ledger().state(MAKE).receipts
    store = Store(toy.root)
    assert as_declared(store, replace(lasting, version=MAKE.version + 1), second) is second
    without_column(toy.root, first, "similarity")
    earlier = store.receipt("made", first.partition, first.fingerprint)
    with pytest.raises(InputError) as caught:
        as_declared(store, lasting, earlier)
    assert str(caught.value) == (
        f"{toy.root} was made by an earlier version of this project: {first.folder} lacks the column similarity."
        " Build into a new folder with BUILD=…, or open this one with the version that made it"
    )
    assert as_declared(store, replace(MAKE, keeps="latest"), earlier) is None  # a listing is made anew


def test_a_file_without_a_column_that_its_receipt_records_is_named(toy: Build) -> None:
    receipt = toy.ledger().state(MAKE).receipts[1]
    without_column(toy.root, receipt, "similarity", is_recorded=False)
    assert due(toy) == []
    match = f"{receipt.kept_file} lacks the column similarity"
    with pytest.raises(InputError, match=match), open_views(toy.ledger()) as db:
        db.execute("SELECT sum(similarity) FROM made").fetchall()
    with pytest.raises(InputError, match=match):
        toy.ledger().read(Reads("made", ("sample_id", "similarity"), is_whole=True))


def test_a_query_that_fails_for_another_reason_keeps_its_own_message(toy: Build) -> None:
    import duckdb

    with pytest.raises(duckdb.Error, match="no_such_column"), open_views(toy.ledger()) as db:
        db.execute("SELECT no_such_column FROM made")
