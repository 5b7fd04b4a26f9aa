"""Download: a ledger of attempts in passes, and its reduction to what was fetched.

The web is not pure: what is settled is never fetched again unless asked, and every attempt stays on record.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from schemas.fields import FIELD
from schemas.reasons import REASON, REASONS
from schemas.tables import FETCH_ATTEMPT, FETCH_PASS, FETCHED
from stages.checks import run_sql
from stages.contract import (
    Context,
    Given,
    InputError,
    Inputs,
    Outcome,
    Reads,
    Resources,
    Stage,
    no_rejects,
)
from stages.download.settling import PLACEHOLDER, SettleParams, settle

FETCH_REASONS = tuple(
    r.code for r in REASONS if r.code in {
        "http_not_found", "http_forbidden", "http_client_error", "http_throttled", "http_server_error", "timeout",
        "connection_failed", "truncated_body", "host_not_found", "resolver_failed", "tls_failed", "private_address",
        "bad_redirect", "disallowed_by_header", "body_too_large", "invalid_response", "broken_encoding",
        "unknown_encoding", "no_result",
    }
)  # fmt: skip


class PassResources(Resources):
    """What is attempted next, and in which portions."""

    passes: int = Field(1, ge=1, description="passes made unasked: a transient failure is tried this often")
    retry: Literal["", "transient"] = Field("", description="open a further pass over transient failures (RETRY=)")
    refetch: str = Field("", description="reason codes, or all: fetch these again although settled (REFETCH=)")
    asked_at_pass: int = Field(0, ge=0, description="set by the program: passes there were when retry was asked for")
    urls_per_partition: int = Field(1000, ge=1, description="URLs in one download partition")


class FetchResources(Resources):
    """How the web is treated, and how much of it is let in."""

    timeout_s: float = Field(10.0, gt=0, description="socket time-out, s")
    max_fetch_s: float = Field(30.0, gt=0, description="wall time of one fetch with all its redirects, s")
    max_bytes: int = Field(50_000_000, gt=0, description="largest body, bytes")
    max_redirects: int = Field(5, ge=0, description="redirects followed")
    n_threads: int = Field(32, ge=1, description="fetches at once in one worker")
    max_per_host: int = Field(4, ge=1, description="fetches at once from one host, over all workers")
    allow_loopback: bool = Field(False, description="let loopback addresses through (generated world, tests)")
    user_agent: str = Field(
        "rs5m-rebuild/0.1 (research dataset)", pattern=r"^[ -~]+$", description="User-Agent header, printable ASCII"
    )


def open_pass(inputs: Inputs, context: Context) -> Outcome:
    """Return the URLs of a new pass with their download partitions, or no rows where nothing is due.

    Due is a URL that was never in a pass; one that failed for a transient reason in fewer passes than
    `passes`, or at all when a retry was asked for; one whose last attempt is named by `refetch`.

    Raises:
        InputError: when `refetch` names no reason.
    """
    resources: PassResources = context.resources
    number = int(context.partition)
    transient = _sql_list(code for code in FETCH_REASONS if REASON[code].is_transient)
    refetch = _refetched(resources.refetch)
    asked = f"last.pass < {resources.asked_at_pass}"
    retry = asked if resources.retry == "transient" else "false"
    due = run_sql(
        f"""
        WITH last AS (
            SELECT fetch_id, max(pass) AS pass, count(*) AS n_attempts,
                   arg_max_null(fetch_reason, pass) AS fetch_reason, bool_or(fetch_reason IS NULL) AS was_fetched
            FROM fetch_attempt GROUP BY fetch_id
        ), url AS (
            SELECT fetch_id, any_value(normalised_url) AS normalised_url, any_value(host) AS host
            FROM planned GROUP BY fetch_id
        )
        SELECT url.fetch_id, url.normalised_url, url.host FROM url LEFT JOIN last USING (fetch_id)
        WHERE last.pass IS NULL
           OR (NOT last.was_fetched AND last.fetch_reason IN ({transient})
               AND (last.n_attempts < {resources.passes} OR {retry}))
           OR ({refetch} AND {asked})
        ORDER BY url.fetch_id
        """,
        inputs,
    )
    partition = pack(due["host"].to_pylist(), resources.urls_per_partition, number)
    kept = due.append_column("pass", pa.array([number] * due.num_rows, pa.int32()))
    kept = kept.append_column("partition", pa.array(partition, pa.string()))
    return Outcome(kept.select(FETCH_PASS.schema.names).cast(FETCH_PASS.schema), no_rejects(FETCH_PASS))


def pack(hosts: list[str], urls_per_partition: int, number: int) -> list[str]:
    """Return a partition name per URL: whole hosts together, hosts with too many URLs in slices of their own.

    Hosts come in the order of their digest, so that neighbours in a list (a site's numbered image servers) are not
    all asked at the same time.
    """
    rows: dict[str, list[int]] = {}
    for row, host in enumerate(hosts):
        rows.setdefault(host, []).append(row)
    names = [""] * len(hosts)
    n_partitions, n_filled = 0, 0
    for host in sorted(rows, key=lambda h: hashlib.sha256(h.encode()).digest()):
        for start in range(0, len(rows[host]), urls_per_partition):
            portion = rows[host][start : start + urls_per_partition]
            if n_filled + len(portion) > urls_per_partition:
                n_partitions, n_filled = n_partitions + 1, 0
            n_filled += len(portion)
            for row in portion:
                names[row] = f"{number:03d}-{n_partitions:05d}"
    return names


def download(inputs: Inputs, context: Context) -> Outcome:
    """Return one attempt per URL of the partition, whatever came of it; bodies are stored in one tar."""
    from stages.download.fetching import FetchLimits, fetch

    rows = inputs["fetch_pass"]
    resources: FetchResources = context.resources
    slots = Path(context.files.shared("host-slots"))
    limits = FetchLimits(**resources.model_dump(), host_slots=slots)
    tar = context.files.new_file("bodies.tar")
    urls = list(zip(rows["fetch_id"].to_pylist(), rows["normalised_url"].to_pylist(), strict=True))
    attempts = fetch(urls, tar_path=tar, work=context.files.work(), limits=limits, on_progress=context.advance)
    address = context.files.address(tar)
    table = {
        "fetch_id": [a.fetch_id for a in attempts],
        "pass": rows["pass"].to_pylist(),
        "is_fetched": [a.is_fetched for a in attempts],
        "fetch_reason": [a.reason for a in attempts],
        "fetch_detail": [a.detail for a in attempts],
        "http_status": [a.http_status for a in attempts],
        "n_bytes": [a.n_bytes for a in attempts],
        "body_sha256": [a.sha256 for a in attempts],
        "body_file": [address if a.is_fetched else None for a in attempts],
        "body_offset": [a.tar_offset for a in attempts],
        "retry_after_s": [a.retry_after_s for a in attempts],
        "fetch_ms": [a.fetch_ms for a in attempts],
        "peer_address": [a.peer_address for a in attempts],
        "final_url": [a.final_url for a in attempts],
    }
    columns = {name: pa.array(values, FIELD[name].type) for name, values in table.items()}
    return Outcome(pa.table(columns, schema=FETCH_ATTEMPT.schema), no_rejects(FETCH_ATTEMPT), files=(tar,))


def _refetched(stated: str) -> str:
    codes = [code.strip() for code in stated.split(",") if code.strip()]
    unknown = [code for code in codes if code not in FETCH_REASONS and code != "all"]
    if unknown:
        raise InputError(f"REFETCH={stated}: no reason {unknown}; write all, or some of {', '.join(FETCH_REASONS)}")
    if "all" in codes:
        return "true"
    return f"last.fetch_reason IN ({_sql_list(codes)})" if codes else "false"


def _sql_list(values: Iterator[str] | list[str] | Any) -> str:
    return ", ".join(f"'{value}'" for value in values)


OPEN_PASS = Stage(
    name="open_pass",
    module="download",
    version=1,
    does="Opens a pass over the URLs that are due, whole hosts together.",
    reads=(
        Reads("planned", ("fetch_id", "normalised_url", "host"), is_whole=True),
        Reads("fetch_attempt", ("fetch_id", "pass", "fetch_reason"), is_whole=True, is_optional=True),
    ),
    writes=FETCH_PASS,
    grain="observe",
    given=Given("planned", ("fetch_id",)),
    run=open_pass,
    resources=PassResources,
    split_by="partition",
    keeps="all",
)

DOWNLOAD = Stage(
    name="download",
    module="download",
    version=1,
    does="Attempts each URL of a pass once, through img2dataset behind a guard; keeps the raw bytes.",
    reads=(Reads("fetch_pass", ("fetch_id", "pass", "normalised_url")),),
    writes=FETCH_ATTEMPT,
    grain="map",
    given=Given("fetch_pass", ("fetch_id", "pass")),
    run=download,
    resources=FetchResources,
    partitions_from=("fetch_pass",),
    is_settled=True,
    bytes_per_row=120_000,  # RS5M: about 500 GB for 5 million images
)

SETTLE = Stage(
    name="settle",
    module="download",
    version=2,
    does="Reduces all attempts to what was fetched, and to the reason where nothing or a placeholder was.",
    reads=(
        Reads("candidate", ("sample_id", "caption"), is_whole=True),
        Reads("planned", ("sample_id", "fetch_id", "normalised_url"), is_whole=True),
        Reads("fetch_pass", ("fetch_id", "pass", "partition"), is_whole=True),
        Reads(
            "fetch_attempt",
            ("fetch_id", "pass", "is_fetched", "fetch_reason", "fetch_detail", "http_status", "n_bytes", "body_sha256",
             "body_file", "body_offset", "final_url"),
            is_whole=True,
        ),
    ),
    writes=FETCHED,
    grain="reduce",
    given=Given("planned", ("fetch_id",)),
    run=settle,
    params=SettleParams,
    reasons=(*FETCH_REASONS, PLACEHOLDER),
    split_by="partition",
)  # fmt: skip
