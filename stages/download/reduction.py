"""Reduce all attempts to one row per URL: its fetched body, or the reason why it has none.

Runs after all attempts and fetches nothing.
"""

from collections.abc import Mapping

import pyarrow as pa
from pydantic import Field

from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import FETCHED
from stages.contract import Context, Inputs, Outcome, Params
from stages.download.fetching.faults import BUSY
from stages.rows import Rows, query_rows
from stages.safety.hash_lists import BODY_HASHES, DETAIL, HASH_LISTED, listed

# Reasons of URLs that were not requested: not attempts.
GIVEN_UP = ("host_refuses", "host_silent", "host_busy")
PLACEHOLDER = "placeholder"
CHANGED = "changed_body"
_STATED = ["sample_id", "body_sha256"]
_IMAGE_NAME = r"\.(jpe?g|png|gif|webp|bmp|tiff?)$"
_UNANSWERED = ("timeout", "connection_failed")
_TOLD_BUSY = ("http_throttled", "http_server_error")


class ReductionParams(Params):
    """When an address that many URLs redirect to, or a body that a host sends for many, is taken for a placeholder.

    Errors cost little: a picture that a site shows under many addresses loses the one sample that dedup would keep.
    """

    placeholder_n_urls: int = Field(
        3,
        ge=0,
        description="an address to which at least this many URLs with as many captions and other file names"
        " redirect is a placeholder; 0: never",
    )  # an estimate: published lists of URLs do not record redirects
    placeholder_n_direct: int = Field(
        5,
        ge=0,
        description="a body that one host and port sends for at least this many addresses with as many captions is a"
        " placeholder, without redirects too; 0: never",
    )  # an estimate, higher than that of redirects: sites keep one picture under several names


def reduce_attempts(inputs: Inputs, context: Context) -> Outcome:
    """Return the last successful attempt of each planned URL; reject the others for the last attempt's reason.

    A URL that was redirected to a placeholder was not fetched either. Which URLs of a silent or busy host were
    requested before it was given up depends on the order of requests, so all of them have the host's reason.
    """
    columns = ", ".join("p.partition" if c == "partition" else f"a.{c}" for c in FETCHED.schema.names)
    done = query_rows(
        f"""
        WITH last AS (
            SELECT fetch_id, max(pass) AS pass FROM fetch_attempt SEMI JOIN planned USING (fetch_id)
            WHERE is_fetched GROUP BY fetch_id
        )
        SELECT {columns}, a.final_url
        FROM last JOIN fetch_attempt a USING (fetch_id, pass) JOIN fetch_pass p USING (fetch_id, pass)
        """,
        {name: inputs[name] for name in ("planned", "fetch_pass", "fetch_attempt")},
    )
    # In any attempt: a different body later does not make the URL trustworthy.
    illegal = listed("fetch_id", inputs["listed_hash"], inputs["fetch_attempt"], BODY_HASHES)
    found = {"done": done, "illegal": illegal, **refused_bodies(done, inputs, context)}
    kept = query_rows(_KEPT, found)
    rejects = query_rows(_REFUSED, {**inputs, **found})
    return Outcome(kept.cast(FETCHED.schema), rejects.cast(FETCHED.reject_schema))


