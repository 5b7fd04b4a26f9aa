"""Plan: give every candidate the id of its normalised URL; equal URLs share an id, and each row is kept."""

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import PLANNED
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, rejects_table
from stages.plan.urls import plan_urls


def plan_downloads(inputs: Inputs, context: Context) -> Outcome:
    """Return one planned row per candidate with an http or https URL; reject the others."""
    candidates = inputs["candidate"]
    planned = plan_urls(candidates["url"])
    ids = candidates["sample_id"]
    is_usable = pc.is_valid(planned["fetch_id"])
    kept = pa.table(
        {
            "sample_id": ids,
            "fetch_id": planned["fetch_id"],
            "normalised_url": planned["normalised_url"],
            "host": planned["host"],
        }
    ).filter(is_usable)
    refused = pc.invert(is_usable)
    rejects = rejects_table(
        PLANNED,
        {"sample_id": ids.filter(refused)},
        planned["reason"].filter(refused),
        planned["detail"].filter(refused),
    )
    return Outcome(kept.cast(PLANNED.schema), rejects)


PLAN = Stage(
    name="plan",
    module="plan",
    version=4,
    does="Normalises URLs as browsers do and decodes HTML entities; equal URLs share a fetch_id.",
    reads=(Reads("candidate", ("sample_id", "url")),),
    writes=PLANNED,
    grain="map",
    given=Given("candidate", ("sample_id",)),
    run=plan_downloads,
    reasons=("not_a_url", "unsupported_scheme"),
    partitions_from=("candidate",),
    bytes_per_row=150,
)
