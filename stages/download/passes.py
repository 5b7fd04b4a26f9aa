"""Plan a pass: the URLs that are due, in partitions. The stage download requests them.

While URLs were put off, a further pass opens by itself; see `due_urls` for why that ends.
"""

from collections.abc import Collection, Iterable
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from schemas.reasons import REASON, REASONS
from schemas.tables import FETCH_PASS
from stages.contract import Context, Inputs, Outcome, no_rejects
from stages.download.fetching.faults import BUSY
from stages.download.packing import pack_encoded
from stages.download.reduction import CHANGED, GIVEN_UP, PLACEHOLDER, refused_bodies
from stages.rows import Rows, query_rows, run_sql
from stages.safety.hash_lists import BODY_HASHES, listed
from stages.stated import StatedResources
from stages.withdraw.matching import named_by_url

FETCH_REASONS = tuple(
    r.code for r in REASONS if r.code in {
        "http_not_found", "http_forbidden", "http_client_error", "http_throttled", "http_server_error", "timeout",
        "connection_failed", "truncated_body", "host_not_found", "resolver_failed", "tls_failed", "private_address",
        "bad_redirect", "disallowed_by_header", "body_too_large", "invalid_response", "broken_encoding",
        "unknown_encoding", "no_result", "deferred",
        "host_refuses", "host_silent", "host_busy", "robots_disallows", "robots_unreachable", "opted_out",
        "withdrawn",
    }
)  # fmt: skip
REFETCH_REASONS = (*FETCH_REASONS, PLACEHOLDER, CHANGED)
PUT_OFF = ("deferred", *GIVEN_UP)


class PassResources(StatedResources):
    """Which URLs are attempted next, and how they are partitioned."""

    passes: int = Field(
        1,
        ge=1,
        description="passes made without RETRY=; a URL that fails for a transient reason is requested once in each",
    )
    retry: Literal["", "transient"] = Field("", description="open a further pass over transient failures (RETRY=)")
    refetch: str = Field(
        "", description="reason codes, or all: fetch these URLs again despite a final result (REFETCH=)"
    )
    asked_at_pass: int = Field(0, ge=0, description="set by the program: number of passes when retry was asked for")
    urls_per_partition: int = Field(1000, ge=1, description="URLs in one download partition")
    urls_per_slice: int = Field(
        125, ge=1, description="URLs of one host in one slice; slices of a large host are spread over the pass"
    )  # 32 threads at 4 requests per host keep 8 hosts busy: a partition of 1,000 URLs has at least 8 slices

    @field_validator("refetch")
    @classmethod
    def _known(cls, value: str) -> str:
        if unknown := sorted({*_codes(value)} - {*REFETCH_REASONS, "all"}):
            known = ", ".join(REFETCH_REASONS)
            raise ValueError(f"REFETCH has unknown reasons: {', '.join(unknown)}; expected all or some of {known}")
        return value


def open_pass(inputs: Inputs, context: Context) -> Outcome:
    """Return the URLs of a new pass with their download partitions; no rows if no URL is due."""
    resources: PassResources = context.resources
    number = int(context.partition)
    due = due_urls(inputs, context)
    hosts = run_sql("SELECT host FROM due ORDER BY place", {"due": due})["host"].combine_chunks().dictionary_encode()
    limits = {"urls_per_partition": resources.urls_per_partition, "urls_per_slice": resources.urls_per_slice}
    packed = pack_encoded(hosts.dictionary.to_pylist(), hosts.indices.to_numpy(), **limits)
    values = {
        "pass": f"{number} AS pass",
        "is_withdrawn": "named IS NOT NULL AS is_withdrawn",
        "partition": f"format('{number:03d}-{{:05d}}', packed) AS partition",
    }
    columns = ", ".join(values.get(name, name) for name in FETCH_PASS.schema.names)
    places = {"place": pa.array(np.arange(1, len(packed) + 1)), "packed": pa.array(packed)}
    # In the order of the file, which is written partition by partition.
    kept = query_rows(
        f"""SELECT {columns} FROM due JOIN packed USING (place)
            LEFT JOIN (SELECT fetch_id, true AS named FROM withdrawn) USING (fetch_id) ORDER BY packed, place""",
        {"due": due, "packed": pa.table(places), "withdrawn": _unwanted(inputs)},
    )
    return Outcome(kept.cast(FETCH_PASS.schema), no_rejects(FETCH_PASS))


def _unwanted(inputs: Inputs) -> pa.Table:
    """Return the fetch_ids whose samples are all withdrawn, and those that gave a listed file before.

    Withdrawing a sample by name does not withdraw the URL for other samples.
    """
    listed_before = listed("fetch_id", inputs["listed_hash"], inputs["fetch_attempt"], BODY_HASHES)
    return run_sql(
        """SELECT fetch_id FROM planned LEFT JOIN named USING (sample_id)
           WHERE fetch_id IN (SELECT fetch_id FROM planned SEMI JOIN named USING (sample_id))
           GROUP BY fetch_id HAVING bool_and(entry IS NOT NULL)
           UNION FROM listed_before""",
        {
            "planned": inputs["planned"],
            "named": named_by_url(inputs["withdrawal"], inputs),
            "listed_before": listed_before,
        },
    )


