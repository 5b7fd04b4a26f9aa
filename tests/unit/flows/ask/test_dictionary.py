"""The dictionary explains every column once and names every assumption with its reason."""

from flows.ask.dictionary import assumptions_report, columns_report
from flows.settings import load_settings
from schemas.index_table import INDEX_SCHEMA
from stages import STAGES


def test_every_column_of_every_table_is_explained() -> None:
    rows = columns_report(STAGES).rows
    assert {(row["table"], row["column"]) for row in rows} == {
        *((stage.writes.name, name) for stage in STAGES for name in stage.writes.schema.names),
        *(("index", name) for name in INDEX_SCHEMA.names),
    }
    assert all(row["meaning"] for row in rows)


def test_unpublished_choices_are_named_with_their_values_in_this_build() -> None:
    settings = load_settings("paper", ["filter.wit_languages=['en']"], STAGES)
    rows = {row["setting"]: row for row in assumptions_report(settings, STAGES).rows}
    assert {"filter.laioncoco_caption", "filter.laioncoco_searched", "labelled.ben_clip_reflectance"} <= rows.keys()
    assert rows["filter.wit_languages"]["value"] == "en"
    assert all("not published" in str(row["why"]) for row in rows.values())
