from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from stages.rows import run_sql
from stages.shard.dealing import ShardParams
from stages.shard.refusals import refuse
from stages.shard.rights import (
    LIST_LEFT_OUT,
    REDISTRIBUTION,
    RightsParams,
    instead_of_texts,
    not_redistributable,
    without_texts_of_others,
)
from stages.shard.stage import PLAN_SHARDS
from tests.contract.inputs import call_stage


def table(rows: list[dict[str, Any]], *names: str) -> pa.Table:
    schema = pa.schema([(name, FIELD[name].type) for name in names])
    return pa.Table.from_pylist([{name: row[name] for name in names} for row in rows], schema)


STATED = pa.table({name: pa.array([], pa.string()) for name in ("sample_id", "published_sha256")})


def further(*licences: str) -> pa.Table:
    """Return texts 0, 1, … of the sample a, of some licences."""
    rows = [
        {
            "text_id": f"one:{n}",
            "sample_id": "a",
            "text_source": "one",
            "further_text": f"text {n}",
            "text_licence": text,
        }
        for n, text in enumerate(licences)
    ]
    return table(rows, "text_id", "sample_id", "text_source", "further_text", "text_licence")


def left_out(corpus: str, licence: str | None, texts: tuple[str, ...] = (), **settings: Any) -> str | None:
    """Return why a sample is left out, None if it is published; it has further texts of some licences."""
    row = {"sample_id": "a", "corpus": corpus, "image_licence": licence}
    is_labelled = corpus in ("ben", "fmow", "millionaid")
    found = not_redistributable(
        RightsParams(rights="redistributable", **settings),
        {
            "located": table([row], "sample_id"),
            "candidate": table([] if is_labelled else [row], "sample_id", "corpus", "image_licence"),
            "labelled_image": table([row] if is_labelled else [], "sample_id", "corpus"),
            "further_text": further(*texts),
        },
    )
    details = found["detail"].to_pylist()
    return details[0] if details else None


@pytest.mark.parametrize(
    ("corpus", "licence", "detail"),
    [
        ("laion2b", "https://creativecommons.org/licenses/by/2.0/", None),
        ("laion2b", "http://creativecommons.org/licenses/by-sa/4.0/deed.en", None),
        ("laion2b", "https://creativecommons.org/publicdomain/zero/1.0/", None),
        ("laion2b", " CC BY-SA 4.0 ", None),
        ("wit", "Public domain", None),
        (
            "laion2b",
            "https://creativecommons.org/licenses/by-nc/2.0/",
            "https://creativecommons.org/licenses/by-nc/2.0/",
        ),
        (
            "laion2b",
            "https://creativecommons.org/licenses/by-nd/2.0/",
            "https://creativecommons.org/licenses/by-nd/2.0/",
        ),
        ("laion2b", "all rights reserved, not CC BY 4.0", "all rights reserved, not CC BY 4.0"),
        ("laion2b", None, "laion2b grants no right in it"),
        ("laion2b", "", "laion2b grants no right in it"),
        ("coyo700m", None, "coyo700m grants no right in it"),
        ("ben", None, None),
        ("fmow", None, "fmow grants no right in it"),
        ("millionaid", None, "millionaid grants no right in it"),
        ("nobody", None, "nobody grants no right in it"),
    ],
)
def test_an_image_is_published_if_its_licence_or_its_corpus_allows_it(
    corpus: str, licence: str | None, detail: str | None
) -> None:
    assert left_out(corpus, licence) == (detail and f"image: {detail}")


def test_texts_need_rights_too() -> None:
    found = left_out("yfcc15m", "https://creativecommons.org/licenses/by/2.0/")
    assert found == "yfcc15m: its texts may not be redistributed"


BY = "https://creativecommons.org/licenses/by/2.0/"


