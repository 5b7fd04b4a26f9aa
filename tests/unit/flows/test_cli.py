import argparse
import errno
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from PIL import Image

from flows.cli import COMMANDS, main
from flows.run.commands import _where_tables_are
from flows.settings import load_settings
from flows.subcommands import SUBCOMMANDS
from stages import MODULES, STAGES
from tests.earlier_receipts import without_column
from tests.small_build import Build

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("words", "expected"), [(["config"], 0), (["status", "--build", "nowhere"], 2)])
def test_a_reader_that_leaves_changes_no_exit_code(tmp_path: Path, words: list[str], expected: int) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *words], stdout=write_end, stderr=subprocess.PIPE, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    os.close(write_end)
    assert (done.returncode, done.stderr) == (expected, b"")


def test_printed_commands_can_be_pasted(finished: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = finished.copy_to(tmp_path / "b 1")
    out = tmp_path / "rel md.parquet"
    assert main(["release-metadata", *build.arguments(tmp_path), f"--out={out}"]) == 0
    assert f"make rebuild FROM='{out}'" in " ".join(capsys.readouterr().out.split())
    said = _where_tables_are(build.ledger(), argparse.Namespace(build=build.root))
    assert f"`make tables BUILD='{build.root}'`" in said


@pytest.mark.parametrize("n", ["x", "0", "1.5"])
def test_a_wrong_number_of_items_is_refused_in_plain_words(capsys: pytest.CaptureFixture[str], n: str) -> None:
    with pytest.raises(SystemExit):
        main(["rate", f"--n={n}"])
    assert f"--n: expected a whole number of at least 1, found '{n}'" in capsys.readouterr().err


def test_a_misspelt_corpus_is_refused_before_anything_runs(
    small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, "stage", "inventory", *small, "--set", 'inventory.corpora=["cc3"]')
    assert code == 2 and said.startswith("error: inventory.corpora names 'cc3'; corpora with a reader")


@pytest.fixture
def small(finished: Build, tmp_path: Path) -> list[str]:
    """The options of a copy of the finished build."""
    return finished.copy_to(tmp_path / "build").arguments(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    return code, " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)], ids=" ".join)
def test_help_has_examples_and_exits_with_0(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr().out
    assert ended.value.code == 0
    examples = SUBCOMMANDS[arguments[0] if len(arguments) > 1 else "explain"].examples
    assert all(f"rs5m {example}" in said for example in examples)
    if len(arguments) == 1:
        listed = [line.split()[0] for line in said.splitlines() if line.startswith("    ") and line[4] != " "]
        assert listed == list(COMMANDS)


def test_a_command_starts_without_importing_heavy_packages() -> None:
    heavy = ("torch", "transformers", "scipy", "pandas", "duckdb", "numba", "cv2", "prefect", "nltk", "matplotlib")
    code = f"import flows.cli, sys; sys.exit(', '.join(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "", "each takes a part of a second, before every command and in every worker"


def test_every_example_is_a_command_line_that_parses() -> None:
    from flows.options import parse

    assert list(SUBCOMMANDS) == list(COMMANDS)
    for name, subcommand in SUBCOMMANDS.items():
        assert subcommand.examples
        assert all(parse(example.split()).command == name for example in subcommand.examples)


@pytest.mark.parametrize(
    ("words", "near"),
    [(["stauts"], "status"), (["stage", "dedpu"], "dedup"), (["export", "--format", "folder"], "folders")],
)
def test_an_unknown_command_or_stage_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], words: list[str], near: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and f"did you mean '{near}'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", "--format", "tar"])
    assert "did you mean" not in capsys.readouterr().err  # no command, such as card


