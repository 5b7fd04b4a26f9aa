"""Machine tags are joined to rows by URL, and an unreadable line gives no tags."""

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.corpora import load_corpora
from schemas.tables import CANDIDATE
from stages.filter.filtering import Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers.batch import Damage, SourceFiles
from stages.readers.tsv.tags import Tags, join_tags, read_tags
from tests.damage import MUTATIONS

GOOD = b"a lake\thttp://a/1\tlake,water\t/m/1,/m/2\t0.91,0.5\n"


def read(tmp_path: Path, data: bytes, *urls: str, block_bytes: int = 1 << 20) -> dict[str, Tags]:
    path = tmp_path / "labels.tsv"
    path.write_bytes(data)
    return read_tags(path, pa.array(urls, pa.string()), block_bytes)


@pytest.mark.parametrize("block_bytes", [1, 60, 1 << 20])
def test_tags_are_found_by_url_for_any_order_and_caption(tmp_path: Path, block_bytes: int) -> None:
    other = b'"\xc3\xa9\thttp://a/0\tsky "\t/m/3\t1.0\r\n'
    data = b"x\thttp://a/9\tcat\t/m/4\t0.7\n" + other + GOOD
    found = read(tmp_path, data, "http://a/1", "http://a/0", "http://a/7", block_bytes=block_bytes)
    assert found == {"http://a/1": Tags(["lake", "water"], [0.91, 0.5]), "http://a/0": Tags(['sky "'], [1.0])}


@pytest.mark.parametrize(
    "line",
    [
        b"a\thttp://a/2\tx,y\t/m/1\t0.5,0.5\n",
        b"a\thttp://a/2\tx\t/m/1\t0.5,0.4\n",
        b"a\thttp://a/2\tx\t/m/1\tlikely\n",
        b"a\thttp://a/2\tx\t/m/1\tnan\n",
        b"a\thttp://a/2\tx\t/m/1\t1.5\n",
        b"a\thttp://a/2\t\xff\t/m/1\t0.5\n",
        b"a\thttp://a/2\tx\t/m/1\n",
        b"a\thttp://a/2\tx\t/m/1\t0.5\t\n",
        b"http://a/2\n",
        b"\n",
    ],
)
def test_an_unreadable_line_gives_no_tags_and_affects_no_other(tmp_path: Path, line: bytes) -> None:
    assert set(read(tmp_path, GOOD + line + GOOD, "http://a/1", "http://a/2")) == {"http://a/1"}


def test_a_line_without_labels_gives_an_empty_list_and_the_first_line_of_a_url_counts(tmp_path: Path) -> None:
    data = b"a\thttp://a/1\t\t\t\n" + GOOD
    assert read(tmp_path, data, "http://a/1") == {"http://a/1": Tags([], [])}
    assert read(tmp_path, b"", "http://a/1") == {}


def lost_of(tmp_path: Path, data: bytes) -> list[Damage]:
    lost: list[Damage] = []
    (tmp_path / "labels.tsv").write_bytes(data)
    read_tags(tmp_path / "labels.tsv", pa.array(["http://a/1"]), lost=lost)
    return lost


def test_a_file_without_five_fields_is_damaged_completely(tmp_path: Path) -> None:
    (damage,) = lost_of(tmp_path, b"a lake\thttp://a/1\n" * 10)
    assert (damage.first_row, damage.reason) == (0, "wrong_columns")
    assert "expected 5 fields a line" in damage.detail and "found 2 in the first" in damage.detail


@pytest.mark.parametrize(
    ("data", "first_row"),
    [
        (GOOD + GOOD[:-1] + b"*" + GOOD, 1), (GOOD * 2 + GOOD[:20], 2), (GOOD + bytes(60) + b"\n" + GOOD, 1),
        (GOOD.decode().encode("utf-16"), 0), (GOOD * 2 + b"\xff\t\n", 2),
    ],
)  # fmt: skip
def test_a_torn_line_is_a_damaged_stretch(tmp_path: Path, data: bytes, first_row: int) -> None:
    (damage,) = lost_of(tmp_path, data)
    assert (damage.first_row, damage.n_rows, damage.reason) == (first_row, 1, "damaged_source")
    assert lost_of(tmp_path, GOOD * 3) == lost_of(tmp_path, GOOD[:-1]) == []


@pytest.mark.parametrize("change", MUTATIONS)
def test_damage_to_the_labels_ends_no_run(
    tmp_path: Path, change: str, record_property: Callable[[str, int], None]
) -> None:
    record_property("damaged labels of cc3m", 4)
    for seed in range(4):
        for damage in lost_of(tmp_path, MUTATIONS[change](GOOD * 50, random.Random(f"{change} {seed}"))):
            assert damage.n_rows > 0 and damage.path == tmp_path / "labels.tsv"


def test_candidates_get_the_tags_of_their_urls_and_nothing_else_changes(tmp_path: Path) -> None:
    source, labels = tmp_path / "GCC-training.tsv", tmp_path / "labels.tsv"
    source.write_bytes(b"Landsat a\thttp://a/1\nLandsat b\thttp://a/2\nLandsat c\thttp://a/1\nLandsat d\thttp://a/4\n")
    labels.write_bytes(GOOD + b"x\thttp://a/4\t\t\t\n")
    search = Search(("Landsat",), StrictRules())
    candidates = filter_source(SourceFiles(((source, 0),)), load_corpora()["cc3m"], search).candidates
    tagged, lost = join_tags(candidates, labels)
    assert lost == []
    assert tagged.schema == CANDIDATE.schema
    assert tagged["machine_tags"].to_pylist() == [["lake", "water"], None, ["lake", "water"], []]
    assert tagged["machine_tag_probs"].to_pylist() == [[0.91, 0.5], None, [0.91, 0.5], []]
    names = ["machine_tags", "machine_tag_probs"]
    assert tagged.drop_columns(names) == candidates.drop_columns(names)
    assert join_tags(candidates.slice(0, 0), labels)[0].schema == CANDIDATE.schema
