"""A corpus that is not in RS5M only needs a manifest, and is used if its folder is under SOURCES."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ask.explain import explain
from flows.run.executor import InlineExecutor
from schemas.corpora import CORPUS_CODES, known_codes, load_corpora
from schemas.corpus import Corpus
from schemas.template_manifests import Templates
from stages.dedup.settings import ClusterParams
from stages.inventory.stage import reader_digest
from tests.small_build import Build

CODE = "datacomp"
CORPUS = load_corpora()[CODE]
FILES = ("0020f0cbd157d470aa56bea08e304b90.parquet", "part_3/002372587416601d1a339f7589e00276.parquet")


def write(path: Path, captions: list[str | None]) -> Path:
    """Write a file with CommonPool's columns."""
    n = len(captions)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "uid": [f"{i:032x}" for i in range(n)],
        "url": [f"http://{path.stem[:4]}.org/{i}.jpg" for i in range(n)],
        "text": pa.array(captions, pa.string()),
        "original_width": pa.array([640] * n, pa.int32()),
        "original_height": pa.array([480] * n, pa.int32()),
        "clip_b32_similarity_score": pa.array([0.25] * n, pa.float32()),
        "clip_l14_similarity_score": pa.array([0.2] * n, pa.float32()),
        "face_bboxes": [[[0.1, 0.1, 0.2, 0.2]]] * n,
        "sha256": ["0" * 64] * n,
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def build(tmp_path: Path) -> Build:
    found = Build(tmp_path / "build", tmp_path / "sources")
    write(found.sources / CODE / FILES[0], ["an aerial view", "a cat", None, "satellite image of a port"])
    write(found.sources / CODE / FILES[1], ["Landsat"])
    (found.sources / CODE / FILES[0].replace("parquet", "npz")).write_bytes(b"features")
    found.run(InlineExecutor(), ["inventory", "filter", "plan"])
    return found


def test_rows_of_a_new_corpus_are_filtered_by_its_manifest(build: Build) -> None:
    parts = [CORPUS.part_of(name) for name in FILES]
    assert len(set(parts)) == 2 and all(part is not None and 0 <= part < 2**31 for part in parts)
    rows = {row["sample_id"]: row for row in build.rows("candidate")}
    assert set(rows) == {f"{CODE}_{parts[0]}_0", f"{CODE}_{parts[0]}_3", f"{CODE}_{parts[1]}_0"}
    row = rows[f"{CODE}_{parts[0]}_3"]
    expected = {
        "corpus": CODE, "url": "http://0020.org/3.jpg", "source_caption": "satellite image of a port",
        "published_width_px": 640, "published_height_px": 480, "native_id": f"{3:032x}", "similarity": 0.25,
        "annotation_licence": "CC-BY-4.0", "punsafe": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert len(build.rows("planned", ["sample_id"])) == 3
    assert {row["path"] for row in build.rows("source_file", ["path"])} == {f"{CODE}/{name}" for name in FILES}


def test_a_row_that_did_not_match_is_explained(build: Build) -> None:
    text = "\n".join(explain(build.ledger(), f"{CODE}_{CORPUS.part_of(FILES[0])}_1", build.sources))
    assert "reason = no_keyword" in text and "a cat" in text


def test_unread_files_of_the_corpus_are_ignored(build: Build) -> None:
    ledger = build.ledger()
    assert [receipt.reasons for receipt in ledger.state(build.stage("list_sources")).receipts] == [{"not_needed": 1}]


def test_a_new_code_is_valid_wherever_a_corpus_is_named() -> None:
    assert known_codes()[: len(CORPUS_CODES)] == CORPUS_CODES and CODE in known_codes()
    assert ClusterParams(priority=(("laion2b", CODE), ("*",))).priority[0] == ("laion2b", CODE)
    with pytest.raises(ValueError, match=r"at most once, found \['datacmp'\]"):
        ClusterParams(priority=(("datacmp",), ("*",)))
    group = {"corpora": [CODE], "variant": [[{"clauses": [["{city}"]]}]]}
    assert Templates.model_validate({"reference": "x", "group": [group]}).groups[0].corpora == (CODE,)


def test_a_part_named_by_a_digest_has_the_same_number_in_any_folder() -> None:
    name = FILES[0]
    assert CORPUS.part_of(f"deep/{name}") == CORPUS.part_of(name) == int(name[:32], 16) % (2**31 - 1)
    assert CORPUS.part_of("0020f0cb.parquet") is None


def test_published_figures_of_a_corpus_do_not_affect_its_reading() -> None:
    stated: Corpus = CORPUS.model_copy(update={"n_files_published": 7, "sha256": {"a": "0"}, "how_to_get": "ask"})
    assert reader_digest(stated) == reader_digest(CORPUS)
    assert stated.stated_sha256("deep/a") == "0" and stated.stated_sha256("b") == ""
