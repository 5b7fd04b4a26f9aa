"""Texts that others published are counted by source, and apart where they are published."""

from pathlib import Path

from stages.stats.further_texts import COUNT_FURTHER_TEXTS
from tests.contract.inputs import call_stage


def test_texts_are_counted_by_source_and_where_they_are_published(tmp_path: Path) -> None:
    _, outcome = call_stage(COUNT_FURTHER_TEXTS, tmp_path)
    rows = {row.pop("text_source"): tuple(row.values()) for row in outcome.kept.to_pylist()}
    # Four texts of four samples, three of them published: "two" beside each caption, "one" instead of one.
    assert rows == {"one": ("a licence", 2, 2, 0, 0, 1), "two": ("a licence", 2, 2, 3, 3, 0)}