def due_urls(inputs: Inputs, context: Context) -> Rows:
    """Return fetch_id, normalised_url, host and place, from 1, of the URLs that are due, by fetch_id.

    A URL is due if it was never in a pass; if it failed for a transient reason, in fewer than `passes` passes or, with
    `retry`, in any number; if `refetch` names the reason of its last attempt, or why its fetched body is refused; if it
    was deferred and its pass or a later one requested any URL; or if its host was given up for the first time, or has
    ever answered (other than 429 and 503) and was sent a request in that pass.

    Passes therefore end: a pass opens by itself only after one that requested a URL or gave up a URL's host for the
    first time, and each URL is requested at most `passes` times (unless the user asks for more). The URLs that the last
    pass put off stay transient.
    """
    resources: PassResources = context.resources
    retry = f"last.pass < {resources.asked_at_pass}"
    transient = f"last.fetch_reason IN ({_sql_list(code for code in FETCH_REASONS if REASON[code].is_transient)})"
    is_asked = f"(fetch_reason IS NULL OR fetch_reason NOT IN ({_sql_list(PUT_OFF)}))"
    given_up = f"fetch_reason IN ({_sql_list(GIVEN_UP)})"
    codes = _codes(resources.refetch)
    named = f"IN ({_sql_list(codes)})"
    refetched = "true" if "all" in codes else f"(last.fetch_reason {named} OR refused.reason {named})"
    planned, attempts = inputs["planned"], inputs["fetch_attempt"]
    if not attempts.num_rows:
        return query_rows(_PLACED.format(due=""), {"planned": planned})
    # Only URLs that failed need the host of an attempt, and only URLs that are due need more than their id.
    last = query_rows(
        f"""
        SELECT fetch_id, max(pass) AS pass, arg_max_null(fetch_reason, pass) AS fetch_reason,
               bool_or(fetch_reason IS NULL) AS was_fetched, count(*) FILTER {is_asked} AS n_asked,
               count(*) FILTER ({given_up}) AS n_given_up
        FROM fetch_attempt GROUP BY fetch_id
        """,
        {"fetch_attempt": attempts},
    )
    due = query_rows(
        f"""
        WITH asking AS (
            SELECT max(pass) AS pass FROM fetch_attempt WHERE {is_asked}
        ), host_given_up AS (
            SELECT DISTINCT host FROM planned SEMI JOIN (FROM last WHERE {given_up}) USING (fetch_id)
        ), url AS (
            SELECT DISTINCT fetch_id, host FROM planned SEMI JOIN host_given_up USING (host)
        ), quiet AS (
            SELECT host, bool_or(http_status NOT IN {BUSY}) AS has_answered,
                   max(pass) FILTER {is_asked} AS asked_in_pass
            FROM fetch_attempt JOIN url USING (fetch_id) GROUP BY host
        ), quiet_url AS (FROM url JOIN quiet USING (host))
        SELECT DISTINCT p.fetch_id
        FROM planned p LEFT JOIN last USING (fetch_id)
        LEFT JOIN quiet_url quiet USING (fetch_id) LEFT JOIN refused USING (fetch_id), asking
        WHERE last.pass IS NULL
           OR (NOT last.was_fetched AND {transient} AND {is_asked} AND last.n_asked < {resources.passes})
           OR (NOT last.was_fetched AND last.fetch_reason = 'deferred' AND last.pass <= asking.pass)
           OR (NOT last.was_fetched AND {given_up}
               AND (last.n_given_up = 1 OR (quiet.has_answered AND last.pass <= quiet.asked_in_pass)))
           OR (NOT last.was_fetched AND {transient} AND {resources.retry == "transient"} AND {retry})
           OR ({refetched} AND {retry})
        """,
        {"last": last, "planned": planned, "fetch_attempt": attempts, "refused": _refused(inputs, context, codes)},
    )
    return query_rows(_PLACED.format(due="SEMI JOIN due USING (fetch_id)"), {"due": due, "planned": planned})


_PLACED = """
    SELECT fetch_id, normalised_url, host, row_number() OVER () AS place
    FROM (SELECT fetch_id, any_value(normalised_url) AS normalised_url, any_value(host) AS host
          FROM planned {due} GROUP BY fetch_id ORDER BY fetch_id)
"""


def _refused(inputs: Inputs, context: Context, codes: Collection[str]) -> Rows:
    """Return fetch_id and reason of the URLs whose fetched bodies are refused for some of these reasons."""
    columns = ", ".join(f"arg_max({name}, pass) AS {name}" for name in ("final_url", "n_bytes", "body_sha256"))
    done = query_rows(
        f"""SELECT fetch_id, {columns}, max(pass) AS pass FROM fetch_attempt SEMI JOIN planned USING (fetch_id)
            WHERE fetch_reason IS NULL AND {not {PLACEHOLDER, CHANGED}.isdisjoint(codes)} GROUP BY fetch_id""",
        {"fetch_attempt": inputs["fetch_attempt"], "planned": inputs["planned"]},
    )
    return query_rows(
        "SELECT fetch_id, reason FROM placeholder UNION ALL SELECT fetch_id, reason FROM changed",
        refused_bodies(done, inputs, context),
    )


def _codes(stated: str) -> list[str]:
    return [code.strip() for code in stated.split(",") if code.strip()]


def _sql_list(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values) or "NULL"
