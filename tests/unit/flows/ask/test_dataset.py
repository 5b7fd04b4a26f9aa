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
