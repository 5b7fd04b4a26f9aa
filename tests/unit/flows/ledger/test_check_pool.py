import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ledger.check_pool import run_checks
from flows.ledger.partition_check import Check
from flows.ledger.receipt import Receipt
from stages.contract import InputError
from tests.contract.laws import run_toy, toy_build
from tests.small_build import Build


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Build:
    build = toy_build("SOUND", tmp_path_factory.mktemp("toy"))
    run_toy(build)
    return build


def checks(build: Build, is_quick: bool = False) -> Iterator[Check]:
    ledger = build.ledger()
    for stage in build.stages:
        for receipt in ledger.state(stage).receipts:
            given = [reads for reads in stage.reads if reads.name in stage.given.names]
            yield Check(stage.name, receipt, {r.name: ledger.pieces(r, receipt.partition) for r in given}, is_quick)


def test_two_processes_find_the_same_as_one_in_the_same_order(toy: Build, tmp_path: Path) -> None:
    build = toy.copy_to(tmp_path / "build")
    receipt = build.ledger().state(build.stages[-1]).receipts[0]
    path = build.root / receipt.kept_file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    store = build.ledger().store
    found = {n: list(run_checks(checks(build), store, build.stages, build.catalogue, n)) for n in (1, 2)}
    assert found[1] == found[2] and len(found[1]) == len(list(checks(build)))
    faults = [fault for checked in found[2] for fault in checked.faults]
    assert [fault.folder for fault in faults] == [receipt.folder]
    assert "does not have the sha256 of its receipt" in faults[0].what


def test_a_quick_check_compares_sizes_and_columns_without_reading_rows(toy: Build, tmp_path: Path) -> None:
    build = toy.copy_to(tmp_path / "build")
    store = build.ledger().store
    quick = list(checks(build, is_quick=True))
    found = list(run_checks(quick, store, build.stages, build.catalogue, 1))
    assert not any(checked.faults or checked.seen for checked in found)
    last = quick[-1].receipt
    path = build.root / last.kept_file
    whole, table = path.read_bytes(), pq.read_table(path)
    renamed = table.rename_columns([f"{name}_x" for name in table.column_names])

    def said() -> str:
        body = {**last.body, "kept": {**last.body["kept"], "size_bytes": path.stat().st_size}}
        fitted = [replace(quick[-1], receipt=Receipt(body, last.folder))]
        (checked,) = run_checks(fitted, store, build.stages, build.catalogue, 1)
        return " ".join(fault.what for fault in checked.faults)

    path.write_bytes(whole[:-1])
    assert "bytes, " in next(run_checks(quick[-1:], store, build.stages, build.catalogue, 1)).faults[0].what
    assert "cannot be read" in said()
    pq.write_table(renamed, path)
    assert "does not have the columns of" in said()
    pq.write_table(pa.concat_tables([table, table]), path)
    assert f"{2 * last.n_kept} rows in" in said()
    path.unlink()
    assert "is gone" in list(run_checks(quick, store, build.stages, build.catalogue, 1))[-1].faults[0].what


def test_a_killed_process_ends_the_checks_with_an_advice(toy: Build) -> None:
    def kill_a_child(given: Iterator[Check]) -> Iterator[Check]:
        yield from given
        for path in Path("/proc/self/task").glob("*/children"):
            for pid in path.read_text().split():
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"spawn_main" in command:
                    os.kill(int(pid), signal.SIGKILL)

    with pytest.raises(InputError, match="RESUME=yes"):
        list(run_checks(kill_a_child(checks(toy)), toy.ledger().store, toy.stages, toy.catalogue, 2))
