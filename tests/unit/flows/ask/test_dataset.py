import os
from pathlib import Path

from flows.ask.dataset import dataset_faults, publish_dataset
from flows.ask.dataset_folder import CHECKSUMS
from flows.ask.tars import tars
from flows.run.executor import InlineExecutor
from tests.small_build import Build


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the inode and the modification time of each published file."""
    found = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


def sums(folder: Path) -> dict[str, str]:
    lines = (folder / CHECKSUMS).read_text().splitlines()
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def test_changed_statistics_only_rewrite_tables_and_read_no_tar(damaged: Build) -> None:
    folder = publish_dataset(damaged.ledger())
    before, stated = files(folder.resolve()), sums(folder)
    assert list(dataset_faults(damaged.root)) == []
    assert before.keys() == {*stated, CHECKSUMS}
    # Change a tar: if publishing read it, its checksum would change.
    tar = next(iter(tars(damaged.ledger())))
    path = folder.resolve() / tar
    times, size_bytes = path.stat(), path.stat().st_size
    path.write_bytes(b"x" * size_bytes)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    receipt = damaged.ledger().state(damaged.stage("count_texts")).receipts[0]
    (damaged.root / receipt.folder / "receipt.json").unlink()
    damaged.run(InlineExecutor(), ["stats"])
    publish_dataset(damaged.ledger())
    after = files(folder.resolve())
    # The page shows the statistics, and pictures from the changed tar.
    assert after.keys() == before.keys()
    assert {**sums(folder), "report.html": ""} == {**stated, "report.html": ""}
    written = {name for name in after if after[name] != before[name]}
    assert {name for name in written if not name.startswith("tables/")} == {
        "metafiles/columns.csv", "metafiles/BUILD_ID", "index.BUILD_ID", "README.md", "LICENSES.md", "CITATION.cff",
        "build.json", "croissant.json", "report.html", "rs5m_loader.py", CHECKSUMS,
        "pairs/train/sizes.json", "pairs/val/sizes.json",
    }  # fmt: skip
    assert "tables/text_count.csv" in written
    assert [fault.split()[0] for fault in dataset_faults(damaged.root)] == [tar]


def test_publishing_twice_changes_nothing(damaged: Build) -> None:
    folder = publish_dataset(damaged.ledger())
    target, before = folder.readlink(), files(folder.resolve())
    publish_dataset(damaged.ledger())
    assert folder.readlink() == target and files(folder.resolve()) == before


def test_lost_files_are_published_again_and_the_others_are_linked(damaged: Build) -> None:
    folder, said = publish_dataset(damaged.ledger()), list[str]()
    before, stated = files(folder.resolve()), sums(folder)
    tar, table = next(iter(tars(damaged.ledger()))), "tables/rs3.csv"
    (folder / tar).unlink()
    (folder / table).unlink()
    (folder / "metafiles/pub11_metadata.parquet").write_bytes(b"cut")
    publish_dataset(damaged.ledger(), tell=said.append)
    assert [line.partition(", such as ")[0] for line in said] == ["dataset: 3 published files missing or cut"]
    after = files(folder.resolve())
    assert after.keys() == before.keys()
    assert sums(folder).keys() == stated.keys() and sums(folder)[tar] == stated[tar]
    assert list(dataset_faults(damaged.root)) == []
    assert after["index.parquet"][0] == before["index.parquet"][0], "an intact file is linked again"
    assert [path.name for path in folder.resolve().parent.iterdir() if path.is_dir()] == [folder.resolve().name]
    (folder / CHECKSUMS).unlink()
    publish_dataset(damaged.ledger(), tell=said.append)
    assert list(dataset_faults(damaged.root)) == [] and len(said) == 2
    publish_dataset(damaged.ledger(), tell=said.append)
    assert len(said) == 2


def test_a_lost_file_of_the_store_is_made_again(damaged: Build) -> None:
    folder = publish_dataset(damaged.ledger())
    stated = sums(folder)
    tar, stored = next(iter(tars(damaged.ledger()).items()))
    (folder / tar).unlink()
    stored.unlink()
    assert not damaged.ledger().state(damaged.stage("write_shards")).is_complete
    damaged.run(InlineExecutor(), ["shard"])
    publish_dataset(damaged.ledger())
    assert sums(folder)[tar] == stated[tar] and list(dataset_faults(damaged.root)) == []
