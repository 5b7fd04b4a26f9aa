"""Every sample of a release is the same, re-encoded, another picture, or gone, for a reason."""

import csv
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.ask.compare_release import RELATIONS, compare_release
from flows.ask.release_metadata import write_release_metadata
from flows.ledger.ledger import Ledger
from stages.contract import InputError
from tests.released_tars import sample, write_release
from tests.small_build import Build, draw


def members(build: Build, half: str) -> dict[str, dict[str, bytes]]:
    """Return the published members by key."""
    ledger = build.ledger()
    found: dict[str, dict[str, bytes]] = {}
    for receipt in ledger.state(ledger.writer["shard"]).receipts:
        if receipt.partition.startswith(half) and receipt.n_kept:
            with tarfile.open(ledger.store.path(f"{receipt.folder}/{receipt.body['files'][0]['file']}")) as tar:
                for member in tar:
                    key, _, ending = member.name.rpartition(".")
                    found.setdefault(key, {})[ending] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return found


def encoded(image: bytes, kind: str) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(image)).convert("RGB").save(out, kind)
    return out.getvalue()


def never(path: Path) -> Ledger:
    raise AssertionError(f"{path} is no build")


@pytest.fixture
def compared(finished: Build, tmp_path: Path) -> tuple[list[dict[str, str]], dict[str, Any], dict[str, Any]]:
    """The rows and totals of a comparison with tars whose images differ in all ways."""
    web, labelled = members(finished, "pub11"), members(finished, "rs3")
    del web["cc3m_0_1"]
    web["laion2b_0_18"]["img_content"] = encoded(web["laion2b_0_18"]["img_content"], "BMP")
    web["laion2b_0_19"]["img_content"] = encoded(web["laion2b_0_19"]["img_content"], "JPEG")
    web["laion2b_0_20"]["img_content"] = draw(999, "png")
    web["laion2b_0_21"]["img_content"] = b"no picture"
    gone = [(name, sample(name)) for name in ("laion2b_0_8", "laion2b_7_7")]
    again = [("again", sample("laion2b_0_22"))]
    odd = [("a/b", sample("a/b.c"))]
    folder = tmp_path / "release"
    write_release(folder / "train/pub11-train-0000.tar", [*web.items(), *gone, *again, *odd])
    write_release(folder / "val/rs3-val-0000.tar", list(labelled.items()))
    cut = write_release(folder / "val/rs3-val-0001.tar", [("1", sample("ben_9.jpg"))])
    cut.write_bytes(cut.read_bytes()[:1000])
    reports = compare_release(finished.ledger(), folder, tmp_path / "out.csv", never)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    totals = [next(row for row in report.rows if row["corpus"] == "Total") for report in reports]
    return rows, dict(totals[0]), dict(totals[1])


def test_every_released_sample_has_one_relation(
    finished: Build, compared: tuple[list[dict[str, str]], dict[str, Any], dict[str, Any]]
) -> None:
    rows, total, own = compared
    by_id = {row["sample_id"]: row for row in rows if row["relation"] != "named again"}
    assert {name: by_id[f"laion2b_0_{n}"]["relation"] for n, name in ((18, "a"), (19, "b"), (20, "c"), (21, "d"))} == {
        "a": "re-encoded", "b": "re-encoded", "c": "other picture", "d": "other picture"
    }  # fmt: skip
    assert by_id["ben_0"]["relation"] == "same bytes"
    assert (by_id["laion2b_0_8"]["stage"], by_id["laion2b_0_8"]["reason"]) == ("reduce_attempts", "http_not_found")
    assert by_id["laion2b_7_7"]["reason"] == "not among its candidates"
    n_published = len(finished.rows("metafile", ("sample_id",)))
    assert total == {
        "corpus": "Total", "released": n_published + 4, "same bytes": n_published - 5, "re-encoded": 2,
        "other picture": 2, "gone": 2, "named again": 1, "unreadable": 2,
        "why gone": "not among its candidates 1, reduce_attempts: http_not_found 1",
    }  # fmt: skip
    assert len(rows) == total["released"] == sum(total[name] for name in RELATIONS)
    assert own == {"corpus": "Total", "published": n_published, "released": n_published - 1, "new": 1}


def test_a_build_is_the_same_as_itself_and_as_its_metadata(finished: Build, tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_release_metadata(finished.ledger(), path)
    for release in (path, finished.root):
        report, _ = compare_release(finished.ledger(), release, tmp_path / "out.csv", lambda _: finished.ledger())
        (total,) = [dict(row) for row in report.rows if row["corpus"] == "Total"]
        assert total["released"] == total["same bytes"] == len(finished.rows("metafile", ("sample_id",)))
    with pytest.raises(InputError, match="expected a folder with released tars"):
        compare_release(finished.ledger(), tmp_path, tmp_path / "out.csv", never)
