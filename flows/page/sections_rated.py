"""Section on people's judgements: ratings of captions, and audited error rates of decisions."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from flows.page.section import Figure, Section
from flows.rate.results import title_of
from stages.plurals import counted

_NAME, _TITLE = "judged", "Ratings and audits"
NOBODY = (
    "Nobody has rated or audited samples of this build, so the share of wrong decisions in it is not known"
    " (make rate, make audit STAGE=…)."
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
    shown = [[_value(cell) for cell in row] for row in rows]
    caption = f"{title_of(name)}; {counted(len(rows), 'row')}."
    return Figure(caption, f"{name}.csv", columns=[column.replace("_", " ") for column in columns], rows=shown)


def _value(cell: str) -> float | str | None:
    try:
        return float(cell) if "." in cell else int(cell)
    except ValueError:
        return cell or None
