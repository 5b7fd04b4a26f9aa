from pathlib import Path

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from schemas.tables import SHARD_PLAN
from stages.contract import Context
from stages.rows import run_sql
from stages.shard.dealing import ShardParams, add_texts
from stages.shard.emails import addresses_sql, masked
from stages.shard.pairs import DESCRIBE_SAMPLES, DescriptionParams, describe_samples
from tests.contract.inputs import HANDMADE

TEXTS = [
    ("Aerial photo by ann.lee+maps@example.co.uk, 2010", "Aerial photo by [e-mail], 2010"),
    ("MAIL:INFO@EXAMPLE.ORG.", "MAIL:[e-mail]."),
    ("<a@b.io>;c_d@e-f.museum", "<[e-mail]>;[e-mail]"),
    ("müller@bücher.example", "[e-mail]"),
    ("a view @ 300 m", "a view @ 300 m"),
    ("by @annlee and @b.c", "by @annlee and @b.c"),
    ("price@home", "price@home"),
    ("a@b..com", "a@b..com"),
    ("logo@2x.png", "logo@2x.png"),
    ("banner@3x.JPG, icon@1.5x.webp by eva@2x.de", "banner@3x.JPG, icon@1.5x.webp by [e-mail]"),
    ("a@b.io,c@2x.png;d@e.io", "[e-mail],c@2x.png;[e-mail]"),
    ("logo@2x.png.example.com", "[e-mail]"),
    ("", ""),
    (None, None),
    ("x" * 5000 + "@" + "y" * 5000, "x" * 5000 + "@" + "y" * 5000),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_addresses_and_nothing_else_are_masked(text: str | None, expected: str | None) -> None:
    assert masked(pa.chunked_array([[text]], pa.string())).to_pylist() == [expected]


def test_counting_and_masking_find_the_same_addresses() -> None:
    texts = pa.table({"text": [text for text, _ in TEXTS if text]})
    found = run_sql(f"SELECT len({addresses_sql('text')}) AS n FROM t", {"t": texts})["n"].to_pylist()
    assert found == [expected.count("[e-mail]") for text, expected in TEXTS if text]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("is_masked", "expected"), [(False, "Seen in July. by a@b.org"), (True, "Seen in July. by [e-mail]")]
)
def test_the_published_text_is_masked_on_demand(is_masked: bool, expected: str) -> None:
    columns = {"sample_id": "cc3m_0_1", "half": "pub11", "text": "by a@b.org", "meta_caption": "Seen in July."}
    rows = pa.table({name: [value] for name, value in columns.items()} | {"text_source": pa.nulls(1)})
    others = {f.name: pa.array(["0"]).cast(f.type) for f in SHARD_PLAN.schema
              if f.name not in (*columns, "caption_sources")}  # fmt: skip
    table = pa.table({**dict(zip(rows.column_names, rows.columns, strict=True)), **others})
    found = add_texts(table, ShardParams(mask_emails=is_masked))
    assert found["published_text"].to_pylist() == [expected]
    assert found["caption_sources"].to_pylist() == [["meta", "web"]]


def test_the_captions_beside_the_published_text_are_masked_too(tmp_path: Path) -> None:
    with HANDMADE["describe_samples"](tmp_path) as handmade:
        rows = dict(handmade.rows)
    rows["candidate"] = [{**row, "caption": f"{row['caption']} by a@b.org"} for row in rows["candidate"]]
    inputs = {
        reads.name: pa.Table.from_pylist(
            [{name: row[name] for name in reads.columns} for row in rows.get(reads.name, [])],
            pa.schema([(name, FIELD[name].type) for name in reads.columns]),
        )
        for reads in DESCRIBE_SAMPLES.reads
    }
    for is_masked in (False, True):
        params = DescriptionParams(layouts=("pairs",), mask_emails=is_masked)
        found = describe_samples(inputs, Context("whole", params, None, {}, None, Path()))  # type: ignore[arg-type]
        captions = [text for text in found.kept["caption"].to_pylist() if text]
        assert captions and all(("a@b.org" in text) != is_masked for text in captions)
