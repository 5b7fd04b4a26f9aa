import csv
from collections import Counter
from pathlib import Path

import pytest

from flows.ask.fates import write_fates
from schemas.corpora import LABELLED_CODES
from stages.contract import InputError
from tests.labelled_files import FATES as LABELLED_FATES
from tests.small_build import FATES, Build


def fates(build: Build, out: Path) -> list[dict[str, str]]:
    counts = write_fates(build.ledger(), out)
    rows = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
    assert Counter(row["fate"] for row in rows) == counts
    return rows


def test_every_candidate_has_exactly_its_planned_fate(finished: Build, tmp_path: Path) -> None:
    rows = fates(finished, tmp_path / "deep" / "fates.csv")
    web = [row for row in rows if row["corpus"] not in LABELLED_CODES]
    assert sorted(row["sample_id"] for row in web) == sorted(r["sample_id"] for r in finished.rows("candidate"))
    assert len(web) == 54
    labelled = {row["sample_id"]: row["reason"] for row in rows if row["corpus"] in LABELLED_CODES}
    assert labelled == LABELLED_FATES
    found = {row["sample_id"]: row for row in rows}
    for sample_id, (stage, reason) in FATES.items():
        assert (found[sample_id]["stage"], found[sample_id]["reason"]) == (stage, reason), sample_id
    kept = {row["sample_id"] for row in rows if row["fate"] == "kept"}
    assert kept == {row["sample_id"] for row in finished.rows("metafile")}
    outliers = {row["sample_id"] for row in rows if row["stage"] == "drop_outliers"}
    assert {row["survivor"] for row in rows if row["survivor"]} <= kept | outliers


def test_fates_need_a_finished_build(finished: Build, tmp_path: Path) -> None:
    other = finished.with_settings(dedup={"max_distance": 3})
    with pytest.raises(InputError, match=r"fates need a finished build: .*make stage-dedup"):
        write_fates(other.ledger(), tmp_path / "fates.csv")
    assert not (tmp_path / "fates.csv").exists()
