"""Misuse, crashes and foreign files in a build are reported, and never damage it silently."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.ask.report import printable
from flows.ledger.garbage import collect_garbage
from flows.ledger.partition_check import Fault
from flows.ledger.verify import verify
from flows.run.executor import InlineExecutor
from flows.run.runner import StageFailure
from flows.run.worker import Failed
from flows.settings import check_settings
from stages import STAGES
from stages.contract import InputError
from tests.small_build import Build


@pytest.fixture
def damaged(finished: Build, tmp_path: Path) -> Build:
    return finished.copy_to(tmp_path / "build")


def _tars(build: Build) -> list[Path]:
    return sorted(build.root.glob("fetch_attempt/*/*/*.bodies.tar"))


def test_a_body_that_differs_from_its_digest_is_never_published(damaged: Build) -> None:
    for tar in _tars(damaged):
        data = tar.read_bytes()
        tar.write_bytes(data[:512] + bytes(b ^ 1 for b in data[512:]))
    other = damaged.with_settings(shard={"seed": "another"})
    with pytest.raises(StageFailure, match="does not hold the body"):
        other.run(InlineExecutor(), ("shard",))


@pytest.mark.parametrize("pattern", ["image/*/*/*.kept.parquet", "fetch_attempt/*/*/*.bodies.tar"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_verify_names_missing_and_truncated_files(damaged: Build, pattern: str, is_cut: bool) -> None:
    file = sorted(damaged.root.glob(pattern))[0]
    if is_cut:
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.unlink()
    found = [fault for fault in verify(damaged.ledger()) if isinstance(fault, Fault)]
    assert [f.folder for f in found] == [str(file.parent.relative_to(damaged.root))]
    assert "gone or cut" in found[0].what


def test_verify_reports_a_damaged_footer_as_a_fault(damaged: Build) -> None:
    file = sorted(damaged.root.glob("image/*/*/*.kept.parquet"))[0]
    file.write_bytes(file.read_bytes()[:-4] + b"oops")
    found = [fault for fault in verify(damaged.ledger()) if isinstance(fault, Fault)]
    assert str(file.parent.relative_to(damaged.root)) in {fault.folder for fault in found}


def test_garbage_collection_only_removes_files_of_tables(damaged: Build) -> None:
    mine = damaged.root / "sources" / "laion2b" / "2022" / "part-00000.parquet"
    deep = damaged.root / "image" / "notes" / "of mine" / "text.txt"
    for path in (mine, deep):
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    collect_garbage(damaged.ledger(), is_dry_run=False)
    assert mine.read_text() == deep.read_text() == "mine"


def test_a_build_with_nothing_to_fetch_is_finished_like_any_other(finished: Build, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    (sources / "cc3m").mkdir(parents=True)
    (sources / "cc3m" / "Train_GCC-training.tsv").write_bytes(b"a cat\thttp://a.example/1.jpg\n")
    build = replace(finished, root=tmp_path / "build", sources=sources)
    build.run(InlineExecutor())
    ledger = build.ledger()
    assert all(ledger.state(stage).is_complete for stage in build.stages)
    assert [row["remain"] for row in build.rows("pub11_funnel")] == [0, 0]
    assert not [fault for fault in verify(ledger) if isinstance(fault, Fault)]


def test_a_source_file_that_changed_after_inventory_is_refused_even_at_the_same_size(
    finished: Build, tmp_path: Path
) -> None:
    sources = Path(shutil.copytree(finished.sources, tmp_path / "sources"))
    build = replace(finished, root=tmp_path / "build", sources=sources)
    build.run(InlineExecutor(), ("inventory",))
    file = next((sources / "cc3m").glob("*.tsv"))
    data = file.read_bytes()
    file.write_bytes(data.replace(b"a", b"b"))
    with pytest.raises(StageFailure, match="has changed since inventory"):
        build.run(InlineExecutor(), ("filter",))


def test_a_source_file_that_was_downloaded_again_under_another_name_replaces_the_old_one(
    finished: Build, tmp_path: Path
) -> None:
    sources = Path(shutil.copytree(finished.sources, tmp_path / "sources"))
    build = replace(finished, root=tmp_path / "build", sources=sources)
    build.run(InlineExecutor(), ("inventory", "filter"))
    before = build.rows("candidate")
    old = sorted((sources / "laion2b").glob("*.parquet"))[0]
    old.rename(old.with_name(old.name.replace("5114fd87", "00000000")))
    build.run(InlineExecutor(), ("inventory", "filter"))
    assert build.rows("candidate") == before


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("dedup", {"priority": [["laion2bb"]]}),
        ("dedup", {"priority": [["cc3m"], ["cc3m", "*"]]}),
        ("screen", {"formats": ["jpg"]}),
        ("download", {"user_agent": "Müller"}),
        ("run", {"workers": True}),
    ],
)
def test_an_impossible_value_is_refused_before_anything_runs(section: str, value: dict[str, object]) -> None:
    with pytest.raises(InputError, match=section):
        check_settings("any", {section: value}, STAGES)


def test_an_interrupted_stage_counts_only_finished_partitions() -> None:
    full = Failed("part-1", "disk", "the disk is full")
    assert "of the others 2 are done" in str(StageFailure(STAGES[0], [full], 2, 9))
    assert "the other 8 are done" in str(StageFailure(STAGES[0], [full], 8, 9))


def test_printed_text_contains_no_terminal_control_characters() -> None:
    assert printable("a\x1b]0;owned\x07\x1b[2J\rb\nc") == "a\\x1b]0;owned\\x07\\x1b[2J\\rb\nc"
