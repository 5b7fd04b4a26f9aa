from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from stages.rows import run_sql
from stages.safety.unsafe import UnsafeParams, marks, unsafe_samples


def table(rows: list[dict[str, Any]], *names: str) -> pa.Table:
    schema = pa.schema([(name, FIELD[name].type) for name in names])
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows], schema)


def candidates(*rows: tuple[str, str | None, float | None]) -> pa.Table:
    named = [
        {"sample_id": f"{corpus}_0_{n}", "corpus": corpus, "nsfw": tag, "punsafe": score}
        for n, (corpus, tag, score) in enumerate(rows)
    ]
    return table(named, "sample_id", "corpus", "nsfw", "punsafe")


@pytest.mark.parametrize(
    ("corpus", "tag", "score", "mark"),
    [
        ("laion400m", "NSFW", None, "laion400m: tag NSFW"),
        ("laion400m", " nsfw ", None, "laion400m: tag nsfw"),
        ("laion400m", "UNSURE", None, None),
        ("laion400m", "0.3141", None, None),  # a row whose columns are shifted
        ("laion2b", None, 0.4501, "laion2b: score 0.450"),
        ("laion2b", "UNLIKELY", 0.45, None),
        ("laion2b", "NSFW", 0.1, "laion2b: tag NSFW"),
        ("coyo700m", None, 0.3, "coyo700m: score 0.300"),
        ("coyo700m", None, 0.2, None),
        ("laioncoco", None, 0.3, None),
        ("yfcc15m", None, None, None),
    ],
)
def test_a_tag_or_a_score_above_the_corpuss_threshold_marks_a_row(
    corpus: str, tag: str | None, score: float | None, mark: str | None
) -> None:
    found = run_sql(marks(UnsafeParams()), {"candidate": candidates((corpus, tag, score))}).to_pylist()
    assert [row["mark"] for row in found] == ([mark] if mark else [])


def test_thresholds_and_tags_come_from_the_settings() -> None:
    rows = candidates(("laion2b", "UNSURE", 0.5), ("coyo700m", None, 0.5), ("cc3m", "it's", None))
    params = UnsafeParams(nsfw_tags=("unsure", "IT'S"), max_punsafe=1.0, max_punsafe_of={"coyo700m": 0.4})
    found = run_sql(marks(params), {"candidate": rows})["sample_id"].to_pylist()
    assert sorted(found) == ["cc3m_0_2", "coyo700m_0_1", "laion2b_0_0"]
    none = UnsafeParams(nsfw_tags=(), max_punsafe=1.0, max_punsafe_of={})
    assert run_sql(marks(none), {"candidate": rows}).num_rows == 0


def test_a_mark_applies_to_all_web_samples_with_the_same_pixels() -> None:
    found = unsafe_samples(
        UnsafeParams(),
        {
            "candidate": candidates(("laion400m", "NSFW", None), ("cc3m", None, None), ("cc3m", None, None)),
            "planned": table(
                [{"sample_id": name, "fetch_id": f"f{n}"} for n, name in enumerate(("laion400m_0_0", "cc3m_0_1"))],
                "sample_id", "fetch_id",
            ),
            "image": table(
                [{"image_id": name, "pixel_sha256": pixels} for name, pixels in
                 (("f0", "same"), ("f1", "same"), ("f2", "other"), ("ben_1", "same"))],
                "image_id", "pixel_sha256",
            ),
            "located": table(
                [{"half": "pub11", "sample_id": "cc3m_0_1", "image_id": "f1"},
                 {"half": "pub11", "sample_id": "cc3m_0_2", "image_id": "f2"},
                 {"half": "rs3", "sample_id": "ben_1", "image_id": "ben_1"}],
                "half", "sample_id", "image_id",
            ),
        },
    )  # fmt: skip
    assert found.to_pylist() == [{"sample_id": "cc3m_0_1", "detail": "laion400m: tag NSFW"}]


def test_a_threshold_for_an_unknown_corpus_is_refused() -> None:
    with pytest.raises(ValueError, match="no corpus has the code 'laion2B'"):
        UnsafeParams(max_punsafe_of={"laion2B": 0.3})
