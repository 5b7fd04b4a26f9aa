import hashlib
import json
import os
from pathlib import Path

import pytest

from flows.ask.dataset_folder import CHECKSUMS, DatasetFolder, folder_faults, read_record, remove_others
from flows.ledger.digests import digest_file
from stages.contract import InputError


class Writer:
    """Writes a text and counts its calls."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.n_calls = 0

    def __call__(self, path: Path) -> None:
        self.n_calls += 1
        path.write_text(self.text)


def publish(root: Path, name: str, writer: Writer, before: Path | None, of: str = "rows") -> Path:
    folder = DatasetFolder(root / f"{name}.draft", before)
    folder.path.mkdir(parents=True)
    folder.write("tables/small.csv", "a,b\n1,2\n")
    folder.make("metafiles/large.csv", of, writer)
    folder.publish(root / name)
    return root / name


def sums(folder: Path) -> dict[str, str]:
    lines = (folder / CHECKSUMS).read_text().splitlines()
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def test_every_file_has_its_checksum_and_linked_files_take_it_from_the_receipt(tmp_path: Path) -> None:
    tar = tmp_path / "0000.tar"
    tar.write_bytes(b"bytes of a tar")
    folder = DatasetFolder(tmp_path / "draft", None)
    folder.link("train/0000.tar", tar, "sha256 of the receipt")
    folder.write("tables/t.csv", "é\n")
    folder.make("metafiles/m.csv", "rows", Writer("m\n"))
    folder.publish(tmp_path / "made")
    assert sums(tmp_path / "made") == {
        "metafiles/m.csv": hashlib.sha256(b"m\n").hexdigest(),
        "tables/t.csv": hashlib.sha256("é\n".encode()).hexdigest(),
        "train/0000.tar": "sha256 of the receipt",
    }
    assert (tmp_path / "made/train/0000.tar").samefile(tar)
    assert not (tmp_path / "draft").exists()


def test_a_file_with_equal_inputs_is_linked_again_and_one_with_changed_inputs_is_made(tmp_path: Path) -> None:
    first = publish(tmp_path, "first", Writer("text"), None)
    same, other = Writer("text"), Writer("other text")
    second = publish(tmp_path, "second", same, first)
    assert same.n_calls == 0 and (second / "metafiles/large.csv").samefile(first / "metafiles/large.csv")
    third = publish(tmp_path, "third", same, second)
    assert same.n_calls == 0 and sums(third) == sums(first)
    changed = publish(tmp_path, "changed", other, third, of="other rows")
    assert other.n_calls == 1 and (changed / "metafiles/large.csv").read_text() == "other text"
    assert list(folder_faults(changed, digest_file)) == []


@pytest.mark.parametrize("damage", ["edited", "touched", "replaced", "gone", "no record", "cut record", "other record"])
def test_a_file_that_changed_after_publication_is_made_again(tmp_path: Path, damage: str) -> None:
    first = publish(tmp_path, "first", Writer("text"), None)
    path, record = first / "metafiles/large.csv", tmp_path / "first.json"
    before = path.stat()
    if damage == "edited":
        path.write_text("TEXT")
    elif damage == "touched":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif damage == "replaced":
        new = path.with_name("new")
        new.write_text("TEXT")
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        new.replace(path)
    elif damage == "gone":
        path.unlink()
    elif damage == "no record":
        record.unlink()
    elif damage == "cut record":
        record.write_text(record.read_text()[:20])
    else:
        record.write_text(json.dumps({"metafiles/large.csv": {"of": "rows"}}))
    writer = Writer("text")
    second = publish(tmp_path, "second", writer, first)
    assert writer.n_calls == 1 and (second / "metafiles/large.csv").read_text() == "text"
    assert list(folder_faults(second, digest_file)) == []


def test_leftovers_beside_the_published_folder_are_removed_and_its_record_stays(tmp_path: Path) -> None:
    root = tmp_path / ".dataset"
    first = publish(root, "first", Writer("text"), None)
    (root / "killed.123" / "train").mkdir(parents=True)
    second = publish(root, "second", Writer("text"), first)
    remove_others(second)
    assert sorted(path.name for path in root.iterdir()) == ["second", "second.json"]
    assert list(read_record(second)) == ["metafiles/large.csv"]


def test_missing_and_changed_files_are_named(tmp_path: Path) -> None:
    folder = publish(tmp_path, "first", Writer("text"), None)
    (folder / "tables/small.csv").unlink()
    (folder / "metafiles/large.csv").write_text("TEXT")
    assert list(folder_faults(folder, digest_file)) == ["metafiles/large.csv", "tables/small.csv"]


def test_a_file_that_is_gone_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.tar is missing, although a receipt names it: run `make verify REPAIR"):
        DatasetFolder(tmp_path / "new", None).link("train/a.tar", tmp_path / "gone.tar", "00")