_KEPT = """
    SELECT * EXCLUDE (final_url) FROM done ANTI JOIN placeholder USING (fetch_id) ANTI JOIN illegal USING (fetch_id)
    ANTI JOIN changed USING (fetch_id)
    ORDER BY partition, fetch_id  -- the order of the file, which is written partition by partition
"""
_REFUSED = f"""
    WITH refused AS (
        SELECT fetch_id, max_by(fetch_reason, pass) AS reason, max(pass) AS pass,
               arg_max_null(http_status, pass) AS http_status,
               split_part(arg_max_null(final_url, pass), '/', 3) AS authority,
               coalesce(nullif(arg_max_null(fetch_detail, pass), ''), 'HTTP ' || arg_max_null(http_status, pass),
                        'no answer') AS why
        FROM fetch_attempt SEMI JOIN planned USING (fetch_id)
        ANTI JOIN (SELECT fetch_id FROM fetch_attempt WHERE is_fetched) USING (fetch_id)
        GROUP BY fetch_id
    ), given_up AS (
        SELECT authority, min(reason) AS reason FROM refused WHERE reason IN {GIVEN_UP} GROUP BY authority
    ), refused_by_host AS (
        SELECT fetch_id, CASE WHEN (refused.reason IN {_UNANSWERED} AND http_status IS NULL)
                                OR (refused.reason IN {_TOLD_BUSY} AND http_status IN {BUSY})
                              THEN coalesce(given_up.reason, refused.reason) ELSE refused.reason END AS reason,
               pass, why
        FROM refused LEFT JOIN given_up USING (authority)
        UNION ALL FROM placeholder ANTI JOIN illegal USING (fetch_id)
        UNION ALL FROM changed ANTI JOIN illegal USING (fetch_id)
    ), detailed AS (SELECT *, ', pass ' || pass AS ending FROM refused_by_host)
    SELECT fetch_id, reason,
           CASE WHEN length(why || ending) > {DETAIL_MAX_CHARACTERS}
                THEN left(why, {DETAIL_MAX_CHARACTERS - 1} - length(ending)) || '…' ELSE why END || ending AS detail
    FROM detailed
    UNION ALL SELECT fetch_id, '{HASH_LISTED}', '{DETAIL}' FROM illegal SEMI JOIN planned USING (fetch_id)
    ORDER BY fetch_id
"""


def refused_bodies(done: Rows, inputs: Inputs, context: Context) -> dict[str, Rows]:
    """Return fetch_id, reason, pass and detail of the URLs whose fetched bodies are `placeholder` and `changed`.

    Args:
        done: fetch_id, pass, final_url, n_bytes and body_sha256 of each fetched URL.
        inputs: with `planned` and `candidate`.
        context: with the parameters, and the tool `stated` if a published dataset is made again.
    """
    params: ReductionParams = context.params
    placeholder = _placeholders(done, inputs, params)
    found = {"done": done, "placeholder": placeholder}
    return {"placeholder": placeholder, "changed": _changed(found, inputs, context.tools.get("stated"))}


def _changed(found: Mapping[str, Rows], inputs: Inputs, stated: pa.Table | None) -> Rows:
    """Return fetch_id, reason, pass and detail for bodies that differ from a digest stated for one of their samples."""
    stated = pa.table({name: pa.array([], pa.string()) for name in _STATED}) if stated is None else stated
    return query_rows(
        f"""
        SELECT fetch_id, '{CHANGED}' AS reason, any_value(pass) AS pass,
               format('sha256 {{}}, stated {{}}', left(any_value(done.body_sha256), 16),
                      left(min(stated.body_sha256), 16)) AS why
        FROM done JOIN planned USING (fetch_id) JOIN stated USING (sample_id)
        ANTI JOIN placeholder ON placeholder.fetch_id = done.fetch_id
        WHERE done.body_sha256 <> stated.body_sha256 GROUP BY fetch_id
        """,
        {**found, "planned": inputs["planned"], "stated": stated.select(_STATED)},
    )


def _file_name(url: str) -> str:
    """Return SQL for the last segment of a URL's path; for the URL without its query if that segment is empty."""
    place = f"split_part({url}, '?', 1)"
    return f"coalesce(nullif(regexp_extract({place}, '[^/]*$'), ''), {place})"


def _placeholders(done: Rows, inputs: Inputs, params: ReductionParams) -> Rows:
    """Return fetch_id, reason, pass and detail for URLs that were answered with a placeholder, each once."""
    found = {
        "led": _led(done, inputs, params.placeholder_n_urls),
        "direct": _sent_often(done, inputs, params.placeholder_n_direct),
    }
    return query_rows("FROM led UNION ALL FROM direct ANTI JOIN led USING (fetch_id)", found)


def _led(done: Rows, inputs: Inputs, n_urls: int) -> Rows:
    """Return fetch_id, reason, pass and detail for URLs whose final address is shared by many URLs and captions.

    URLs without a redirect do not count, nor do redirects to a file of the same name: a picture that moved to https
    or to another server is still that picture. Addresses of equal bodies that differ only in the query are one
    address (`/gone.png?from=…`).
    """
    redirected = query_rows(
        f"""
        SELECT DISTINCT fetch_id, done.pass, final_url, split_part(final_url, '?', 1) AS place, body_sha256
        FROM done JOIN planned USING (fetch_id)
        WHERE {n_urls} > 0 AND final_url <> normalised_url
          AND {_file_name("final_url")} <> {_file_name("normalised_url")}
        """,
        {"done": done, "planned": inputs["planned"]},
    )
    return query_rows(_marked(n_urls), {**inputs, "redirected": redirected})