def test_an_unknown_make_target_is_answered_with_the_nearest() -> None:
    done = subprocess.run(["make", "verfy"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "did you mean verify?" in done.stdout


def test_config_prints_everything_and_its_output_is_a_profile(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["config", "--profile", "paper", "--set", "dedup.max_distance=3"]) == 0
    full = capsys.readouterr().out
    sections = tomllib.loads(full)
    assert set(sections) == {"run", "dataset"} | {
        s.settings_section for s in STAGES if s.params.model_fields or s.resources.model_fields
    }
    (tmp_path / "mine.toml").write_text(full)
    settings = load_settings(str(tmp_path / "mine.toml"), [], STAGES)
    assert settings.by_stage == load_settings("paper", ["dedup.max_distance=3"], STAGES).by_stage


_LOOPBACK = ("--sources", "BUILD", "--set", "download.allow_loopback=true")  # so that no contact is needed


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["config", "--profile", "papr"], 2, "no profile 'papr' (did you mean 'paper'?)"),
        (["config", "--set", "dedup.max_distanc=3"], 2, "did you mean 'max_distance'?"),
        (["config", "--set", "dedup.max_distance=11"], 2, "dedup.max_distance = 11"),
        (["status", "--build", "BUILD"], 2, "is not a build folder: run `make build` first, or say which with BUILD=…"),
        (["verify", "--build", "BUILD"], 2, "is not a build folder"),
        (["stage", "inventory", "--profile", "paper", "--build", "BUILD"], 2, "give SOURCES=…"),
        (["stage", "download", "--profile", "paper", "--build", "BUILD"], 2, "download.contact is not set"),
        (["build", "--profile", "workstation", "--build", "BUILD"], 2, "give SOURCES=…"),
        (["config", "--set", "download.contact=you"], 2, "download.contact = 'you'"),
        (
            ["stage", "inventory", "--sources", "BUILD", "--build", "BUILD/b"],
            1,
            "has no corpus: expected at least one folder of",
        ),
        (
            ["stage", "screen", "--sources", "BUILD", "--build", "BUILD/b", "--set", "run.reserve_gb=0"],
            2,
            "screen cannot start",
        ),
        (
            ["stage", "filter", *_LOOPBACK, "--build", "BUILD/b b"],
            2,
            "run `make stage-inventory PROFILE=demo SOURCES=BUILD BUILD='BUILD/b b' SET=download.allow_loopback=true`",
        ),
        (["status", "--build", __file__], 2, "is not a build folder"),
        (["build", "--sources", "BUILD", "--build", __file__], 2, "error: "),
        (["inventory", "--sources", __file__], 0, "is not a folder: give one"),
        (
            [
                "stage",
                "download",
                "--refetch",
                "bad_luck",
                "--sources",
                "BUILD",
                "--build",
                "BUILD/b",
                "--set",
                "download.allow_loopback=true",
            ],
            2,
            "unknown reasons: bad_luck",
        ),
    ],
)
def test_wrong_input_ends_with_an_error_code_and_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    found = run(capsys, *(argument.replace("BUILD", str(tmp_path / "none")) for argument in arguments))
    assert found[0] == code
    assert words.replace("BUILD/b", str(tmp_path / "none/b")).replace("=BUILD ", f"={tmp_path / 'none'} ") in found[1]
    assert "Traceback" not in found[1]


@pytest.mark.parametrize("inside", ["cc3m", "cc3m/a/build", "linked/build"])
def test_a_build_in_the_folder_of_a_corpus_is_refused_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, inside: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to("elsewhere")
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "cc3m").symlink_to("../elsewhere")
    build = tmp_path / inside if inside.startswith("linked") else sources / inside
    for command in (["inventory"], ["stage", "inventory"]):
        (tmp_path / "elsewhere/GCC-training.tsv").write_text("aerial view\thttp://a\n")
        code, printed = run(capsys, *command, "--sources", str(sources), "--build", str(build))
        assert code == 2 and f"BUILD={sources / 'build'}" in printed and "corpus cc3m" in printed
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["GCC-training.tsv"]


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["--sources", "BUILD"], "does not exist yet: make it, with one folder per corpus"),
        (["--sources", __file__], "is not a folder: give one"),
        (["--sources", str(Path(__file__).parent)], "has no folder of a corpus"),
        ([], "SOURCES is not set"),
    ],
)
def test_an_inventory_of_nothing_fails_in_a_flow(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: list[str],
    words: str,
) -> None:
    monkeypatch.setenv("RS5M_FLOW_RUN", "run:1")
    folder = str(tmp_path / "none")
    arguments = ["inventory", "--profile", "paper", "--build", f"{folder}-build", *sources]
    code, said = run(capsys, *(argument.replace("BUILD", folder) for argument in arguments))[:2]
    assert code == 2
    assert words in said.partition("error: ")[2]


def test_an_unknown_stage_is_refused_with_the_list_of_stages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stage", "dedupe"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "dedupe" in said and all(module in said for module in MODULES)


def test_a_stage_command_on_a_finished_build_does_nothing_prints_its_table_and_writes_it(
    capsys: pytest.CaptureFixture[str], small: list[str], tmp_path: Path
) -> None:
    code, said = run(capsys, "stage", "dedup", *small)
    assert code == 0
    assert said.startswith("nothing to do: every partition is current")
    assert "stage dedup" in said and "url_duplicate" in said and "Total" in said
    table = (tmp_path / "build/dataset/tables/stage_dedup.csv").read_text()
    reasons = "decoding_failed,url_duplicate,pixel_duplicate,near_duplicate,turned_duplicate"
    expected = f"stage,corpus,given,kept,rejected,{reasons},edited_duplicate,feature_duplicate"
    assert table.splitlines()[0] == expected
    assert "drop_duplicates,Total,48,42,6,2,2,1"[:29] in table


def test_the_tables_and_a_picture_of_a_build_are_shown(
    capsys: pytest.CaptureFixture[str], small: list[str], tmp_path: Path
) -> None:
    code, said = run(capsys, "tables", *small)
    assert code == 0 and all(title in said for title in ("stage filter", "PUB11 funnel", "RS3", "assumptions"))
    code, said = run(capsys, "show", "cc3m_0_0", *small, "--out", str(tmp_path / "a.png"))
    assert code == 0 and "as fetched" in said
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 64
    code, said = run(capsys, "show", "cc3m_0_999", *small)
    assert code == 2 and "no sample 'cc3m_0_999'" in said


