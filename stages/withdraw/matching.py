"""Find the samples named by the entries of a withdrawal.

Not for acting on it: download no longer requests their URLs, and shard no longer publishes them.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from stages.contract import Inputs
from stages.rows import run_sql

_SCHEMA = pa.schema([("sample_id", pa.string()), ("entry", pa.string())])
# By kind: the tables read, and the query over them. A host includes its subdomains and all ports.
_BY_URL = {
    "sample_id": (("planned",), "SELECT sample_id, entry FROM planned JOIN named ON sample_id = entry"),
    "url": (("planned",), "SELECT sample_id, entry FROM planned JOIN named ON normalised_url = entry"),
    "host": (
        ("planned",),
        """SELECT sample_id, entry FROM (SELECT sample_id, regexp_replace(host, ':[0-9]+$', '') AS name FROM planned)
           JOIN named ON name = entry OR ends_with(name, '.' || entry)""",
    ),
}
_BY_IMAGE = {
    "sample_id": (("located",), "SELECT sample_id, entry FROM located JOIN named ON sample_id = entry"),  # also of RS3
    "sha256": (
        ("located", "image"),
        """SELECT sample_id, entry FROM located JOIN image USING (image_id)
           JOIN named ON entry IN (body_sha256, published_sha256, pixel_sha256)""",
    ),
    "phash": (
        ("located", "image"),
        """SELECT sample_id, entry FROM located JOIN image USING (image_id)
           JOIN named ON phash = ('0x' || entry)::UBIGINT""",
    ),
}


def named_by_url(withdrawal: Any, inputs: Inputs) -> pa.Table:
    """Return sample_id and entry of the samples of `planned` that are withdrawn by name, URL or host.

    Args:
        withdrawal: a table of entry_kind and entry, in memory or in files.
        inputs: `planned`, with sample_id, normalised_url and host.
    """
    return _match(withdrawal, inputs, _BY_URL)


def named(withdrawal: Any, inputs: Inputs) -> pa.Table:
    """Return sample_id and entry of the withdrawn samples of `located`, one row per sample.

    Args:
        withdrawal: a table of entry_kind and entry, in memory or in files.
        inputs: `planned` as above; `located` with sample_id, image_id and body_sha256; `image` with image_id,
            pixel_sha256, published_sha256 and phash.
    """
    found = _match(withdrawal, inputs, {**_BY_URL, **_BY_IMAGE})
    return run_sql(
        "FROM found SEMI JOIN located USING (sample_id) ORDER BY sample_id",
        {"found": found, "located": inputs["located"]},
    ).cast(_SCHEMA)


def withdrawn_query() -> str:
    """Return SQL for the sample_id of every sample that an entry names, over withdrawal, planned, sample and image."""
    named_by_kind = [
        f"""SELECT sample_id FROM (
                WITH named AS (SELECT entry FROM withdrawal WHERE entry_kind = '{kind}'), located AS (FROM sample)
                {query})"""
        for queries in (_BY_URL, _BY_IMAGE)
        for kind, (_, query) in queries.items()
    ]
    return " UNION ".join(named_by_kind)


def _match(withdrawal: Any, inputs: Inputs, queries: Mapping[str, tuple[tuple[str, ...], str]]) -> pa.Table:
    entries: dict[str, list[str]] = {}
    for row in run_sql("FROM withdrawal", {"withdrawal": withdrawal}).to_pylist():
        entries.setdefault(row["entry_kind"], []).append(row["entry"])
    found = [_SCHEMA.empty_table()]
    for kind in sorted(entries.keys() & queries.keys()):  # tables of other kinds are not read
        tables, query = queries[kind]
        wanted = pa.table({"entry": pa.array(entries[kind], pa.string())})
        found.append(run_sql(query, {**{name: inputs[name] for name in tables}, "named": wanted}).cast(_SCHEMA))
    return run_sql(
        "SELECT sample_id, min(entry) AS entry FROM found GROUP BY sample_id ORDER BY sample_id",
        {"found": pa.concat_tables(found)},
    )
