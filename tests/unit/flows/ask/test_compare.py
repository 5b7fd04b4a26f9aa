"""Compared with a build, every row of a list is counted once: kept, or lost at a stage for a reason."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ask.compare import NOT_A_CANDIDATE, compare
from flows.ask.dataset import publish_dataset
from flows.ask.listed import UNUSABLE
from flows.export.export import export
from flows.export.folders import Folders
from flows.export.parquet import Parquet
from flows.run.executor import InlineExecutor
from stages.contract import InputError
from tests.small_build import FATES, Build


def write_list(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["img_name", "text", "url", "download_status"])
        writer.writerows([name, "a text", url, "True"] for name, url in rows)
    return path


def compared(build: Build, path: Path, out: Path) -> tuple[list[dict[str, str]], Any, Any]:
    lost, kept, _ = compare(build.ledger(), path, out)
    return list(csv.DictReader(out.open(newline="", encoding="utf-8"))), lost, kept


def urls_of(build: Build) -> dict[str, str]:
    return {row["sample_id"]: row["url"] for row in build.rows("candidate", ["sample_id", "url"])}


def test_a_listed_row_has_the_fate_of_its_url(finished: Build, tmp_path: Path) -> None:
    urls = urls_of(finished)
    kept = {row["sample_id"] for row in finished.rows("shard", ["sample_id"])}
    rows = [(f"laion2b_9_{n}.jpg", urls[sample_id]) for n, sample_id in enumerate(FATES)]
    rows += [("sbu_1_1", "http://nowhere.test/x"), ("=nobody_1", "http://nowhere.test/y"), ("cc3m_1", "")]
    rows.append(("cc3m_2", urls["cc3m_0_0"].replace("http://", "HTTP://") + "#fragment"))
    path = write_list(tmp_path / "a.csv", rows)
    found, lost, new = compared(finished, path, tmp_path / "deep" / "compare.csv")
    assert [row["list_name"] for row in found] == [name.replace("=nobody", "'=nobody") for name, _ in rows]
    by_name = {row["list_name"]: row for row in found}
    for n, (sample_id, (stage, reason)) in enumerate(FATES.items()):
        row = by_name[f"laion2b_9_{n}.jpg"]
        if reason == "url_duplicate":
            assert (row["fate"], row["reason"]) == ("kept", "") and row["sample_id"] in kept, sample_id
        elif stage == "plan":
            assert (row["stage"], row["fate"], row["reason"]) == ("list", "lost", UNUSABLE)
        else:
            assert (row["stage"], row["reason"]) == (stage, reason), sample_id
            assert row["fate"] == ("lost" if reason else "kept")
    assert by_name["sbu_1_1"]["reason"] == NOT_A_CANDIDATE and by_name["cc3m_1"]["reason"] == UNUSABLE
    assert (by_name["cc3m_2"]["fate"], by_name["cc3m_2"]["sample_id"]) == ("kept", "cc3m_0_0")
    total = lost.rows[-1]
    assert total["published"] == len(rows) == total["kept"] + total["lost"]
    assert {row["corpus"]: row["published"] for row in lost.rows} == {
        "cc3m": 2, "laion2b": len(FATES), "sbu": 1, "unknown": 1, "Total": len(rows),
    }  # fmt: skip
    assert sum(int(str(total[name])) for name in lost.folded) == total["lost"]
    web = [row for row in new.rows if row["corpus"] != "Total"]
    assert {row["corpus"] for row in web} <= {"laion2b", "coyo700m", "cc3m"}
    assert new.rows[-1]["kept"] == sum(not name.startswith(("fmow", "ben", "million")) for name in kept)
    assert all(row["kept"] == row["listed"] + row["new"] for row in new.rows)


def test_the_sample_of_a_url_that_came_furthest_decides(finished: Build, tmp_path: Path) -> None:
    planned = finished.rows("planned", ["sample_id", "fetch_id"])
    shared = [f for f, n in Counter(row["fetch_id"] for row in planned).items() if n > 1]
    kept = {row["sample_id"] for row in finished.rows("shard", ["sample_id"])}
    urls = urls_of(finished)
    ids = [sorted(row["sample_id"] for row in planned if row["fetch_id"] == fetch_id) for fetch_id in shared]
    assert ids
    path = write_list(tmp_path / "a.csv", [(f"sbu_{n}", urls[some[0]]) for n, some in enumerate(ids)])
    found, _, _ = compared(finished, path, tmp_path / "out.csv")
    for row, some in zip(found, ids, strict=True):
        survivors = sorted(set(some) & kept)
        assert (row["fate"], row["sample_id"]) == (("kept", survivors[0]) if survivors else ("lost", some[0]))


@settings(max_examples=12)  # each example opens the build
@given(rows=st.lists(st.tuples(st.sampled_from(["laion2b_1", "cc3m_1", "x", ""]), st.integers(0, 14)), max_size=12))
def test_every_listed_row_is_counted_once(
    finished: Build, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]]
) -> None:
    urls = [*sorted(urls_of(finished).values())[:12], "", "http://nowhere.test/", "ftp://a/b"]
    folder = tmp_path_factory.getbasetemp()
    path = write_list(folder / "a.csv", [(name, urls[n]) for name, n in rows])
    found, lost, _ = compared(finished, path, folder / "out.csv")
    assert len(found) == len(rows) == lost.rows[-1]["published"]
    assert Counter(row["fate"] for row in found)["kept"] == lost.rows[-1]["kept"]


def test_an_unfinished_build_is_compared_up_to_its_last_stage(small_sources: Path, tmp_path: Path) -> None:
    build = Build(tmp_path / "build", small_sources)
    build.run(InlineExecutor(), ("inventory", "filter", "plan"))
    urls = urls_of(build)
    path = write_list(tmp_path / "a.csv", [("laion2b_0_0", urls["laion2b_0_0"]), ("cc3m_5", "http://nowhere.test/")])
    found, lost, _ = compared(build, path, tmp_path / "out.csv")
    assert [(row["stage"], row["fate"]) for row in found] == [("plan", "kept"), ("filter", "lost")]
    assert lost.rows[-1]["kept"] == 1


def test_compare_names_what_is_missing(finished: Build, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="METAFILE is missing"):
        compare(finished.ledger(), None, tmp_path / "out.csv")
    with pytest.raises(InputError, match="expected columns img_name"):
        path = tmp_path / "a.csv"
        path.write_text("a,b\n")
        compare(finished.ledger(), path, tmp_path / "out.csv")
    with pytest.raises(InputError, match="run `make stage-plan` first"):
        compare(Build(tmp_path / "none", tmp_path).ledger(), path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("form", [None, Folders(), Parquet()])
def test_a_folder_that_a_build_or_an_export_wrote_lists_each_sample_once(
    damaged: Build, tmp_path: Path, form: Folders | Parquet | None
) -> None:
    ledger, folder = damaged.ledger(), tmp_path / "export"
    if form is None:
        folder = publish_dataset(ledger) / "metafiles"
    else:
        export(ledger, folder, form, lambda line: None)
    lost, kept, passed_over = compare(ledger, folder, tmp_path / "out.csv")
    published = {row["sample_id"] for row in damaged.rows("shard", ["sample_id"])}
    assert lost.rows[-1]["published"] == lost.rows[-1]["kept"] == kept.rows[-1]["listed"] == len(published)
    assert {row["corpus"] for row in lost.rows} > {"fmow", "laion2b"}
    if form is None:
        n_web = sum(not name.startswith(("fmow", "ben", "millionaid")) for name in published)
        assert "columns.csv" in passed_over[0] and "crosswalk.parquet" in passed_over[0]
        assert passed_over[1].endswith(f": {n_web} rows")  # the CSV files repeat the parquet file


def test_files_of_a_folder_that_are_no_list_are_passed_over_by_name(finished: Build, tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"expected a CSV or parquet file with image name, text and URL.*found notes"):
        compare(finished.ledger(), folder, tmp_path / "out.csv")
    write_list(folder / "mine.csv", [("sbu_1", "http://nowhere.test/"), ("sbu_1", "http://nowhere.test/")])
    lost, _, passed_over = compare(finished.ledger(), folder, tmp_path / "out.csv")
    assert lost.rows[-1]["published"] == 2 and passed_over == (
        "passed over, because they are not lists of samples: notes.csv",
    )