def _marked(n_urls: int) -> str:
    # Distinct captions as rows, not as lists: a list of all captions of an address has to fit into memory.
    return f"""
        WITH text AS (
            SELECT DISTINCT final_url, place, body_sha256, caption
            FROM redirected JOIN planned USING (fetch_id) JOIN candidate USING (sample_id)
        ), by_address AS (
            SELECT final_url, n_urls, n_texts
            FROM (SELECT final_url, count(*) AS n_urls FROM redirected GROUP BY final_url)
            JOIN (SELECT final_url, count(*) AS n_texts FROM (SELECT DISTINCT final_url, caption FROM text)
                  GROUP BY final_url) USING (final_url)
        ), by_body AS (
            SELECT place, body_sha256, n_same, n_same_texts
            FROM (SELECT place, body_sha256, count(*) AS n_same FROM redirected GROUP BY ALL)
            JOIN (SELECT place, body_sha256, count(*) AS n_same_texts
                  FROM (SELECT DISTINCT place, body_sha256, caption FROM text) GROUP BY ALL) USING (place, body_sha256)
        ), marked AS (
            SELECT *, n_urls >= {n_urls} AND n_texts >= {n_urls} AS is_address,
                   n_same >= {n_urls} AND n_same_texts >= {n_urls} AS is_body
            FROM redirected JOIN by_address USING (final_url) JOIN by_body USING (place, body_sha256)
        )
        SELECT fetch_id, '{PLACEHOLDER}' AS reason, pass,
               CASE WHEN is_address THEN n_urls || ' URLs with ' || n_texts || ' captions lead to ' || final_url
                    ELSE n_same || ' URLs with ' || n_same_texts || ' captions lead to ' || place || '?…' END AS why
        FROM marked WHERE is_address OR is_body
    """


def _sent_often(done: Rows, inputs: Inputs, n_least: int) -> Rows:
    """Return fetch_id, reason, pass and detail for URLs whose body one host sends for many addresses and captions.

    The address is the final one, so that servers that first redirect every URL to https count too. Its query counts
    only without an image's file name: one file may be asked for in many ways (`a.jpg?from=…`).
    """
    # A hash of the digest takes a sixth of its memory; two bodies with equal hashes are told apart later.
    answer = query_rows(
        f"""
        SELECT fetch_id, done.pass, body_sha256, split_part(final_url, '/', 3) AS authority,
               CASE WHEN regexp_matches(split_part(final_url, '?', 1), '{_IMAGE_NAME}', 'i')
                    THEN split_part(final_url, '?', 1) ELSE final_url END[strpos(final_url, '://'):] AS address
        FROM done SEMI JOIN (
            SELECT hash(body_sha256) AS body FROM done WHERE {n_least} > 0 GROUP BY body HAVING count(*) >= {n_least}
        ) ON body = hash(body_sha256)
        WHERE final_url LIKE 'http%'  -- images in released tars have no host
          AND n_bytes > 0  -- screen names empty bodies
        """,
        {"done": done},
    )
    return query_rows(_sent(n_least), {**inputs, "answer": answer})


def _sent(n_least: int) -> str:
    return f"""
        WITH place AS (
            SELECT authority, body_sha256, count(*) AS n_places
            FROM (SELECT DISTINCT authority, body_sha256, address FROM answer)
            GROUP BY ALL HAVING n_places >= {n_least}
        ), text AS (
            SELECT authority, body_sha256, count(*) AS n_texts
            FROM (SELECT DISTINCT authority, body_sha256, caption
                  FROM answer SEMI JOIN place USING (authority, body_sha256)
                  JOIN planned USING (fetch_id) JOIN candidate USING (sample_id))
            GROUP BY ALL HAVING n_texts >= {n_least}
        )
        SELECT fetch_id, '{PLACEHOLDER}' AS reason, pass,
               authority || ' sends one body for ' || n_places || ' addresses with ' || n_texts || ' captions' AS why
        FROM answer JOIN place USING (authority, body_sha256) JOIN text USING (authority, body_sha256)
    """
