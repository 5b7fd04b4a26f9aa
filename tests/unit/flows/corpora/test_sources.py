"""The files present for each corpus, possibly none, are listed against the published ones."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.corpora.sources import Holding, holdings, mismatches, missing_parts_of
from flows.corpora.sources_report import WIDTH, render, summary
from flows.run.executor import InlineExecutor
from schemas.corpora import CORPUS_CODES, load_corpora
from schemas.corpus import Corpus
from tests.small_build import Build

_UNSTATED = {"n_files_published": None, "n_bytes_published": None, "sha256": {}}
CORPORA = {code: corpus.model_copy(update=_UNSTATED) for code, corpus in load_corpora().items()}
COYO = CORPORA["coyo700m"].model_copy(update={"n_files_published": 4, "n_bytes_published": 100})


def write(sources: Path, path: str, data: bytes = b"x\thttp://a/b\n") -> Path:
    target = sources / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path / "build", tmp_path / "sources")


def look(build: Build) -> dict[str, Holding]:
    found = holdings(build.ledger(), build.sources, {**CORPORA, "coyo700m": COYO})
    return {holding.code: holding for holding in found}


def lines(found: Any, sources: Path | None) -> list[str]:
    return [line for line, _ in render(list(found), sources)]


@pytest.mark.parametrize("given", ["none", "nowhere", "empty", "empty folders"])
def test_empty_sources_list_all_corpora_and_create_nothing(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = tmp_path / "sources"
    if given.startswith("empty"):
        sources.mkdir()
    if given == "empty folders":
        for code in CORPUS_CODES:
            (sources / code / "deep").mkdir(parents=True)
    asked = ["inventory", "--profile", "paper", "--build", str(tmp_path / "build")]
    assert main([*asked, *(() if given == "none" else ("--sources", str(sources)))]) == 0
    said = capsys.readouterr().out.splitlines()
    heads = [line.split()[0] for line in said[:-1] if line.endswith(" missing")]
    assert heads == [*CORPUS_CODES, *(code for code in CORPORA if code not in CORPUS_CODES)]
    assert said[-1] == "of 14 corpora: 0 complete, 0 partly there, 14 missing"
    assert sum(line.startswith("  get it ") for line in said) == len(heads)
    assert not (tmp_path / "build").exists()


def test_lines_fit_a_terminal_unless_a_single_word_does_not() -> None:
    said = lines((Holding(code, corpus) for code, corpus in CORPORA.items()), Path("sources"))
    assert len(said) > 50
    assert all(len(line) <= WIDTH or len(line.split()) == 1 for line in said)


@pytest.mark.parametrize(
    ("n_files", "n_bytes", "update", "state"),
    [
        (0, 0, {}, "missing"),
        (3, 100, {}, "partly there"),
        (4, 99, {}, "partly there"),
        (4, 100, {}, "complete"),
        (5, 200, {}, "complete"),
        (4, 1, {"n_bytes_published": None}, "complete"),
        (1, 100, {"n_files_published": None}, "complete"),
        (4, 100, {"n_files_published": None, "n_bytes_published": None}, "there"),
    ],
)
def test_a_corpus_is_complete_if_it_has_the_published_files_or_bytes(
    n_files: int, n_bytes: int, update: dict[str, Any], state: str
) -> None:
    assert Holding("coyo700m", COYO.model_copy(update=update), n_files, n_bytes).state == state


def test_files_are_counted_and_missing_file_numbers_are_named(build: Build) -> None:
    for n in (1, 3):
        write(build.sources, f"coyo700m/data/part-0000{n}-x.parquet", b"12345")
    write(build.sources, "cc3m/GCC-training.tsv")
    write(build.sources, "cc3m/Image_Labels_Subset_Train_GCC-Labels-training.tsv")
    gone = write(build.sources, "laion2b/part-00000-x.parquet")
    write(build.sources, "laion2b/part-00001-x.parquet")
    build.run(InlineExecutor(), ["inventory"])
    gone.unlink()
    found = look(build)
    coyo = found["coyo700m"]
    assert (coyo.n_files, coyo.n_bytes, coyo.missing_parts, coyo.state) == (2, 10, (0, 2), "partly there")
    assert found["laion2b"].n_files == 1, "a removed file is missing although it stays listed"
    assert found["cc3m"].companions == ("Image_Labels_Subset_Train_GCC-Labels-training.tsv",)
    assert len(found["laion2b"].gone) == 1 and not coyo.gone
    assert found["wit"].state == "missing"
    text = "\n".join(lines(found.values(), build.sources))
    assert "2 files, 10 bytes" in text and "files number 0, 2" in text
    assert "1 file, 13 bytes; beside it Image_Labels" in text
    assert "listed before, and their rows stay in this build" in " ".join(text.split())
    assert "of 14 corpora: 0 complete, 1 partly there, 2 there (published size unknown), 11 missing" in text


def test_numbers_are_missing_only_where_files_are_numbered_as_published() -> None:
    names = [f"part-{n:05d}-x.parquet" for n in (1, 2, 4)]
    assert missing_parts_of(COYO, names) == (3,), "from 1 to 4"
    assert missing_parts_of(COYO, [*names, "part-00009-x.parquet"]) == ()
    assert missing_parts_of(COYO.model_copy(update={"n_files_published": None}), names) == ()
    yfcc = CORPORA["yfcc15m"].model_copy(update={"n_files_published": 10})
    assert missing_parts_of(yfcc, ["yfcc100m_dataset"]) == ()
    assert missing_parts_of(yfcc, [f"yfcc100m_dataset-{n}" for n in range(1, 10)]) == (0,)


def test_a_file_with_an_unpublished_checksum_is_named_and_stops_nothing(build: Build) -> None:
    write(build.sources, "cc3m/deep/GCC-training.tsv")
    digest = hashlib.sha256(b"x\thttp://a/b\n").hexdigest()
    build.run(InlineExecutor(), ["inventory"])

    def stating(stated: str) -> dict[str, Corpus]:
        return {"cc3m": CORPORA["cc3m"].model_copy(update={"sha256": {"GCC-training.tsv": stated}})}

    for whole in (digest, digest.upper(), digest[:12]):
        assert mismatches(build.ledger(), stating(whole)) == []
    assert mismatches(build.ledger(), CORPORA) == []
    (found,) = mismatches(build.ledger(), stating("0" * 64))
    assert (found.path, found.found, found.stated) == ("cc3m/deep/GCC-training.tsv", digest, "0" * 64)
    holding = Holding("cc3m", stating("0" * 64)["cc3m"], 1, 13, mismatches=(found,))
    assert holding.state == "partly there"
    assert any(line.startswith("  sha256      cc3m") for line in lines([holding], build.sources))


def test_a_corpus_that_the_inventory_leaves_out_is_reported_beside_those_of_other_corpora(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = tmp_path / "sources"
    write(sources, "cc3m/GCC-training.tsv")
    write(sources, "coyo700m/data.parquet")
    command = ["inventory", "--profile", "paper", "--build", str(tmp_path / "build"), "--sources", str(sources)]
    assert main(command) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "1 file, 13 bytes" in said and "has no file named like" in said
    assert "of 14 corpora:" in said and said.index("of 14 corpora:") < said.index("unreadable: coyo700m")


def test_other_corpora_are_listed_separately() -> None:
    corpus = COYO.model_copy(update={"code": "other"})
    found = [Holding(code, CORPORA.get(code)) for code in CORPUS_CODES] + [Holding("other", corpus, 4, 100)]
    assert summary(found) == "of 14 corpora: 0 complete, 0 partly there, 14 missing; others: other"
    assert "Others that can be read:" in lines(found, None)
