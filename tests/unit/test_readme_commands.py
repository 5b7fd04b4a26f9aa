"""Every command in README runs at toy size, or is listed here with the reason why it does not."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import make
from tests.small_build import Build

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"(?:^    |`)(make [a-z][^`\n]*)", re.M)
# By target: commands that other tests run, or that need a network, a GPU or minutes.
LEFT_OUT = {
    "test": "it is what runs this",
    "demo": "run as a whole by tests/end_to_end/conftest.py",
    "export": "writes a new folder; run by tests/unit/flows/export/test_export.py",
    "withdraw": "run by tests/end_to_end/test_withdraw.py",
    "demo-models": "trains for half an hour; its functions are tested in tests/unit/flows/demo/models",
    "rate": "serves until Ctrl-C; served by tests/unit/flows/rate/test_server.py and test_page.py",
    "audit": "serves until Ctrl-C; served by tests/unit/flows/rate/test_server.py and test_page.py",
    "ui": "serves until Ctrl-C; tests/end_to_end/test_prefect.py serves it",
    "preflight": "exits with 2 where a list is wanted; run by tests/unit/flows/preflight/test_commands.py",
    "rebuild": "needs the web of a file of release metadata; run by tests/unit/flows/run/test_rebuild.py",
    "weights": "takes a network; run against a hub by tests/unit/flows/preflight/test_fetch.py",
    "calibrate": "needs labels; run by tests/unit/flows/calibrate/test_commands.py",
    "train-detector": "trains for minutes; run on drawn images by tests/unit/flows/detector/test_training.py",
    "bench-ledger": "run at toy size by tests/benchmarks/test_toy.py",
}
# Values for the placeholders of a command.
FOR = {"ID": "cc3m_0_0", "CORPUS": "cc3m", "CODE": "toycorpus"}


def commands() -> list[str]:
    return sorted({found.strip().rstrip(":.") for found in COMMAND.findall(README)})


def target_of(command: str) -> str:
    return command.split()[1]


@pytest.fixture(scope="module")
def toy(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Make variables that point a command to a small finished build."""
    folder = tmp_path_factory.mktemp("readme")
    build = finished.copy_to(folder / "build")
    arguments = dict(word.removeprefix("--").partition("=")[::2] for word in _joined(build.arguments(folder)))
    source = next((build.sources / "cc3m").glob("*.tsv"))
    (folder / "list.csv").write_text("laion2b_0_0,a text,http://nowhere.test/x,True\n")
    yield {
        "PROFILE": arguments["profile"], "SOURCES": arguments["sources"], "BUILD": arguments["build"],
        "EVAL": str(build.sources.parent / "evaluation"),
        "FILE": str(source), "METAFILE": str(folder / "list.csv"), "RELEASE": str(folder / "build"),
        "OUT": str(folder / "out"), "folder": str(folder),
    }  # fmt: skip


def _joined(words: list[str]) -> Iterator[str]:
    """Yield `--name=value` for options with a separate value."""
    waiting = ""
    for word in words:
        if word.startswith("--") and "=" not in word:
            waiting = word
        else:
            yield f"{waiting}={word}" if waiting else word
            waiting = ""


def test_readme_has_commands_and_no_exemption_is_stale() -> None:
    targets = {target_of(command) for command in commands()}
    assert len(commands()) >= 15
    assert set(LEFT_OUT) - targets <= {"bench-ledger"}


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_runs(
    command: str,
    toy: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = target_of(command)
    known = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert known.returncode == 0 and "no target" not in known.stdout, f"{command}: no such target"
    if target in LEFT_OUT:
        pytest.skip(f"{command}: {LEFT_OUT[target]}")
    said = dict(re.findall(r"([A-Z]+)=(\"[^\"]*\"|\S+)", command))
    said = {name: toy.get(name, FOR.get(name, value.strip('"'))) for name, value in said.items()}
    words = ["stage", target.removeprefix("stage-")] if target.startswith("stage-") else [target]
    if target not in ("new-corpus", "peek"):
        said = {"PROFILE": toy["PROFILE"], "SOURCES": toy["SOURCES"], "BUILD": toy["BUILD"]} | said
    if target == "compare":
        said.pop("SOURCES")
    if target == "new-corpus":
        pytest.skip(f"{command}: run by tests/unit/stages/readers/test_new_corpus.py")
    monkeypatch.chdir(tmp_path)
    environment = {f"{make.PREFIX}{name}": value for name, value in said.items()}
    code = make.main(words, environment)
    printed = capsys.readouterr().out
    assert code == 0, f"{command}: {printed[-500:]}"
    print(f"ran: {command}")
