"""Download: a ledger of attempts in passes, and its reduction to the fetched bodies.

The web is not deterministic: a URL with a final result is not fetched again unless asked, and all attempts are kept.
"""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from schemas.fields import FIELD
from schemas.tables import FETCH_ATTEMPT, FETCH_PASS, FETCHED
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
from stages.download.passes import FETCH_REASONS, PassResources, open_pass
from stages.download.reduction import CHANGED, PLACEHOLDER, ReductionParams, reduce_attempts
from stages.readers.rs5m_tars.located import SCHEME, Located, parse_located
from stages.safety.hash_lists import HASH_LISTED
from stages.stated import STATED, StatedResources


class FetchResources(Resources):
    """Limits of fetches: per socket, URL, worker and host."""

    timeout_s: float = Field(10.0, gt=0, description="socket time-out, s")
    max_fetch_s: float = Field(30.0, gt=0, description="wall time of one fetch including redirects, s")
    max_bytes: int = Field(50_000_000, gt=0, description="maximum size of a body, bytes")
    max_redirects: int = Field(5, ge=0, description="redirects followed")
    max_partition_s: float = Field(
        900.0, gt=0, description="time in which a partition requests its URLs, s; the next pass requests the rest"
    )
    n_threads: int = Field(32, ge=1, description="concurrent fetches in one worker")
    max_per_host: int = Field(4, ge=1, description="concurrent fetches from one host, over all workers")
    max_failures_in_row: int = Field(
        20,
        ge=0,
        description="consecutive requests refused, unanswered or answered 429 or 503 after which a host and port"
        " gets no more in this pass; 0: no limit",
    )
    allow_loopback: bool = Field(False, description="allow loopback addresses (generated world, tests)")
    user_agent: str = Field(
        "rs5m-rebuild/0.1 (research dataset)", pattern=r"^[ -~]+$", description="User-Agent header, printable ASCII"
    )
    contact: str = Field(
        "",
        pattern=r"^([!-~]+@[!-~]+|https?://[!-~]+)?$",
        description="your e-mail address or web page, sent in the User-Agent header; required outside the demo",
    )
    ask_robots: bool = Field(True, description="request robots.txt of each host first, and obey it")
    heed_opt_outs: bool = Field(True, description="obey X-Robots-Tag: opt-outs of AI, and of indexing")


def check_contact(resources: Resources) -> None:
    """Refuse to request anything of the web without a contact; on loopback nobody needs one.

    Raises:
        InputError: no contact is set.
    """
    if not isinstance(resources, FetchResources):
        raise TypeError(f"the resources of download are FetchResources, found {type(resources).__name__}")
    if not resources.contact and not resources.allow_loopback:
        raise InputError(
            "download.contact is not set: the owners of the servers must be able to reach you. Give an e-mail address"
            " or a web page, for example SET='download.contact=you@example.org'; it is sent in the User-Agent header"
        )


def download(inputs: Inputs, context: Context) -> Outcome:
    """Return one attempt per URL of the partition, successful or not; bodies are stored in one tar.

    Images in released tars stay there: their digest was recorded with their location, and every reader compares it.
    """
    from stages.download.fetching import Attempt, FetchLimits, fetch

    rows = inputs["fetch_pass"]
    resources: FetchResources = context.resources
    wanted = rows.filter(pc.invert(rows["is_withdrawn"]))
    urls, located = _in_tars(zip(wanted["fetch_id"].to_pylist(), wanted["normalised_url"].to_pylist(), strict=True))
    if urls:
        check_contact(resources)
    slots = Path(context.files.shared("host-slots"))
    named = f"{resources.user_agent} (+{resources.contact})" if resources.contact else resources.user_agent
    values = {**resources.model_dump(exclude={"contact"}), "user_agent": named}
    limits = FetchLimits(**values, host_slots=slots)
    tar = context.files.new_file("bodies.tar")
    asked = fetch(
        urls,
        tar_path=tar,
        work=context.files.work(),
        limits=limits,
        pass_number=rows["pass"][0].as_py() if rows.num_rows else 0,
        on_progress=context.advance,
    )
    named = rows.filter(rows["is_withdrawn"])["fetch_id"].to_pylist()
    unasked = [Attempt.located(*one) for one in located] + [Attempt.withdrawn(fetch_id) for fetch_id in named]
    found = {a.fetch_id: a for a in (*asked, *unasked)}
    attempts = [found[fetch_id] for fetch_id in rows["fetch_id"].to_pylist()]
    address = context.files.address(tar)
    files = {fetch_id: f"{SCHEME}{place.path}" for fetch_id, _, place in located}
    table = {
        "fetch_id": [a.fetch_id for a in attempts],
        "pass": rows["pass"].to_pylist(),
        "is_fetched": [a.is_fetched for a in attempts],
        "fetch_reason": [a.reason for a in attempts],
        "fetch_detail": [a.detail for a in attempts],
        "http_status": [a.http_status for a in attempts],
        "n_bytes": [a.n_bytes for a in attempts],
        "body_sha256": [a.sha256 for a in attempts],
        "body_md5": [a.md5 for a in attempts],
        "body_file": [files.get(a.fetch_id, address) if a.is_fetched else None for a in attempts],
        "body_offset": [a.tar_offset for a in attempts],
        "retry_after_s": [a.retry_after_s for a in attempts],
        "fetch_ms": [a.fetch_ms for a in attempts],
        "peer_address": [a.peer_address for a in attempts],
        "final_url": [a.final_url for a in attempts],
    }
    columns = {name: pa.array(values, FIELD[name].type) for name, values in table.items()}
    return Outcome(pa.table(columns, schema=FETCH_ATTEMPT.schema), no_rejects(FETCH_ATTEMPT), files=(tar,))


