"""The data dictionary of a build, and its assumptions where RS5M's choice is unknown."""

from collections.abc import Sequence

from flows.ask.report import Report
from flows.settings import Settings
from schemas.index_table import INDEX_FIELDS
from stages.contract import Stage

ASSUMPTION = "assumption"  # key in a setting's json_schema_extra: why this value is assumed


def columns_report(stages: Sequence[Stage]) -> Report:
    """Return every column of every table and of index.parquet: type, unit, whether it may be empty, meaning."""
    tables = [*((stage.writes.name, stage.writes.fields) for stage in stages), ("index", INDEX_FIELDS)]
    rows = [
        {
            "table": name,
            "column": field.name,
            "type": str(field.type),
            "unit": field.unit,
            "may_be_empty": "yes" if field.is_nullable else "",
            "meaning": field.meaning,
        }
        for name, fields in tables
        for field in fields
    ]
    return Report("columns", tuple(rows[0]), tuple(rows))


def _printed(value: object) -> str:
    return (", ".join(map(str, value)) or "(empty)") if isinstance(value, tuple) else str(value)


def assumptions_report(settings: Settings, stages: Sequence[Stage]) -> Report:
    """Return the settings for which no published text or code states RS5M's choice."""
    rows = {}
    for stage in stages:
        params = settings.params(stage)
        for name, info in type(params).model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and ASSUMPTION in extra:
                setting = f"{stage.settings_section}.{name}"
                rows[setting] = {
                    "setting": setting,
                    "value": _printed(getattr(params, name)),
                    "why": str(extra[ASSUMPTION]),
                }
    return Report("assumptions where RS5M's choice is unknown", ("setting", "value", "why"), tuple(rows.values()))
