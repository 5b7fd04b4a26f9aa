"""Damaged source files are named until they are replaced or their loss is accepted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ask.damage import accept_all, damaged_files, sentences, unaccepted, warnings
from flows.ask.status import status_report
from flows.cli import main
from flows.ledger.ledger import Ledger
from flows.ledger.verify import Fault, verify
from flows.run.executor import InlineExecutor
from schemas.corpus import Corpus
from stages.contract import Reads
from stages.readers.batch import Choices, Damage, Read, SourceFiles
from stages.readers.parquet import reader as parquet_reader
from stages.readers.readers import READERS, Reader
from tests.small_build import SETTINGS, Build, Recorder

MODULES = ["inventory", "filter"]
NAMES = tuple(f"laion2b/part-0000{n}-x.parquet" for n in range(3))


class Torn:
    """The parquet reader, without the first rows of every second batch of a file named torn."""

    def read(self, source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[Read]:
        path, part = source.files[0]
        for n, batch in enumerate(parquet_reader.read(source, corpus, choices, from_row)):
            if not isinstance(batch, Damage) and n % 2 and path.read_bytes().count(b"torn"):
                what = f"{path}: expected whole pages, found: nothing; download it again"
                yield Damage(batch.first_row, len(batch.captions), "damaged_source", what, part)
            else:
                yield batch

    def count(self, source: SourceFiles, corpus: Corpus) -> int:
        return parquet_reader.count(source, corpus)


class TornFormat(Reader):
    """The format read by `Torn`."""

    def load(self) -> Torn:
        return Torn()


def write(path: Path, name: str = "whole", *, n_rows: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    captions = [f"aerial view {name} {n}" for n in range(n_rows)]
    table = pa.table({"URL": [f"http://a.org/{n}" for n in range(n_rows)], "TEXT": captions})
    pq.write_table(table, path, row_group_size=5, compression="none")
    return path


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A build of three source files; the middle one is truncated and unreadable."""
    found = Build(tmp_path / "build", tmp_path / "sources")
    for name in NAMES:
        write(found.sources / name)
    cut = found.sources / NAMES[1]
    cut.write_bytes(cut.read_bytes()[:-9])
    return found


def run(build: Build) -> Recorder:
    return build.run(InlineExecutor(), MODULES)


def filtered(watcher: Recorder) -> int:
    return watcher.n_due("filter")


def n_damaged(ledger: Ledger) -> int:
    return next(int(str(row["damaged"])) for row in status_report(ledger).rows if row["stage"] == "filter")


def faults(build: Build) -> list[Fault]:
    return [found for found in verify(build.ledger()) if isinstance(found, Fault)]


def test_a_file_that_cannot_be_read_is_named_with_what_to_do(build: Build) -> None:
    run(build)
    ledger = build.ledger()
    (file,) = damaged_files(ledger)
    assert (file.path, file.partition, file.n_rows, file.is_accepted) == (NAMES[1], "laion2b-00001", 1, False)
    ((_, said),) = sentences(ledger)
    assert said.startswith(f"damaged: {NAMES[1]}: at least 1 row lost: expected a complete parquet file, found: ")
    assert f"accept the loss with SET='filter.accept_damaged=[\"{NAMES[1]}\"]'" in said
    assert n_damaged(ledger) == 1
    assert [(fault.where, fault.what, fault.folder) for fault in faults(build)] == [("filter/laion2b-00001", said, "")]


def test_accepting_a_loss_runs_nothing_again_and_clears_the_fault(build: Build) -> None:
    run(build)
    accepting = build.with_settings(filter={"accept_damaged": [NAMES[1]]})
    assert filtered(run(accepting)) == 0
    assert unaccepted(accepting.ledger()) == [] and faults(accepting) == [] and n_damaged(accepting.ledger()) == 0
    assert [file.is_accepted for file in damaged_files(accepting.ledger())] == [True]
    other = build.with_settings(filter={"accept_damaged": [NAMES[0]]})
    assert [file.path for file in unaccepted(other.ledger())] == [NAMES[1]]
    misspelt = build.with_settings(filter={"accept_damaged": [NAMES[1], "laion2b/nope.parquet"]}).ledger()
    assert unaccepted(misspelt) == [] and [said.split(",")[0] for said in warnings(misspelt, ["inventory"], False)] == [
        "filter.accept_damaged names laion2b/nope.parquet"
    ]


def test_only_a_replaced_file_is_read_again(build: Build) -> None:
    run(build)
    write(build.sources / NAMES[1])
    assert filtered(run(build)) == 1
    assert damaged_files(build.ledger()) == [] and faults(build) == []
    assert len(build.rows("candidate", ["sample_id"])) == 60


def test_rows_whose_other_columns_cannot_be_read_are_a_loss_of_their_file(build: Build) -> None:
    path = write(build.sources / NAMES[1])
    data = bytearray(path.read_bytes())
    columns = pq.ParquetFile(path).metadata.row_group(1).column(0)  # the URLs of rows 5 to 9
    data[columns.dictionary_page_offset : columns.data_page_offset + 20] = bytes(
        columns.data_page_offset + 20 - columns.dictionary_page_offset
    )
    path.write_bytes(data)
    run(build)
    ledger = build.ledger()
    (file,) = damaged_files(ledger)
    assert (file.path, file.partition, file.n_rows, file.n_stretches) == (NAMES[1], "laion2b-00001", 5, 1)
    ((_, said),) = sentences(ledger)
    assert said.startswith(f"damaged: {NAMES[1]}: 5 rows lost: row group 1: expected a complete parquet file, found: ")
    assert [fault.where for fault in faults(build)] == ["filter/laion2b-00001"]
    accepting = build.with_settings(filter={"accept_damaged": [NAMES[1]]})
    assert filtered(run(accepting)) == 0 and faults(accepting) == []