def _in_tars(wanted: Iterable[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str, Located]]]:
    """Separate the URLs to request, as (fetch_id, URL), from those in released tars, which also have their location."""
    urls, located = [], []
    for fetch_id, url in wanted:
        place = parse_located(url)
        if place is None:
            urls.append((fetch_id, url))
        else:
            located.append((fetch_id, url, place))
    return urls, located


OPEN_PASS = Stage(
    name="open_pass",
    module="download",
    version=4,
    does="Opens a pass over the URLs that are due; large hosts are spread over it.",
    reads=(
        Reads("candidate", ("sample_id", "caption"), is_whole=True),
        Reads("planned", ("sample_id", "fetch_id", "normalised_url", "host"), is_whole=True),
        Reads("withdrawal", ("entry_kind", "entry"), is_whole=True, is_optional=True),
        Reads("listed_hash", ("hash_kind", "hash"), is_whole=True, is_optional=True),
        Reads(
            "fetch_attempt",
            ("fetch_id", "pass", "fetch_reason", "http_status", "n_bytes", "body_sha256", "body_md5", "final_url"),
            is_whole=True,
            is_optional=True,
        ),
    ),
    writes=FETCH_PASS,
    grain="observe",
    given=Given("planned", ("fetch_id",)),
    run=open_pass,
    is_queried=True,
    params=ReductionParams,
    resources=PassResources,
    tools=(STATED,),
    half="pub11",
    split_by="partition",
    keeps="all",
)

DOWNLOAD = Stage(
    name="download",
    module="download",
    version=3,
    does="Attempts each URL of a pass once, with img2dataset behind a guard; stores the raw bytes.",
    reads=(Reads("fetch_pass", ("fetch_id", "pass", "normalised_url", "is_withdrawn")),),
    writes=FETCH_ATTEMPT,
    grain="map",
    given=Given("fetch_pass", ("fetch_id", "pass")),
    run=download,
    resources=FetchResources,
    partitions_from=("fetch_pass",),
    has_network=True,
    is_accumulating=True,
    bytes_per_row=120_000,  # RS5M: about 500 GB for 5 million images
)

REDUCE_ATTEMPTS = Stage(
    name="reduce_attempts",
    module="download",
    version=6,
    does="Reduces all attempts to one row per URL: its fetched body, or the reason why there is none.",
    reads=(
        Reads("candidate", ("sample_id", "caption"), is_whole=True),
        Reads("planned", ("sample_id", "fetch_id", "normalised_url"), is_whole=True),
        Reads("fetch_pass", ("fetch_id", "pass", "partition"), is_whole=True),
        Reads(
            "fetch_attempt",
            ("fetch_id", "pass", "is_fetched", "fetch_reason", "fetch_detail", "http_status", "n_bytes", "body_sha256",
             "body_md5", "body_file", "body_offset", "final_url"),
            is_whole=True,
        ),
        Reads("listed_hash", ("hash_kind", "hash"), is_whole=True, is_optional=True),
    ),
    writes=FETCHED,
    grain="reduce",
    given=Given("planned", ("fetch_id",)),
    run=reduce_attempts,
    is_queried=True,
    params=ReductionParams,
    resources=StatedResources,
    reasons=(*FETCH_REASONS, PLACEHOLDER, HASH_LISTED, CHANGED),
    tools=(STATED,),
    half="pub11",
    split_by="partition",
)  # fmt: skip