def test_read_only_commands_work_on_a_finished_build(
    capsys: pytest.CaptureFixture[str], small: list[str], tmp_path: Path
) -> None:
    assert run(capsys, "status", *small)[0] == 0
    code, said = run(capsys, "fates", *small, "--out", str(tmp_path / "fates.csv"))
    assert (code, said) == (0, f"{tmp_path / 'fates.csv'}: 65 samples, 46 kept, 19 rejected")
    (tmp_path / "list.csv").write_text("laion2b_0_0,a text,http://nowhere.test/x,True\n")
    words = ("--metafile", str(tmp_path / "list.csv"), "--out", str(tmp_path / "compare.csv"))
    code, said = run(capsys, "compare", *small, *words)
    assert code == 0 and "filter: not among its candidates 1" in said and "samples that this build keeps" in said
    assert len((tmp_path / "compare.csv").read_text().splitlines()) == 2
    code, said = run(capsys, "compare", *small)
    assert code == 2 and "METAFILE is missing" in said
    code, said = run(capsys, "explain", "laion2b_0_3", *small)
    assert code == 0 and "reason = no_keyword" in said
    code, said = run(capsys, "explain", "laion2b_5_3", *small)
    assert code == 2 and "expected <corpus>_<part>_<row>" in said
    code, said = run(capsys, "gc", *small, "--dry-run")
    assert code == 0 and "0 files, 0.0 MB would be removed" in said
    code, said = run(capsys, "verify", *small)
    assert code == 0 and "every row is accounted for" in said


def test_a_build_command_publishes_tars_tables_and_metafiles(
    capsys: pytest.CaptureFixture[str], small: list[str], tmp_path: Path
) -> None:
    code, said = run(capsys, "build", *small)
    assert code == 0 and "published" in said
    dataset = tmp_path / "build/dataset"
    for split in ("train", "val"):
        assert len(list((dataset / "pairs" / split).glob("*.tar"))) == 4
        names = [f"{half}-{split}-{n:04d}.tar" for half in ("pub11", "rs3") for n in range(32)]
        assert sorted(p.name for p in (dataset / split).iterdir()) == names
    assert {p.name for p in (dataset / "tables").iterdir()} >= {
        "pub11_funnel.csv",
        "pub11_funnel.md",
        "pub11_funnel.parquet",
        *(f"{table}.csv" for table in ("rs3", "text_count", "country_count", "month_count", "utm_count")),
        *(f"stage_{module}.csv" for module in MODULES if module not in ("stats", "withdraw", "safety")),
    }
    header = (dataset / "tables/pub11_funnel.csv").read_text().splitlines()[0].split(",")
    assert header[:8] == ["source", "rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain"]
    assert {f"published_{name}" for name in header[1:8]} <= set(header)
    rows = (dataset / "metafiles/pub11_train_metadata.csv").read_text().splitlines()
    assert rows[0].startswith("img_name,text,url,corpus,") and len(rows) > 20


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), duckdb.IOException("Could not write: No space left on")]
)
def test_a_disk_that_fills_outside_of_a_partition_is_named_with_its_free_space_and_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def full(*words: object) -> None:
        raise error

    monkeypatch.setitem(COMMANDS, "fates", full)
    code, said = run(capsys, "fates", "--build", str(tmp_path), "--out", str(tmp_path / "fates.csv"))
    assert code == 2
    assert f"GB free now under {tmp_path}, " in said and f"GB free now under {tmp_path}/fates.csv" in said
    assert "`make gc` removes what no receipt needs) and run the same command again" in said


def test_every_command_names_a_build_folder_of_an_earlier_version(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = damaged.ledger().state(damaged.stage("download")).receipts[0]
    without_column(damaged.root, receipt, "body_md5")
    options = damaged.arguments(tmp_path)
    more = {"explain": ["laion2b_0_0"], "fates": ["--out", str(tmp_path / "fates.csv")]}
    for command in ("status", "explain", "tables", "report", "verify", "fates", "gc", "build"):
        assert main([command, *more.get(command, []), *options]) == 2
        said = capsys.readouterr().out
        assert f"error: {damaged.root} was made by an earlier version of this project: {receipt.folder}" in said
        assert "lacks the column body_md5. Build into a new folder with BUILD=…" in said


def test_an_archive_that_cannot_be_written_is_verified_without_a_lease(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lease = tmp_path / "build" / ".lease"
    lease.unlink(missing_ok=True)
    lease.mkdir()  # root may write where modes forbid it, but no file can be opened here
    code, said = run(capsys, "verify", *small)
    assert code == 0 and "verified without a lease" in said and "every row is accounted for" in said
    assert not (tmp_path / "build" / ".verified.jsonl").exists()
    code, said = run(capsys, "verify", "--repair", *small)
    assert code == 2 and "cannot be written (Is a directory): name a folder" in said
