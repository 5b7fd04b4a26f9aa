"""Reduce all attempts to one row per URL: its fetched body, or the reason why there is none.

Runs after all attempts and fetches nothing.
"""

import pyarrow as pa
from pydantic import Field

from schemas.tables import FETCHED
from stages.checks import DETAIL_MAX_CHARACTERS, run_sql
from stages.contract import Context, Inputs, Outcome, Params, rejects_table
from stages.download.passes import GIVEN_UP

PLACEHOLDER = "placeholder"
_UNANSWERED = ("timeout", "connection_failed")


class SettleParams(Params):
    """When an address that many URLs redirect to is taken for a placeholder.

    Errors cost little: the pictures of one address are equal, so dedup would keep at most one of them anyway.
    """

    placeholder_n_urls: int = Field(
        3,
        ge=0,
        description="number of URLs, and of captions, from which an address that other file names redirect to is"
        " taken for a placeholder; 0: never",
    )  # an estimate: published lists of URLs do not record redirects


def settle(inputs: Inputs, context: Context) -> Outcome:
    """Return the last successful attempt of each planned URL; reject the others for the last attempt's reason.

    A URL that was redirected to a placeholder was not fetched either. Which URLs a silent host was asked for before it
    was given up depends on the order of requests; their reason does not: all of them have the host's.
    """
    params: SettleParams = context.params
    columns = ", ".join("p.partition" if c == "partition" else f"done.{c}" for c in FETCHED.schema.names)
    done = run_sql(
        f"""
        WITH done AS (
            SELECT *, row_number() OVER (PARTITION BY fetch_id ORDER BY pass DESC) AS n
            FROM fetch_attempt WHERE is_fetched
        )
        SELECT {columns}, done.final_url FROM done JOIN fetch_pass p USING (fetch_id, pass)
        WHERE n = 1 AND fetch_id IN (SELECT fetch_id FROM planned) ORDER BY fetch_id
        """,
        inputs,
    )
    placeholders = _placeholders(done, inputs, params.placeholder_n_urls)
    kept = run_sql(
        "SELECT done.* EXCLUDE (final_url) FROM done ANTI JOIN placeholder USING (fetch_id) ORDER BY fetch_id",
        {"done": done, "placeholder": placeholders},
    )
    refused = run_sql(
        f"""
        WITH refused AS (
            SELECT fetch_id, max_by(fetch_reason, pass) AS reason, max(pass) AS pass,
                   arg_max_null(http_status, pass) AS http_status,
                   split_part(arg_max_null(final_url, pass), '/', 3) AS authority,
                   coalesce(nullif(arg_max_null(fetch_detail, pass), ''), 'HTTP ' || arg_max_null(http_status, pass),
                            'no answer') AS why
            FROM fetch_attempt WHERE fetch_id IN (SELECT fetch_id FROM planned)
            GROUP BY fetch_id HAVING NOT bool_or(is_fetched)
        ), given_up AS (
            SELECT authority, min(reason) AS reason FROM refused WHERE reason IN {GIVEN_UP} GROUP BY authority
        ), refused_by_host AS (
            SELECT fetch_id, CASE WHEN refused.reason IN {_UNANSWERED} AND http_status IS NULL
                                  THEN coalesce(given_up.reason, refused.reason) ELSE refused.reason END AS reason,
                   pass, why
            FROM refused LEFT JOIN given_up USING (authority)
            UNION ALL FROM placeholder
        ), detailed AS (SELECT *, ', pass ' || pass AS ending FROM refused_by_host)
        SELECT fetch_id, reason,
               CASE WHEN length(why || ending) > {DETAIL_MAX_CHARACTERS}
                    THEN left(why, {DETAIL_MAX_CHARACTERS - 1} - length(ending)) || '…' ELSE why END || ending AS detail
        FROM detailed ORDER BY fetch_id
        """,
        {**inputs, "placeholder": placeholders},
    )
    rejects = rejects_table(FETCHED, {"fetch_id": refused["fetch_id"]}, refused["reason"], refused["detail"])
    return Outcome(kept.cast(FETCHED.schema), rejects)


def _file_name(url: str) -> str:
    """Return SQL for the last segment of a URL's path; for the URL without its query if that segment is empty."""
    place = f"split_part({url}, '?', 1)"
    return f"coalesce(nullif(regexp_extract({place}, '[^/]*$'), ''), {place})"


def _placeholders(done: pa.Table, inputs: Inputs, n_urls: int) -> pa.Table:
    """Return fetch_id, reason, pass and why for URLs whose final address is shared by many URLs and captions.

    URLs without a redirect do not count, nor do redirects to a file of the same name: a picture that moved to https
    or to another server is still that picture. Addresses of equal bodies that differ only in the query are one
    address (`/gone.png?from=…`).
    """
    return run_sql(
        f"""
        WITH url AS (
            SELECT fetch_id, min(normalised_url) AS normalised_url, list(DISTINCT caption) AS captions
            FROM planned JOIN candidate USING (sample_id) GROUP BY fetch_id
        ), redirected AS (
            SELECT fetch_id, done.pass, final_url, split_part(final_url, '?', 1) AS place, body_sha256, captions
            FROM done JOIN url USING (fetch_id)
            WHERE {n_urls} > 0 AND {_file_name("final_url")} <> {_file_name("normalised_url")}
        ), shared AS (
            SELECT fetch_id, pass, final_url, place,
                   count(*) OVER address AS n_urls, len(list_distinct(flatten(list(captions) OVER address))) AS n_texts,
                   count(*) OVER body AS n_same, len(list_distinct(flatten(list(captions) OVER body))) AS n_same_texts
            FROM redirected WINDOW address AS (PARTITION BY final_url), body AS (PARTITION BY place, body_sha256)
        ), marked AS (
            SELECT *, n_urls >= {n_urls} AND n_texts >= {n_urls} AS is_address,
                   n_same >= {n_urls} AND n_same_texts >= {n_urls} AS is_body FROM shared
        )
        SELECT fetch_id, '{PLACEHOLDER}' AS reason, pass,
               CASE WHEN is_address THEN n_urls || ' URLs with ' || n_texts || ' captions lead to ' || final_url
                    ELSE n_same || ' URLs with ' || n_same_texts || ' captions lead to ' || place || '?…' END AS why
        FROM marked WHERE is_address OR is_body
        """,
        {**inputs, "done": done},
    )
