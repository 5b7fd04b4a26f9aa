import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.ask.dataset import publish_dataset
from flows.ask.tars import tars
from flows.cli import main
from flows.ledger.digests import digest_file
from flows.ledger.partition_check import Fault
from flows.ledger.receipt import Receipt, encode_receipt, read_receipt
from flows.ledger.verify import IN_FULL, How, verify
from flows.ledger.verify_progress import Progress
from flows.run.executor import InlineExecutor
from tests.contract.laws import dependents
from tests.small_build import Build, assert_same_contents, contents


def faults(build: Build, how: How = IN_FULL) -> list[Fault]:
    return [found for found in verify(build.ledger(), how) if isinstance(found, Fault)]


def receipt_of(build: Build, stage: str, position: int = 0) -> Receipt:
    return build.ledger().state(build.stage(stage)).receipts[position]


def rewrite(build: Build, receipt: Receipt, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    """Change a receipt and give it a matching sha256."""
    path = build.root / receipt.folder / "receipt.json"
    body = read_receipt(path)
    assert isinstance(body, dict)
    change(body)
    path.write_bytes(encode_receipt(body))


def change_row(build: Build, receipt: Receipt, column: str, value: object) -> None:
    """Change a row of the kept file, and give the receipt the new size and sha256."""
    path = build.root / receipt.kept_file
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0][column] = value
    pq.write_table(type(table).from_pylist(rows, table.schema), path)

    def fit(body: dict) -> None:  # type: ignore[type-arg]
        body["kept"] |= {"size_bytes": path.stat().st_size, "sha256": digest_file(path)}

    rewrite(build, receipt, fit)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 8] ^= 0xFF  # inside the rows: the footer is half of a small parquet file
    path.write_bytes(bytes(data))


def test_an_intact_build_has_no_fault_and_every_stage_was_checked(finished: Build) -> None:
    found = list(verify(finished.ledger()))
    assert [f for f in found if isinstance(f, Fault)] == []
    assert [str(line).split(":")[0] for line in found] == [stage.name for stage in finished.stages]
    assert "plan: 4 receipts, 54 rows" in found


Damage = Callable[[Build], Receipt]


def tamper_kept(build: Build) -> Receipt:
    receipt = receipt_of(build, "filter", 1)
    flip_a_byte(build.root / receipt.kept_file)
    return receipt


def tamper_rejects(build: Build) -> Receipt:
    receipt = next(r for r in build.ledger().state(build.stage("plan")).receipts if r.rejects_file)
    flip_a_byte(build.root / str(receipt.rejects_file))
    return receipt


def tamper_tar(build: Build) -> Receipt:
    receipt = receipt_of(build, "write_shards")
    flip_a_byte(build.root / receipt.folder / receipt.body["files"][0]["file"])
    return receipt


def change_a_value(build: Build) -> Receipt:
    receipt = receipt_of(build, "filter", 0)
    change_row(build, receipt, "caption", "quite another caption")
    return receipt


def swap_a_key(build: Build) -> Receipt:
    receipt = receipt_of(build, "drop_duplicates")
    change_row(build, receipt, "sample_id", "laion2b_7_7")
    return receipt


def falsify_counts(build: Build) -> Receipt:
    receipt = receipt_of(build, "filter", 2)
    rewrite(build, receipt, lambda body: body["counts"].update(no_keyword=body["counts"]["no_keyword"] + 1))
    return receipt


