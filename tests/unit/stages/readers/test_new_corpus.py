"""The examples of docs/corpora.md work as printed: corpora with a manifest, and one with its own reader."""

import importlib
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import stages.readers
from flows.cli import main
from flows.run.executor import InlineExecutor
from schemas import corpora
from schemas.manifest_files import ManifestError
from stages.readers import readers
from stages.readers.corpora import load_corpus
from tests.small_build import SETTINGS, Build

DOCS = Path(__file__).parents[4] / "docs" / "corpora.md"
ROWS = [(f"http://127.0.0.1/{n}.png", text) for n, text in enumerate(["aerial view", "a cat", "satellite map"])]


def blocks() -> dict[str, str]:
    """Return the page's fenced blocks by the path in their first line."""
    found = re.findall(r"^```\w+\n# (\S+)[^\n]*\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.M | re.S)
    return {path.rstrip(","): text for path, text in found}


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    monkeypatch.setattr(corpora, "CORPORA", folder)
    return folder


def _write_rows(sources: Path, code: str, columns: dict[str, int]) -> Path:
    path = sources / code / "part-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({name: [row[n] for row in ROWS] for name, n in columns.items()}), path)
    return path


def test_a_corpus_only_needs_a_manifest(tmp_path: Path, manifests: Path) -> None:
    (manifests / "skyphotos.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    _write_rows(tmp_path / "sources", "skyphotos", {"image_url": 0, "caption": 1})
    build = Build(tmp_path / "build", tmp_path / "sources", SETTINGS)
    build.run(InlineExecutor(), ["inventory", "filter"])
    found = build.rows("candidate", ("sample_id", "url", "caption", "annotation_licence"))
    assert [(row["sample_id"], row["caption"]) for row in found] == [
        ("skyphotos_0_0", "aerial view"), ("skyphotos_0_2", "satellite map"),
    ]  # fmt: skip
    assert {row["annotation_licence"] for row in found} == {"CC-BY-4.0"}


def test_a_format_needs_a_folder_and_one_entry(
    tmp_path: Path, manifests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks()
    folder = tmp_path / "readers" / "jsonl"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "reader.py").write_text(found["stages/readers/jsonl/reader.py"])
    monkeypatch.setattr(stages.readers, "__path__", [*stages.readers.__path__, str(folder.parent)])
    importlib.invalidate_caches()
    (manifests / "skylines.toml").write_text(found["manifests/corpora/skylines.toml"])
    build = Build(tmp_path / "build", tmp_path / "sources", SETTINGS)
    lines = [json.dumps({"href": url, "alt": text}) for url, text in ROWS] + ["{", "[1]", '{"href": "http://a"}']
    path = tmp_path / "sources/skylines/lines-7.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines))
    with pytest.raises(ManifestError, match="no reader 'jsonl'"):
        load_corpus("skylines")
    entry = eval("{" + found["stages/readers/readers.py"] + "}", vars(readers))  # noqa: S307  # our own page
    monkeypatch.setitem(readers.READERS, *entry.popitem())
    build.run(InlineExecutor(), ["inventory", "filter"])
    rows = build.rows("candidate", ("sample_id", "caption"))
    assert [(row["sample_id"], row["caption"]) for row in rows] == [
        ("skylines_7_0", "aerial view"), ("skylines_7_2", "satellite map"),
    ]  # fmt: skip
    [receipt] = build.ledger().state(build.stage("filter")).receipts
    assert {reason: n for reason, n in receipt.counts.items() if n} == {
        "given": 6, "kept": 2, "no_keyword": 1, "bad_record": 3,
    }  # fmt: skip


def test_a_labelled_corpus_only_needs_a_manifest(tmp_path: Path, manifests: Path) -> None:
    (manifests / "skytiles.toml").write_text(blocks()["manifests/corpora/skytiles.toml"])
    folder = tmp_path / "sources/skytiles/north"
    folder.mkdir(parents=True)
    for n in (1, 2):
        Image.new("RGB", (64, 64), (n, 0, 0)).save(folder / f"tile000{n}.png")
    (folder / "tile.txt").write_text("x")
    build = Build(tmp_path / "build", tmp_path / "sources", SETTINGS)
    build.run(InlineExecutor(), ["inventory", "filter", "plan", "labelled", "sample"])
    found = build.rows("sample", ("sample_id", "corpus", "half", "image_id"))
    assert [tuple(row.values()) for row in found] == [
        (f"skytiles_tile000{n}", "skytiles", "rs3", f"skytiles_tile000{n}") for n in (1, 2)
    ]
    assert not build.rows("candidate", ("sample_id",))


@pytest.mark.parametrize(
    "columns",
    [{"image_url": 0, "caption": 1}, {"TEXT": 1, "URL": 0}, {"alt": 1, "src": 0}, {"Image Url": 0, "Caption": 1}],
)
def test_a_draft_of_a_parquet_corpus_becomes_a_manifest_with_its_two_rights(
    tmp_path: Path, manifests: Path, columns: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    (manifests / "other.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    file = _write_rows(tmp_path / "sources", "mine", columns)
    assert main(["new-corpus", "mine", str(file), "--build", str(tmp_path / "build")]) == 0
    assert f"make peek CORPUS=mine FILE={file}" in capsys.readouterr().out
    draft = manifests / "mine.toml"
    assert (
        "key annotation_licence: Field required; key image_rights: Field required"
        in (corpora.manifest_faults()["mine"])
    )
    draft.write_text(re.sub("^# (annotation_licence|image_rights)", r"\1", draft.read_text(), flags=re.M))
    build = Build(tmp_path / "build", tmp_path / "sources", SETTINGS)
    build.run(InlineExecutor(), ["inventory", "filter"])
    assert [row["sample_id"] for row in build.rows("candidate", ("sample_id",))] == ["mine_0_0", "mine_0_2"]
    whole = draft.read_bytes()
    assert main(["new-corpus", "mine", str(file), "--build", str(tmp_path / "build")]) == 2
    assert draft.read_bytes() == whole


def test_a_draft_finds_columns_of_repeated_texts_and_prints_commands_that_a_shell_reads(
    tmp_path: Path, manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifests / "other.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    file = tmp_path / "rows 1 (2).parquet"
    texts = pa.array(["aerial view", "aerial view"]).dictionary_encode()
    pq.write_table(pa.table({"url": texts, "caption": texts}), file)
    assert main(["new-corpus", "mine", str(file), "--build", str(tmp_path / "build")]) == 0
    printed = capsys.readouterr().out
    assert f"FILE='{file}'" in printed
    words = f"PROFILE=paper SOURCES=SOURCES BUILD={tmp_path / 'build'}"
    assert f"  make inventory {words}\n  make stage-filter {words}\n" in printed
    (manifests / "mine.toml").unlink()
    said = ["--profile", "light", "--sources", "my files", "--build", "a b"]
    assert main(["new-corpus", "mine", str(file), *said]) == 0
    words = "PROFILE=light SOURCES='my files' BUILD='a b'"
    assert f"mkdir -p 'my files/mine', and put the files there\n  make inventory {words}\n" in capsys.readouterr().out
    assert 'url = ["url"]\nsource_caption = ["caption"]' in (manifests / "mine.toml").read_text()


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train-00000-of-00002-fca7163be6ce3ded.parquet", "train-00001-of-00002-0b1a76c0e1f8a1d2.parquet"], [0, 1]),
        (["part-00000-5b54c5d5-c000.snappy.parquet", "part-00010-5b54c5d5-c000.snappy.parquet"], [0, 10]),
        (["part-00007-5b54c5d5-c000.snappy.parquet"], [7]),
        (["sky2b-2024-00003.parquet", "sky2b-2024-00004.parquet"], [3, 4]),
        (["1700000000000-3.parquet", "1700000000001-4.parquet"], [3, 4]),
        (["7.parquet", "12.parquet", ".8.parquet"], [7, 12]),
        (["photos.parquet"], [0]),
        (["00ff00ff00ff00ff.parquet", "ff00ff00ff00ff00.parquet"], [int("00ff" * 4, 16), int("ff00" * 4, 16)]),
    ],
)
def test_the_part_is_the_number_that_differs_among_the_files(
    tmp_path: Path, manifests: Path, names: list[str], parts: list[int]
) -> None:
    (manifests / "other.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    for name in names:
        pq.write_table(pa.table({"url": ["http://a"], "caption": ["aerial view"]}), tmp_path / name)
    assert main(["new-corpus", "mine", str(tmp_path / names[0]), "--build", str(tmp_path / "build")]) == 0
    draft = manifests / "mine.toml"
    draft.write_text(re.sub("^# (annotation_licence|image_rights)", r"\1", draft.read_text(), flags=re.M))
    corpus = load_corpus("mine")
    found = [corpus.part_of(f"below/{name}") for name in names if not name.startswith(".")]
    assert found == [part % ((1 << 31) - 1) for part in parts]


@pytest.mark.parametrize(("line", "columns"), [("a\thttp://b", ("[0]", "[1]")), ("http://b\ta", ("[1]", "[0]"))])
def test_a_draft_of_a_text_file_finds_the_url_column(
    tmp_path: Path, manifests: Path, line: str, columns: tuple[str, str]
) -> None:
    (manifests / "other.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    file = tmp_path / "rows.tsv"
    file.write_text(f"{line}\n" * 3)
    assert main(["new-corpus", "mine", str(file), "--build", str(tmp_path / "build")]) == 0
    text = (manifests / "mine.toml").read_text()
    assert f"source_caption = {columns[0]}\nurl = {columns[1]}" in text and 'reader = "tsv"' in text


def test_a_draft_of_a_text_file_names_its_odd_lines(tmp_path: Path, manifests: Path) -> None:
    (manifests / "other.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    file = tmp_path / "rows.tsv"
    lines = ["a sky\thttp://b"] * 12
    lines[6] += "\textra"
    file.write_text("\n".join(lines) + "\n" + "x" * (1 << 16))  # the last line does not fit what is read
    assert main(["new-corpus", "mine", str(file), "--build", str(tmp_path / "build")]) == 0
    assert "# Not two fields, so rejected as wrong_field_count: line 7\n" in (manifests / "mine.toml").read_text()


def test_pictures_lead_to_the_manifest_of_a_labelled_corpus(
    tmp_path: Path, manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifests / "other.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    Image.new("RGB", (8, 8)).save(tmp_path / "tile0001.png")
    for place in (tmp_path / "tile0001.png", tmp_path):
        assert main(["new-corpus", "mine", str(place), "--build", str(tmp_path / "build")]) == 2
        assert 'a folder of pictures needs a manifest alone (half = "rs3")' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "content"), [("Mine", b"a\tb"), ("mine", b"a\tb\tc"), ("mine", b""), ("mine", b"PAR1x"), ("cc3m", b"a\tb")]
)
def test_an_unusable_file_gives_no_draft(
    tmp_path: Path, manifests: Path, code: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifests / "other.toml").write_text(blocks()["manifests/corpora/skyphotos.toml"])
    file = tmp_path / "rows"
    file.write_bytes(content)
    assert main(["new-corpus", code, str(file), "--build", str(tmp_path / "build")]) == 2
    assert "error: " in capsys.readouterr().out
    assert [path.name for path in manifests.iterdir()] == ["other.toml"]
