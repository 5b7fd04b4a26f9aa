"""Section on what persons judged: ratings of captions, and audited error rates of decisions."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from flows.page.section import Figure, Section

_NAME, _TITLE = "judged", "Ratings and audits"
NOBODY = (
    "Nobody has rated or audited samples of this build, so the share of wrong decisions in it is not known"
    " (make rate, make audit STAGE=…)."
)
_SUFFIXES = (
    ("_rates", "precision and recall with 95 % limits, weighted by stratum"),
    ("_table_xv", "in the form of the paper's Table XV"),
    ("", "what was judged, by stratum"),
)


def judged(results: Mapping[str, str]) -> Section:
    """Return one table per CSV file of results; a sentence if nothing was judged.

    Args:
        results: text by file name, as `make rate` and `make audit` write them.
    """
    names = [name.removesuffix(".csv") for name in results if name.endswith(".csv")]
    if not names:
        return Section(_NAME, _TITLE, missing=NOBODY)
    return Section(_NAME, _TITLE, [_figure(name, results[f"{name}.csv"]) for name in names])


def _figure(name: str, text: str) -> Figure:
    columns, *rows = csv.reader(io.StringIO(text))
    shown = [[value or None for value in row] for row in rows]
    return Figure(f"{_caption(name)}; {len(rows)} rows.", f"{name}.csv", columns=columns, rows=shown)


def _caption(name: str) -> str:
    if name == "rating":
        return "Rating of captions, 1 to 5 (5 is best), beside the published one"
    suffix, what = next((suffix, what) for suffix, what in _SUFFIXES if name.endswith(suffix))
    return f"Audit of {name.removeprefix('audit_').removesuffix(suffix)}: {what}"
