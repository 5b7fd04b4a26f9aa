"""A faulty manifest only affects its own corpus: commands name file and key, and other corpora are built."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli import main
from flows.run.executor import InlineExecutor
from schemas import corpora
from schemas.manifest_files import ManifestError
from tests.small_build import SETTINGS, Build

_LISTED = ("laion2b", "cc3m", "fmow")


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "corpora"
    shutil.copytree(corpora.CORPORA, folder)
    monkeypatch.setattr(corpora, "CORPORA", folder)
    return folder


@pytest.fixture
def build(tmp_path: Path) -> Build:
    sources = tmp_path / "sources"
    (sources / "cc3m").mkdir(parents=True)
    (sources / "cc3m/GCC-training.tsv").write_text("aerial view\thttp://127.0.0.1/a.png\n")
    (sources / "laion2b").mkdir()
    rows = pa.table({"URL": ["http://127.0.0.1/b.png"], "TEXT": ["satellite map"]})
    pq.write_table(rows, sources / "laion2b/part-00000-a.parquet")
    (sources / "fmow/train/dam/dam_1").mkdir(parents=True)
    (sources / "fmow/train/dam/dam_1/dam_1_0_rgb.jpg").write_bytes(b"x")
    return Build(tmp_path / "build", sources, SETTINGS)


def _break(manifests: Path, code: str) -> str:
    path = manifests / f"{code}.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("is_withdrawn = ", "is_withdrawn = 3  # "))
    return f"{path}: key is_withdrawn"


@pytest.mark.parametrize("code", _LISTED)
def test_the_other_corpora_are_built(code: str, manifests: Path, build: Build) -> None:
    _break(manifests, code)
    build.run(InlineExecutor(), ["inventory", "filter"])
    assert {row["corpus"] for row in build.rows("source_listing")} == set(_LISTED) - {code}
    assert {row["corpus"] for row in build.rows("candidate")} == {"laion2b", "cc3m"} - {code}


def test_a_manifest_that_cannot_be_parsed_or_has_an_odd_beginning_stops_no_other(manifests: Path, build: Build) -> None:
    path = manifests / "cc3m.toml"
    (manifests / "mine.toml").write_text("a = " + "[" * 2000)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"is_withdrawn", b"\nis_withdrawn"))
    build.run(InlineExecutor(), ["inventory", "filter"])
    assert {row["corpus"] for row in build.rows("source_listing")} == set(_LISTED)
    path.write_text(path.read_text(encoding="utf-8-sig") + "\n[colums]\nurl = [1]\n")
    with pytest.raises(ManifestError, match=r"key colums: there is no such key; did you mean columns\?"):
        corpora.load_corpus("cc3m")


@pytest.mark.parametrize("code", _LISTED)
def test_a_later_mistake_does_not_change_what_is_built(code: str, manifests: Path, build: Build) -> None:
    build.run(InlineExecutor(), ["inventory", "filter", "labelled"])
    whole = (manifests / f"{code}.toml").read_bytes()
    before = build.rows("source_listing")
    _break(manifests, code)
    watcher = build.run(InlineExecutor(), ["inventory", "filter", "labelled"])
    assert build.rows("source_listing") == before
    assert sum(n_due for name, _, n_due in watcher.begun if name in ("filter", "read_labelled")) == 0
    (manifests / f"{code}.toml").write_bytes(whole)
    build.run(InlineExecutor(), ["inventory", "filter", "labelled"])
    assert build.rows("source_listing") == before


def test_every_command_names_file_and_key_and_continues(
    manifests: Path, build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = _break(manifests, "fmow")
    arguments = build.arguments(tmp_path)
    build.run(InlineExecutor(), ["inventory", "filter"])
    sample = "laion2b_0_0"
    for words, code in ((["status"], 0), (["explain", sample], 0), (["config"], 0), (["gc", "--dry-run"], 0)):
        assert main([*words, *arguments]) == code
        assert capsys.readouterr().out.count(message) == 1
    assert main(["peek", "fmow", str(tmp_path)]) == 2
    assert f"error: {message}" in capsys.readouterr().out
    assert main(["peek", "cc3m", str(build.sources / "cc3m/GCC-training.tsv")]) == 0


def test_a_setting_may_name_the_corpus_with_a_faulty_manifest(manifests: Path, build: Build) -> None:
    _break(manifests, "cc3m")
    build.with_settings(inventory={"corpora": ["cc3m", "laion2b"]}).run(InlineExecutor(), ["inventory"])
    assert {row["corpus"] for row in build.rows("source_listing")} == {"laion2b"}
