"""An unreadable path under SOURCES fails a run until it is readable or accepted; everything else continues."""

from pathlib import Path

import pytest

from flows.ask.damage import accept_all, unreadable
from flows.ask.status import status_report
from flows.cli import main
from flows.ledger.verify import Fault, verify
from flows.run.executor import InlineExecutor
from tests.small_build import Build
from tests.unit.flows.ask.test_damage import MODULES, filtered, write

NAMES = ("laion2b/part-00000-x.parquet", "laion2b/part-00001-x.parquet")
LINK = "laion2b/it's a link"


@pytest.fixture
def build(tmp_path: Path) -> Build:
    found = Build(tmp_path / "build", tmp_path / "sources")
    for name in NAMES:
        write(found.sources / name)
    (found.sources / LINK).symlink_to("nowhere")
    return found


def test_an_unreadable_path_is_a_fault_until_it_is_accepted(build: Build) -> None:
    build.run(InlineExecutor(), MODULES)
    assert unreadable(build.ledger()) == [(LINK, "a link to nowhere: No such file or directory")]
    assert status_report(build.ledger()).rows[0]["damaged"] == 1
    faults = [found for found in verify(build.ledger()) if isinstance(found, Fault)]
    assert [(fault.where, fault.folder, LINK in fault.what) for fault in faults] == [("list_sources", "", True)]
    assert """SET='filter.accept_damaged=["laion2b/it'\\''s a link"]'""" in faults[0].what
    assert faults[0].what.endswith(accept_all(build.ledger()))
    accepting = build.with_settings(filter={"accept_damaged": [LINK]})
    assert unreadable(accepting.ledger()) == []
    assert filtered(accepting.run(InlineExecutor(), MODULES)) == 0


def test_skipped_paths_make_nothing_stale(build: Build) -> None:
    assert filtered(build.run(InlineExecutor(), MODULES)) == 2
    (build.sources / LINK).unlink()
    for name in ("loose", "laion2b/notes.txt", "laion2b/.hidden", "laion2b/part-00009-x.parquet.part", "other/x"):
        (build.sources / name).parent.mkdir(exist_ok=True)
        (build.sources / name).write_bytes(b"x")
    watcher = build.run(InlineExecutor(), MODULES)
    assert [n_due for name, _, n_due in watcher.begun if name != "list_sources"] == []
    assert unreadable(build.ledger()) == []
    assert len(build.ledger().state(build.stage("list_sources")).receipts[0].reasons) == 5


def test_files_of_a_folder_that_became_unreadable_stay_in_the_build(build: Build) -> None:
    build.run(InlineExecutor(), MODULES)
    folder = build.sources / "laion2b"
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("laion2b")
    watcher = build.run(InlineExecutor(), MODULES)
    assert [n_due for name, _, n_due in watcher.begun if name != "list_sources"] == []
    assert [path for path, _ in unreadable(build.ledger())] == ["laion2b"]


def test_a_corpus_that_cannot_be_read_stops_no_other(build: Build) -> None:
    (build.sources / "fmow/train").mkdir(parents=True)
    (build.sources / "fmow/train/dam").symlink_to("dam")
    (build.sources / "ben").symlink_to("nowhere")
    build.run(InlineExecutor(), MODULES)
    assert len(build.rows("source_file", ["path"])) == 2
    assert [path for path, _ in unreadable(build.ledger())] == ["ben", "fmow/train/dam", LINK]


@pytest.mark.parametrize(
    ("source", "companion"),
    [
        ("vg/image_data.json", "vg/region_descriptions.json"),
        ("yfcc15m/yfcc100m_dataset-0", "yfcc15m/yfcc100m_subset_data.tsv.bz2"),
        ("sbu/SBU_captioned_photo_dataset_urls.txt", "sbu/SBU_captioned_photo_dataset_captions.txt"),
        ("ben/S2A_MSIL2A_20170613T101031_0_45/S2A_MSIL2A_20170613T101031_0_45_B02.tif", "ben/train.csv"),
    ],
)
def test_an_unreadable_companion_leaves_out_its_corpus_alone(build: Build, source: str, companion: str) -> None:
    (build.sources / source).parent.mkdir(parents=True)
    (build.sources / source).write_bytes(b"x\n")
    (build.sources / companion).symlink_to("nowhere")
    build.run(InlineExecutor(), MODULES)
    assert len(build.rows("source_file", ["path"])) == 2
    found = dict(unreadable(build.ledger()))
    assert list(found) == sorted([source.partition("/")[0], companion, LINK])
    assert f"{companion} cannot be read" in found[source.partition("/")[0]]


def test_an_unreadable_companion_that_only_adds_facts_leaves_its_corpus_in(build: Build) -> None:
    labels = "cc3m/Image_Labels_Subset_Train_GCC-Labels-training.tsv"
    (build.sources / labels).parent.mkdir()
    (build.sources / labels).symlink_to("nowhere")
    (build.sources / "cc3m/GCC-training.tsv").write_text("aerial view\thttp://a.org/x\n")
    build.run(InlineExecutor(), MODULES)
    assert len(build.rows("source_file", ["path"])) == 3
    assert [path for path, _ in unreadable(build.ledger())] == [labels, LINK]


def test_the_command_fails_and_says_which_path_and_how_to_accept_it(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*build.arguments(tmp_path)]

    def command(*asked: str) -> tuple[int, str]:
        code = main([*asked, *words])
        return code, " ".join(capsys.readouterr().out.split())

    for asked in (("stage", "inventory"), ("inventory",)):
        code, said = command(*asked)
        assert code == 1 and f"unreadable: {LINK}: a link to nowhere" in said
    code, said = command("stage", "filter")
    assert code == 0 and f"unreadable: {LINK}" in said
    words += ["--set", f'filter.accept_damaged=["{LINK}"]']
    for asked in (("stage", "inventory"), ("inventory",)):
        code, said = command(*asked)
        assert code == 0 and "unreadable:" not in said


def test_if_nothing_is_readable_all_paths_are_named(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        (build.sources / name).unlink()
    assert main(["stage", "inventory", *build.arguments(tmp_path)]) == 1
    assert f"can be read: {LINK} (a link to nowhere: No such file or directory)" in capsys.readouterr().out
