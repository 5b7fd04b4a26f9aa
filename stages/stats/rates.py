"""Rates of the funnel's steps beside the published ones: links die, so counts of another year are not comparable."""

from schemas.statistic_tables import PUB11_RATE
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql

# Denominator of each step, the rows left by the step before: the first count minus the others.
STEPS = {
    "downloaded": ("keyword",),
    "invalid": ("downloaded",),
    "duplicate": ("downloaded", "invalid"),
    "outlier": ("downloaded", "invalid", "duplicate"),
}


def count_rates(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per row of the funnel: shares in [0, 1] of the rows left by the previous step, null if none."""
    found = run_sql(f"SELECT source, {_shares('')}, {_shares('published_')} FROM pub11_funnel", inputs)
    return Outcome(found.cast(PUB11_RATE.schema), no_rejects(PUB11_RATE))


def _shares(prefix: str) -> str:
    before = {name: " - ".join(prefix + figure for figure in figures) for name, figures in STEPS.items()}
    return ", ".join(
        f"round({prefix}{name} / nullif({of}, 0), 4) AS {prefix}{name}_share" for name, of in before.items()
    )


_FIGURES = ("keyword", *STEPS)

COUNT_RATES = Stage(
    name="count_rates",
    module="stats",
    version=1,
    does="Divides each step of the PUB11 funnel by the step before, beside the published rates.",
    reads=(Reads("pub11_funnel", ("source", *_FIGURES, *(f"published_{name}" for name in _FIGURES)), is_whole=True),),
    writes=PUB11_RATE,
    grain="reduce",
    given=Given(query="SELECT source FROM pub11_funnel", inputs=("pub11_funnel",)),
    run=count_rates,
    is_queried=True,
)