def test_several_damaged_stretches_of_a_file_are_one_loss(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "parquet", TornFormat("", columns_are="names"))
    for name in NAMES[:2]:
        write(build.sources / name, "torn")
    run(build)
    ledger = build.ledger()
    assert [(f.path, f.n_rows, f.n_stretches) for f in damaged_files(ledger)] == [(n, 10, 2) for n in NAMES[:2]]
    lost = {r.partition: r.counts["damaged_source"] for r in ledger.state(ledger.writer["candidate"]).receipts}
    assert lost == {"laion2b-00000": 10, "laion2b-00001": 10, "laion2b-00002": 0}
    said = [sentence for _, sentence in sentences(ledger)]
    assert all("10 rows lost in 2 stretches, the first: expected whole pages, found: nothing" in s for s in said)
    assert accept_all(ledger).startswith(f"SET='filter.accept_damaged={json.dumps(NAMES[:2], separators=(',', ':'))}'")
    accepting = build.with_settings(filter={"accept_damaged": [NAMES[0]]})
    ((_, left),) = sentences(accepting.ledger())
    assert f'["{NAMES[0]}","{NAMES[1]}"]' in left, "what was accepted before stays accepted"


def test_a_reject_names_the_damaged_file_among_many_in_a_partition(tmp_path: Path) -> None:
    build = Build(tmp_path / "build", tmp_path / "sources")
    folder = build.sources / "yfcc15m"
    folder.mkdir(parents=True)
    fields = [b"7", b"user", b"nick", b"2005-03-01 12:39:28.0", b"1", b"x", b"USGS", *[b""] * 6, b"page", b"http://a/7"]
    line = b"\t".join([*fields, *[b"x"] * (23 - len(fields))]) + b"\n"
    (folder / "yfcc100m_dataset-0").write_bytes(line)
    (folder / "yfcc100m_dataset-1").write_bytes(b"neither 23\tnor 25 columns\n")
    (folder / "yfcc100m_subset_data.tsv").write_bytes(b"0\t7\thash\n1\t8\thash\n")
    run(build)
    assert [file.path for file in damaged_files(build.ledger())] == ["yfcc15m/yfcc100m_dataset-1"]


def test_a_file_with_a_name_longer_than_a_detail_is_named_with_its_loss(tmp_path: Path) -> None:
    build = Build(tmp_path / "build", tmp_path / "sources")
    name = f"laion2b/part-00001-{'x' * 220}.parquet"
    path = write(build.sources / name)
    path.write_bytes(path.read_bytes()[:-9])
    run(build)
    (file,) = damaged_files(build.ledger())
    assert (file.path, file.n_rows) == (name, 1)
    assert file.found.startswith("expected a complete parquet file, found: ")
    reads = Reads("candidate", ("path", "source_row", "n_rows", "corpus"), is_whole=True, section="rejects")
    (row,) = build.ledger().read(reads).to_pylist()
    assert row == {"path": name, "source_row": 0, "n_rows": 1, "corpus": "laion2b"}


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (Damage(0, 1, "damaged_source", "x", 1, Path("s/b/one")), "b/one"),
        (Damage(0, 1, "damaged_source", "s/b/one: expected more", 0), "b/one"),
        (Damage(0, 1, "damaged_source", "s/a/one: expected more", 1), "a/one"),
        (Damage(0, 1, "damaged_source", "the list of.csv is cut", 0), "of.csv"),
        (Damage(0, 1, "damaged_source", "nothing is named", 1), "b/one"),
        (Damage(0, 1, "damaged_source", "nothing is named", 2), None),
    ],
)
def test_a_stretch_belongs_to_the_file_that_it_states_or_names_or_else_that_of_its_part(
    damage: Damage, name: str | None
) -> None:
    root = Path("s")
    files = ((root / "a/one", 0), (root / "b/one", 1), (root / "c/two", 2), (root / "c/three", 2))
    source = SourceFiles(files, (root / "of.csv",), root)
    found = source.file_of(damage)
    assert (found and source.name_of(found)) == name


def test_a_run_prints_the_damage_exits_with_0_and_verify_counts_it(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.sections = {**SETTINGS, "run": {**SETTINGS["run"], "workers": 1}}
    arguments = build.arguments(tmp_path)

    def command(*words: str) -> tuple[int, str]:
        code = main([*words, *arguments])
        return code, " ".join(capsys.readouterr().out.split())

    reported = f"damaged: {NAMES[1]}: at least 1 row lost"
    run(build)
    code, said = command("stage", "plan")
    assert code == 0 and reported in said
    assert list(warnings(build.ledger(), ["inventory"], False)) == []
    code, said = command("verify")
    assert code == 1 and reported in said and "1 fault in" in said and "REPAIR" not in said
    accept = ("--set", f'filter.accept_damaged=["{NAMES[1]}"]')
    code, said = command("stage", "filter", *accept)
    assert code == 0 and "damaged:" not in said and "nothing to do" in said
    assert command("verify", *accept)[0] == 0