DAMAGES: list[tuple[Damage, list[str]]] = [
    (tamper_kept, ["does not have the sha256 of its receipt"]),
    (tamper_rejects, ["does not have the sha256 of its receipt"]),
    (tamper_tar, ["does not have the sha256 of its receipt"]),
    (change_a_value, ["do not match the digests of the receipt"]),
    (swap_a_key, ["neither kept nor rejected", "do not match the digests of the receipt"]),
    (falsify_counts, ["rows given,"]),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_a_changed_file_is_named(damaged: Build, damage: Damage, words: list[str]) -> None:
    receipt = damage(damaged)
    found = faults(damaged)
    own = own_faults(found, receipt)
    for text in words:
        assert any(text in fault.what for fault in own), found
    # Partitions that were made from the unchanged rows may also be named, but no others.
    later = dependents(damaged.stages, {receipt.body["stage"]})
    assert {fault.where.split("/")[0] for fault in found if fault not in own} <= later


def test_changed_files_are_set_aside_and_made_again(finished: Build, damaged: Build, tmp_path: Path) -> None:
    receipts = [damage(damaged) for damage, _ in DAMAGES]
    found = faults(damaged)
    assert all(own_faults(found, receipt) for receipt in receipts)
    assert main(["verify", *damaged.arguments(tmp_path), "--repair"]) == 1
    assert not any((damaged.root / receipt.folder / "receipt.json").exists() for receipt in receipts)
    damaged.run(InlineExecutor())
    assert faults(damaged) == []
    assert_same_contents(contents(finished), contents(damaged))


def own_faults(found: list[Fault], receipt: Receipt) -> list[Fault]:
    """Return the faults that name a receipt."""
    where = f"{receipt.body['stage']}/{receipt.partition}"
    return [fault for fault in found if (fault.where, fault.folder) == (where, receipt.folder)]


def test_a_truncated_receipt_is_named_and_its_partition_done_again(finished: Build, damaged: Build) -> None:
    receipt = receipt_of(damaged, "plan", 1)
    path = damaged.root / receipt.folder / "receipt.json"
    whole = path.read_bytes()
    for cut in (200, 10, 0):
        path.write_bytes(whole[:cut])
        assert (receipt.folder, receipt.folder) in [(fault.where, fault.folder) for fault in faults(damaged)]
    watcher = damaged.run(InlineExecutor())
    assert [
        name
        for name, _, n_due in watcher.begun
        if n_due and name not in ("list_sources", "list_withdrawn", "record_hashes", "open_pass")
    ] == ["plan"]
    assert faults(damaged) == []
    assert_same_contents(contents(finished), contents(damaged))


def test_a_receipt_whose_text_was_changed_is_named(damaged: Build) -> None:
    receipt = receipt_of(damaged, "plan")
    path = damaged.root / receipt.folder / "receipt.json"
    body = json.loads(path.read_text())
    body["version"] = 99
    path.write_text(json.dumps(body))
    assert receipt.folder in [fault.where for fault in faults(damaged)]


def test_a_pass_is_no_fault_when_its_inputs_have_changed_since(damaged: Build) -> None:
    fewer = damaged.with_settings(inventory={"corpora": ["laion2b", "cc3m"]})
    fewer.run(InlineExecutor())
    assert faults(fewer) == []


def test_a_deleted_file_makes_its_partition_due_and_the_next_run_makes_it_again(
    finished: Build, damaged: Build, tmp_path: Path
) -> None:
    lost = []
    for stage in ("inventory", "plan", "reduce_attempts", "screen", "write_metafile"):
        receipt = receipt_of(damaged, stage)
        path, aside = damaged.root / receipt.kept_file, tmp_path / stage
        path.rename(aside)
        assert [p.name for p in damaged.ledger().state(damaged.stage(stage)).due] == [receipt.partition]
        named = [f for f in verify(damaged.ledger()) if receipt.folder in str(f) or f"{stage}:" in str(f)]
        assert any("1 partition to do" in str(line) or isinstance(line, Fault) for line in named)
        aside.rename(path)
        lost.append(path)
    for path in lost:
        path.unlink()
    damaged.run(InlineExecutor())
    assert faults(damaged) == []
    assert_same_contents(contents(finished), contents(damaged))


def test_lost_bodies_are_fetched_again_and_read_from_their_new_location(finished: Build, damaged: Build) -> None:
    receipt = receipt_of(damaged, "download")
    (damaged.root / receipt.folder / receipt.body["files"][0]["file"]).unlink()
    assert [p.name for p in damaged.ledger().state(damaged.stage("download")).due] == [receipt.partition]
    damaged.run(InlineExecutor())
    assert_same_contents(contents(finished), contents(damaged))
    other = damaged.with_settings(shard={"n_shards": 3})
    other.run(InlineExecutor())
    assert len(other.rows("shard")) == len(finished.rows("shard"))


def test_a_fault_ends_verify_with_exit_code_1_and_what_to_do(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *damaged.arguments(tmp_path)]) == 0
    assert "every row is accounted for" in capsys.readouterr().out
    tamper_kept(damaged)
    assert main(["verify", *damaged.arguments(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "FAULT filter/" in said and "make verify REPAIR=yes" in said


def counts(build: Build, how: How) -> tuple[int, int]:
    """Return the numbers of partitions and of file bytes that a verification checked; it must find no fault."""
    seen = [(0, 0)]
    shown = replace(how, show=lambda progress: seen.append((progress.n_done, progress.bytes_done)))
    assert [found for found in verify(build.ledger(), shown) if isinstance(found, Fault)] == []
    return seen[-1]


def test_a_resumed_verification_reads_only_what_is_new_or_changed(damaged: Build) -> None:
    publish_dataset(damaged.ledger())
    ledger = damaged.ledger()
    receipts = [r for stage in damaged.stages for r in ledger.state(stage).receipts]
    everything = (len(receipts), sum(r.n_bytes for r in receipts))
    assert counts(damaged, How(is_resumed=True)) == everything  # nothing to resume yet
    assert counts(damaged, How(is_resumed=True)) == (0, 0)
    receipt = receipt_of(damaged, "write_shards")
    tar = damaged.root / receipt.folder / receipt.body["files"][0]["file"]
    flip_a_byte(tar)
    found = faults(damaged, How(is_resumed=True))
    assert [(f.where, f.folder) for f in found] == [(f"write_shards/{receipt.partition}", receipt.folder)]
    flip_a_byte(tar)
    assert counts(damaged, How(is_resumed=True)) == (1, receipt.n_bytes)
    assert counts(damaged, How()) == everything


def test_an_interrupted_verification_continues_where_it_stopped(damaged: Build) -> None:
    ledger = damaged.ledger()
    n_receipts = sum(len(ledger.state(stage).receipts) for stage in damaged.stages)

    class Stop(Exception):
        pass

    def stop_at_ten(progress: Progress) -> None:
        if progress.n_done == 10:
            raise Stop

    with pytest.raises(Stop):
        list(verify(damaged.ledger(), How(show=stop_at_ten)))
    assert counts(damaged, How(is_resumed=True))[0] == n_receipts - 10


def test_published_files_are_read_once_under_their_two_names(damaged: Build) -> None:
    folder = publish_dataset(damaged.ledger()).resolve()
    name, path = next(iter(tars(damaged.ledger()).items()))
    assert (folder / name).samefile(path)
    flip_a_byte(path)
    assert {fault.where.split("/")[0] for fault in faults(damaged)} == {"write_shards"}
    flip_a_byte(path)
    # A copy has another inode, so its own bytes are checked.
    data = path.read_bytes()
    (folder / name).unlink()
    (folder / name).write_bytes(data)
    assert faults(damaged) == []
    flip_a_byte(folder / name)
    assert [fault.where for fault in faults(damaged)] == ["dataset"]
    assert faults(damaged, How(is_quick=True)) == []
    (folder / name).unlink()
    assert [fault.where for fault in faults(damaged, How(is_quick=True))] == ["dataset"]


def test_a_quick_verification_finds_truncated_files_and_says_what_it_did_not_read(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *damaged.arguments(tmp_path), "--quick"]) == 0
    assert "no bytes and no rows were read" in capsys.readouterr().out
    tamper_kept(damaged)  # the size stays the same
    assert faults(damaged, How(is_quick=True)) == [] and faults(damaged) != []
    receipt = receipt_of(damaged, "write_shards")
    tar = damaged.root / receipt.folder / receipt.body["files"][0]["file"]
    tar.write_bytes(tar.read_bytes()[:-1])
    assert [fault.folder for fault in faults(damaged, How(is_quick=True))] == [receipt.folder]
