"""Further texts are joined by every name of a sample, and every row of every file is joined or rejected."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ask.explain import explain
from schemas.fields import FIELD
from schemas.manifest_files import ManifestError
from schemas.text_manifests import load_text_sources
from stages.caption.further_texts import JOIN_TEXTS, FurtherParams, FurtherResources
from stages.checks import check_outcome
from stages.contract import Context, InputError, Outcome
from stages.rows import FileRows, Space
from tests.contract.handmade import samples_of
from tests.small_build import Build

PATCH = "S2A_MSIL2A_20170613T101031_26_57"
V2 = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57"
ROWS: dict[str, list[dict[str, Any]]] = {
    "sample": samples_of(
        {"ben_1": "ben_1", "ben_2": None, "fmow_airport_0_0_rgb": "fmow_airport_0_0_rgb", "yfcc15m_77": "i"}
    ),
    "candidate": [{"sample_id": "yfcc15m_77", "native_id": "photo.77"}],
    "labelled_image": [
        {"sample_id": "ben_1", "path": f"ben/v1/{PATCH}"},
        {"sample_id": "fmow_airport_0_0_rgb", "path": "fmow/train/airport/airport_0/airport_0_0_rgb.jpg"},
    ],
    "patch": [{"sample_id": "ben_1", "v1_patch": PATCH, "v2_patch": V2}],
}
BEN = 'name = "ben-txt"\ncorpus = "ben"\nkey_column = "patch"\ntext_column = "text"\nlicence = "CDLA-Permissive-1.0"\n'


def join(manifest: Path, *names: str, space: Space | None = None) -> Outcome:
    params = FurtherParams(further_texts=names)
    resources = FurtherResources(further_manifest=str(manifest))
    inputs: dict[str, Any] = {
        reads.name: pa.Table.from_pylist(ROWS[reads.table], pa.schema([(n, FIELD[n].type) for n in reads.columns]))
        for reads in JOIN_TEXTS.reads
    }
    if space is not None:
        for name, table in inputs.items():
            space.folder.mkdir(exist_ok=True)
            pq.write_table(table, path := space.folder / f"{name}.parquet")
            inputs[name] = FileRows((path,), table.schema, table.num_rows, space)
    (tool,) = JOIN_TEXTS.tools
    with tool.open(params, resources) as texts:
        outcome = JOIN_TEXTS.run(inputs, Context("whole", params, resources, {"texts": texts}, None, Path()))  # type: ignore[arg-type]
    check_outcome(JOIN_TEXTS, inputs, outcome)
    return outcome


def write(folder: Path, entry: str, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "texts.toml").write_text(f"[[text]]\n{entry}")
    return folder / "texts.toml"


def reasons(outcome: Outcome) -> list[str]:
    return [row["reason"] for row in outcome.rejects.to_pylist()]


@pytest.mark.parametrize(
    "key", [PATCH, V2, "ben_1", f"{PATCH}.tif", f"BigEarthNet-v1.0/{PATCH}", f"a/b/{V2}.jpg"]
)  # fmt: skip
def test_a_patch_is_found_by_each_of_its_names(tmp_path: Path, key: str) -> None:
    manifest = write(tmp_path, f'{BEN}files = "*.csv"', a__csv=f'patch,text\n{key},"a lake, a town"\n')
    (row,) = join(manifest, "ben-txt").kept.to_pylist()
    assert row == {
        "text_id": "ben-txt:a.csv:0000000:0", "sample_id": "ben_1", "text_source": "ben-txt", "text_key": key,
        "further_text": "a lake, a town", "text_licence": "CDLA-Permissive-1.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("corpus", "key", "sample_id"),
    [
        ("fmow", "airport_0_0_rgb", "fmow_airport_0_0_rgb"),
        ("fmow", "val/airport_0/airport_0_0_rgb.jpg", "fmow_airport_0_0_rgb"),
        ("fmow", "airport_0_0_msrgb", None),
        ("fmow", "ben_1", None),  # of another corpus
        ("yfcc15m", "photo.77", "yfcc15m_77"),
        ("ben", "ben_2", "ben_2"),  # an image that was refused keeps its texts in the table
    ],
)
def test_a_key_names_samples_of_its_own_corpus_only(
    tmp_path: Path, corpus: str, key: str, sample_id: str | None
) -> None:
    entry = BEN.replace('"ben"', f'"{corpus}"') + 'files = "*.jsonl"'
    outcome = join(write(tmp_path, entry, a__jsonl=json.dumps({"patch": key, "text": "x"})), "ben-txt")
    assert [row["sample_id"] for row in outcome.kept.to_pylist()] == ([sample_id] if sample_id else [])
    if sample_id is None:
        (row,) = outcome.rejects.to_pylist()
        assert (row["reason"], row["text_key"]) == ("unknown_text_key", key) and key in row["detail"]


TEXTS = [(PATCH, ["a lake", "a river"]), (V2, ["a lake"]), ("ben_99", ["nothing"]), (PATCH, [" "])]
EXPECTED = ["a lake", "a river", "a lake"]  # equal texts of two rows are both kept


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet", "parquet lists"])
@pytest.mark.parametrize("is_in_files", [False, True])
def test_each_format_gives_the_same_texts_and_rejects(tmp_path: Path, kind: str, is_in_files: bool) -> None:
    flat = [{"patch": key, "text": text} for key, texts in TEXTS for text in texts]
    nested = [{"patch": key, "text": texts} for key, texts in TEXTS]
    ending = kind.partition(" ")[0]
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(nested if "lists" in kind else flat), path)
    elif ending == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in nested) + "\n")
    else:
        body = "".join(["patch,text\n", *(f"{row['patch']},{row['text']}\n" for row in flat)]).encode()
        path.write_bytes(gzip.compress(body) if ending.endswith("gz") else body)
    space = Space(tmp_path / "work", 256 << 20) if is_in_files else None
    outcome = join(write(tmp_path, f'{BEN}files = "a.{ending}"'), "ben-txt", space=space)
    assert isinstance(outcome.kept, FileRows) == is_in_files
    kept = [row for batch in (outcome.kept.batches() if is_in_files else [outcome.kept]) for row in batch.to_pylist()]
    rejects = outcome.rejects.batches() if is_in_files else [outcome.rejects]
    assert [row["further_text"] for row in kept] == EXPECTED and len({row["text_id"] for row in kept}) == 3
    assert [row["reason"] for batch in rejects for row in batch.to_pylist()] == ["unknown_text_key", "no_text"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"patch,text\nben_1,x\nben_1\nben_1,\xff\nben_1,y\n", ["wrong_field_count", "invalid_utf8"]),
        ("a.csv", b"name,text\nben_1,x\n", ["wrong_columns"]),
        ("a.csv", b"", ["wrong_columns"]),
        ("a.csv", b'patch,text\nben_1,"never closed\n', ["bad_record"]),
        ("a.csv", b"patch,text\nben_1," + b"x" * 200_000 + b"\n", ["field_too_large"]),
        ("a.csv.gz", gzip.compress(b"patch,text\n" + b"ben_1,x\n" * 50_000)[:-60], ["damaged_source"]),
        ("a.jsonl", b'{"patch": 1}\n[]\n{"text": "x"}\n\xff\n{', ["no_text", *["bad_record"] * 3, "invalid_utf8"]),
        ("a.jsonl", b'{"patch": "ben_1", "text": ["x", 5]}\n', ["bad_record"]),
        ("a.jsonl", b'{"patch": "ben_1", "text": "' + b"x" * (1 << 20) + b'"}\n', ["field_too_large"]),
        ("a.parquet", b"PAR1 no parquet PAR1", ["damaged_source"]),
        ("a.txt", b"ben_1 x", ["wrong_columns"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_rejected_with_a_reason(
    tmp_path: Path, name: str, content: bytes, expected: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    outcome = join(write(tmp_path, f'{BEN}files = "{name}"'), "ben-txt")
    assert sorted(reasons(outcome)) == sorted(expected)
    assert all(row["text_source"] == "ben-txt" and name in row["text_id"] for row in outcome.rejects.to_pylist())


def test_a_parquet_file_with_other_columns_or_types_is_rejected(tmp_path: Path) -> None:
    for n, table in enumerate((pa.table({"patch": ["ben_1"]}), pa.table({"patch": ["ben_1"], "text": [5]}))):
        pq.write_table(table, tmp_path / f"{n}.parquet")
    outcome = join(write(tmp_path, f'{BEN}files = "*.parquet"'), "ben-txt")
    assert reasons(outcome) == ["wrong_columns"] * 2 and not outcome.kept.num_rows


@pytest.mark.parametrize(
    ("entry", "names", "match"),
    [
        (f'{BEN}files = "*.csv"', ("other",), "describes no texts 'other'; it has ben-txt"),
        (f'{BEN}files = "*.parquet"', ("ben-txt",), "no file in .* matches '\\*.parquet'"),
        (BEN, ("ben-txt",), "files: Field required"),
        (f'{BEN}files = "../*.csv"', ("ben-txt",), "below the manifest's folder"),
        (BEN.replace('"ben"', '"bane"') + 'files = "*.csv"', ("ben-txt",), "no corpus has the code 'bane'"),
    ],
)
def test_a_wrong_manifest_or_name_is_refused(tmp_path: Path, entry: str, names: tuple[str, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        join(write(tmp_path, entry, a__csv="patch,text\n"), *names)
    with pytest.raises(InputError, match="is not a file: expected a TOML file"):
        join(tmp_path / "none.toml", "ben-txt")
    with pytest.raises(ManifestError, match="each name once"):
        load_text_sources(write(tmp_path, f'{BEN}files = "a"\n[[text]]\n{BEN}files = "b"'))


def test_other_files_make_the_texts_stale_and_missing_ones_do_not(tmp_path: Path) -> None:
    manifest = write(tmp_path, f'{BEN}files = "*.csv"', a__csv="patch,text\nben_1,x\n")
    (tool,) = JOIN_TEXTS.tools
    params, resources = FurtherParams(further_texts=("ben-txt",)), FurtherResources(further_manifest=str(manifest))
    before = tool.found(params, resources)
    assert before == tool.found(params, resources) and before is not None
    write(tmp_path, f'{BEN}files = "*.csv"', b__csv="patch,text\nben_1,y\n")
    assert tool.found(params, resources) not in (before, None)
    assert tool.found(params, FurtherResources(further_manifest="none.toml")) is None
    assert JOIN_TEXTS.off(FurtherParams()) == "caption.further_texts is empty" and not JOIN_TEXTS.off(params)


def test_the_example_in_the_docs_works(tmp_path: Path) -> None:
    text = (Path(__file__).parents[4] / "docs/corpora.md").read_text(encoding="utf-8")
    section = text[text.index("## Further texts") :]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    ") or not line)
    _, manifest, lines = re.split(r"# (?:texts\.toml|bigearthnet\.jsonl)\n", code)
    (tmp_path / "bigearthnet.jsonl").write_text(lines.strip())
    (tmp_path / "texts.toml").write_text(manifest)
    (name,) = load_text_sources(tmp_path / "texts.toml")
    outcome = join(tmp_path / "texts.toml", name)
    assert [row["sample_id"] for row in outcome.kept.to_pylist()] == ["ben_1", "ben_1"] and reasons(outcome) == []
    assert f"caption.further_texts=['{name}']" in section


def test_the_pairs_have_the_further_texts_with_source_and_licence(finished: Build) -> None:
    rows = {row["sample_id"]: row for row in finished.rows("description")}
    texts = finished.rows("further_text")
    assert len(texts) == 4
    for row in texts:
        if row["sample_id"] in rows:
            found = rows[row["sample_id"]]
            place = found["further_texts"].index(row["further_text"])
            assert found["further_sources"][place] == row["text_source"]
            assert found["further_licences"][place] == row["text_licence"]
    assert sum(len(row["further_texts"]) for row in rows.values()) == sum(t["sample_id"] in rows for t in texts) > 0
    name = texts[0]["sample_id"]
    assert any(one.startswith("join_texts: kept") for one in explain(finished.ledger(), name, None))
