"""A disk that fills in the middle of a tar, of the published folder or of a withdrawal: no halves, no losses."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from flows.ask import dataset
from flows.ask.dataset import dataset_faults, publish_dataset
from flows.ask.tars import published_tars, tar_digests
from flows.cli import main
from flows.ledger.disk import is_disk_full
from flows.ledger.store import Store
from flows.run import commands
from flows.run.executor import InlineExecutor
from flows.run.runner import StageFailure
from tests.conftest import SmallDisk
from tests.small_build import Build, assert_same_contents, contents

pytestmark = pytest.mark.needs_root
_TARS = ("shard", "pair")


@pytest.fixture
def on_disk(finished: Build, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A copy of the finished build on a small disk, of which no run knows beforehand that it is small."""
    monkeypatch.setattr(Store, "free_bytes", lambda store: 10**12)
    for name in ("_write_page", "_write_outliers"):  # they take seconds, as the tables of each stage do
        monkeypatch.setattr(dataset, name, lambda ledger, sources, path: path.write_bytes(bytes(20_000)))
    monkeypatch.setattr(dataset, "module_reports", lambda *words: [])
    return finished.copy_to(small_disk.path / "build")


def n_bytes_of(build: Build, table: str) -> int:
    """Return the size of the largest tar of a table."""
    return max(path.stat().st_size for path in build.root.glob(f"{table}/*/*/*.tar"))


@pytest.mark.parametrize("table", _TARS)
def test_no_half_of_a_tar_stays_and_the_next_run_writes_the_same(
    on_disk: Build, finished: Build, small_disk: SmallDisk, table: str
) -> None:
    stage = on_disk.ledger().writer[table]
    names = {path.parent.parent.name for path in on_disk.root.glob(f"{table}/*/*/receipt.json")}
    half = n_bytes_of(on_disk, table) // 2
    for path in on_disk.root.glob(f"{table}/*/*/*"):
        path.unlink()
    small_disk.leave(half)
    with pytest.raises(StageFailure, match=f"the disk is full: {stage.name} could not write") as failed:
        on_disk.run(InlineExecutor(), ["shard"])
    assert failed.value.failures[0].partition in names
    state = on_disk.ledger().state(stage)
    assert len(list(on_disk.root.glob(f"{table}/*/*/*.tar"))) == len(state.receipts) < len(names)
    small_disk.resize(400 << 20)
    on_disk.run(InlineExecutor(), ["shard"])
    assert_same_contents(contents(on_disk), contents(finished))


def test_a_published_folder_is_there_whole_or_the_former_one_is(on_disk: Build, small_disk: SmallDisk) -> None:
    link = publish_dataset(on_disk.ledger(), on_disk.sources)
    former = link.readlink()
    other = on_disk.with_settings(dataset={"doi": "10.5281/zenodo.1"}).ledger()  # another card
    for n_free in (0, 60_000, 150_000):
        small_disk.leave(n_free)
        with pytest.raises(Exception, match="No space left") as failed:  # of the system, pyarrow or DuckDB
            publish_dataset(other, on_disk.sources)
        assert is_disk_full(failed.value)
        names = {path.name for path in (on_disk.root / ".dataset").iterdir()}
        assert names == {former.name, f"{former.name}.json"} and link.readlink() == former
        assert list(dataset_faults(on_disk.root)) == []
    small_disk.resize(400 << 20)
    assert publish_dataset(other, on_disk.sources).readlink() != former
    assert list(dataset_faults(on_disk.root)) == []
    assert "zenodo" in (link / "README.md").read_text()


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run partitions of the command line in this process."""
    monkeypatch.setattr(commands, "LocalExecutor", lambda settings: nullcontext(InlineExecutor()))


@pytest.mark.usefixtures("inline")
def test_a_withdrawal_that_fills_the_disk_is_finished_by_the_same_command(
    on_disk: Build,
    small_disk: SmallDisk,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = on_disk.arguments(tmp_path)
    assert main(["card", *arguments]) == 0
    row = on_disk.rows("shard", ["sample_id", "shard"])[0]
    listed = tmp_path / "list.txt"
    listed.write_text(f"{row['sample_id']}\n")
    before = published_tars(on_disk.root)
    assert before == tar_digests(on_disk.ledger())
    small_disk.leave(n_bytes_of(on_disk, "shard") // 2)
    capsys.readouterr()
    assert main(["withdraw", str(listed), *arguments]) == 1
    said = capsys.readouterr().out
    assert "not finished: the dataset still has the former tars" in said and "the disk is full" in said
    assert published_tars(on_disk.root) == before and list(dataset_faults(on_disk.root)) == []
    small_disk.resize(400 << 20)
    assert main(["withdraw", str(listed), *arguments]) == 0
    said = capsys.readouterr().out
    assert "1 sample withdrawn by 1 of the entries" in said and f"new tars, 2 of {len(before)}" in said
    after = published_tars(on_disk.root)
    assert {name for name in before if before[name] != after[name]} == {
        name for name in before if Path(name).stem == row["shard"]
    }
    assert list(dataset_faults(on_disk.root)) == []