def test_a_further_text_takes_the_place_of_a_text_that_may_not_be_redistributed() -> None:
    assert left_out("yfcc15m", BY, ("CC BY-NC 4.0", "CDLA-Permissive-1.0")) is None
    assert left_out("yfcc15m", None, ("CC BY 4.0",)) == "image: yfcc15m grants no right in it"
    refused = "yfcc15m: its texts may not be redistributed, nor may the further texts"
    assert left_out("yfcc15m", BY, ("CC BY-NC 4.0", "unknown")) == refused
    tables = {
        "sample": table([{"sample_id": "a", "corpus": "yfcc15m"}], "sample_id", "corpus"),
        "further_text": further("CC BY-NC 4.0", "CC BY 4.0", "CC0"),
    }
    found = instead_of_texts(RightsParams(rights="redistributable"), tables).to_pylist()
    assert found == [{"sample_id": "a", "text": "text 1", "text_source": "one"}]
    assert instead_of_texts(RightsParams(), tables).num_rows == 0
    tables["sample"] = table([{"sample_id": "a", "corpus": "laion2b"}], "sample_id", "corpus")
    assert instead_of_texts(RightsParams(rights="redistributable"), tables).num_rows == 0


@pytest.mark.parametrize(("corpus", "caption"), [("yfcc15m", None), ("laion2b", "a lake")])
def test_no_text_that_may_not_be_redistributed_is_beside_the_published_one(corpus: str, caption: str | None) -> None:
    lists = ("further_texts", "further_sources", "further_licences")
    values = (["x", "y", "z"], ["one", "two", "one"], ["CC BY-NC 4.0", "it's mine", " cc by 4.0"])
    row = {"sample_id": "a", "caption": "a lake", **dict(zip(lists, values, strict=True))}
    tables = {
        "rows": table([row], "sample_id", "caption", *lists),
        "sample": table([{"sample_id": "a", "corpus": corpus}], "sample_id", "corpus"),
    }
    (found,) = run_sql(without_texts_of_others(RightsParams(rights="redistributable")), tables).to_pylist()
    assert found == {
        "sample_id": "a", "caption": caption, "further_texts": ["z"], "further_sources": ["one"],
        "further_licences": [" cc by 4.0"],
    }  # fmt: skip


def test_the_licences_are_a_setting() -> None:
    assert left_out("laion2b", "MIT", redistributable_licences=("mit",)) is None
    assert left_out("laion2b", "CC BY 4.0", redistributable_licences=()) == "image: CC BY 4.0"
    with pytest.raises(ValueError, match="is not a regular expression"):
        RightsParams(redistributable_licences=("(",))


def test_manifests_count_only_where_rights_are_asked_for() -> None:
    assert REDISTRIBUTION.identity(ShardParams()) == {}
    assert REDISTRIBUTION.identity(ShardParams(rights="redistributable")) != {}


def test_what_is_left_out_is_refused_last_and_research_publishes_all(tmp_path: Path) -> None:
    inputs, _ = call_stage(PLAN_SHARDS, tmp_path)
    rows = [{**row, "half": "pub11", "body_sha256": "sha"} for row in inputs["relevant"].to_pylist()]
    web = table(rows, "sample_id", "image_id", "half", "body_sha256")
    params = {"nsfw": "keep", "contaminated": "mark"}
    research, publishable = (
        {
            row["sample_id"]: row["reason"]
            for row in refuse(web, inputs, ShardParams(rights=rights, **params), STATED).to_pylist()
        }  # type: ignore[arg-type]
        for rights in ("research", "redistributable")
    )
    assert set(research.values()) == {"withdrawn"}
    assert set(publishable.values()) == {"withdrawn", "licence"} and len(publishable) == web.num_rows


def test_metadata_of_what_is_left_out_has_no_text_that_may_not_be_redistributed(tmp_path: Path) -> None:
    _, outcome = call_stage(LIST_LEFT_OUT, tmp_path)
    rows = {row["sample_id"]: row for row in outcome.kept.to_pylist()}
    assert list(rows) == ["ben_7", "cc3m_0_2"]
    assert rows["cc3m_0_2"]["caption"] and rows["cc3m_0_2"]["url"] and rows["cc3m_0_2"]["body_sha256"] == "sha"
    assert rows["ben_7"]["caption"] is None and rows["ben_7"]["path"] == "ben/patch"
