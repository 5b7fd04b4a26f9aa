from typing import Any

import pytest

from flows.ask.picture import LOCATED, bar_pictures, write_picture
from flows.ask.views import open_views
from stages.contract import InputError
from tests.small_build import Build


def shown(build: Build, **views: str) -> set[str]:
    """Return the samples found by `LOCATED`, with some tables replaced by queries."""
    ledger = build.ledger()
    with open_views(ledger) as db:
        for name, query in views.items():
            db.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query.format(table=f'memory.main.{name}')}")
        bar_pictures(ledger, db)
        return {row[0] for row in db.execute(f"SELECT sample_id FROM ({LOCATED.format(samples='sample')})").fetchall()}


def value_of(build: Build, table: str, key: str, value: str, column: str) -> Any:
    return next(row[column] for row in build.rows(table, (key, column)) if row[key] == value)


def image_of(build: Build, sample_id: str, column: str) -> Any:
    image_id = value_of(build, "sample", "sample_id", sample_id, "image_id")
    return value_of(build, "image", "image_id", image_id, column)


WEB = "laion2b_0_12"


@pytest.fixture(scope="module")
def everything(finished: Build) -> set[str]:
    found = shown(finished)
    assert WEB in found and len(found) > 50
    return found


@pytest.mark.parametrize("sample_id", [WEB, None])
def test_withdrawn_pictures_are_not_located(finished: Build, everything: set[str], sample_id: str | None) -> None:
    sample_id = sample_id or min(name for name in everything if name.startswith("fmow"))
    for kind, value in (("sample_id", sample_id), ("sha256", image_of(finished, sample_id, "body_sha256"))):
        found = shown(finished, withdrawal=f"SELECT '{kind}' AS entry_kind, '{value}' AS entry")
        assert sample_id not in found and found < everything


def test_a_withdrawn_host_hides_all_its_pictures(finished: Build, everything: set[str]) -> None:
    host = value_of(finished, "planned", "sample_id", WEB, "host")
    name = host.rpartition(":")[0]  # the generated world is on a port of its own
    planned = finished.rows("planned", ("sample_id", "host"))
    of_host = {row["sample_id"] for row in planned if row["host"].rpartition(":")[0] == name}
    found = shown(finished, withdrawal=f"SELECT 'host' AS entry_kind, '{name}' AS entry")
    assert everything - found == everything & of_host != set()


@pytest.mark.parametrize(("kind", "column"), [("md5", "body_md5"), ("sha256", "body_sha256")])
def test_pictures_on_a_hash_list_are_not_located(finished: Build, everything: set[str], kind: str, column: str) -> None:
    for sample_id in (WEB, min(name for name in everything if name.startswith("ben"))):
        value = image_of(finished, sample_id, column)
        assert sample_id not in shown(finished, listed_hash=f"SELECT '{kind}' AS hash_kind, '{value}' AS hash")
    other = {"md5": "sha256", "sha256": "md5"}[kind]
    assert sample_id in shown(finished, listed_hash=f"SELECT '{other}' AS hash_kind, '{value}' AS hash")


def test_a_mark_hides_all_web_samples_of_the_picture_and_no_others(finished: Build, everything: set[str]) -> None:
    marked = f"""SELECT * REPLACE (CASE WHEN sample_id = '{WEB}' THEN 'NSFW' ELSE nsfw END AS nsfw)
                 FROM {{table}}"""
    pixels = image_of(finished, WEB, "pixel_sha256")
    same = {row["image_id"] for row in finished.rows("image", ("image_id", "pixel_sha256"))
            if row["pixel_sha256"] == pixels}  # fmt: skip
    expected = {row["sample_id"] for row in finished.rows("sample", ("sample_id", "image_id", "half"))
                if row["image_id"] in same and row["half"] == "pub11"}  # fmt: skip
    assert everything - shown(finished, candidate=marked) == expected
    assert WEB in expected and len(expected) > 1


def test_a_withdrawn_picture_is_not_written_to_a_file(finished: Build, tmp_path: Any) -> None:
    path, _ = write_picture(finished.ledger(), WEB, finished.sources, tmp_path / "picture.png")
    assert path.stat().st_size > 0
    marked = finished.with_settings(shard={"max_punsafe_of": {"coyo700m": 0.0}})
    with pytest.raises(InputError, match="its picture is not shown"):
        write_picture(marked.ledger(), "coyo700m_0_5", finished.sources, tmp_path / "other.png")
