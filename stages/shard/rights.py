"""Which samples may be redistributed: by the licence of each image, and by the manifest of its corpus.

Not legal advice: the manifests say where each statement was read.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from schemas.corpora import load_corpora
from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import LEFT_OUT
from stages.contract import Context, Dependency, Given, Inputs, Outcome, Params, Reads, Stage, no_rejects
from stages.identity import digest_json
from stages.rows import query_rows, quote_text, run_sql
from stages.shard.emails import EmailParams, masked

LICENCE = "licence"


class RightsParams(Params):
    """Whether all samples are published, or only those that may be redistributed."""

    rights: Literal["research", "redistributable"] = Field(
        "research",
        description="samples to publish: research (all), or redistributable (those whose image and texts may be"
        " redistributed, and only the metadata of the others)",
    )
    redistributable_licences: tuple[str, ...] = Field(
        (
            r"https?://(www\.)?creativecommons\.org/(licenses/by(-sa)?|publicdomain)/.*",
            r"cc[ -]?by([ -]sa)?([ -]\d\.\d)?",
            r"cc[ -]?0([ -]1\.0)?",
            r"public domain( .*)?",
            r"attribution(-sharealike)? license",
            r"cdla-permissive-[12]\.0",
            r"odc-by( .*)?",
            r"mit( license)?",
            r"apache([ -]license,?)?[ -](version )?2\.0",
        ),
        description="licences of single images and of further texts that allow redistribution: patterns of the whole"
        " text, in any case",
    )  # without NC and ND: not every reader of a dataset keeps their conditions

    @field_validator("redistributable_licences")
    @classmethod
    def _are_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return value


def _corpora() -> list[dict[str, Any]]:
    """Return the rights that each corpus's manifest grants, as plain rows: making a table imports pandas."""
    return [
        {
            "corpus": code,
            "has_image_rights": c.may_redistribute_images,
            "has_text_rights": c.may_redistribute_annotations,
        }
        for code, c in sorted(load_corpora().items())
    ]


_ALLOWED = pa.schema([("corpus", pa.string()), ("has_image_rights", pa.bool_()), ("has_text_rights", pa.bool_())])


def _digests(params: Params) -> Mapping[str, str]:
    return {row["corpus"]: digest_json(row) for row in _corpora()}


def _digests_if_asked(params: Params) -> Mapping[str, str]:
    is_asked = isinstance(params, RightsParams) and params.rights == "redistributable"
    return _digests(params) if is_asked else {}


REDISTRIBUTION = Dependency("redistribution", _digests_if_asked, is_by_corpus=True)


def not_redistributable(params: RightsParams, inputs: Mapping[str, Any]) -> pa.Table:
    """Return sample_id and detail of the samples of `located` whose image or texts may not be redistributed.

    A sample whose corpus does not allow its texts is kept if a further text of it may be redistributed.

    Args:
        params: the licences that allow it; a corpus whose manifest allows it as a whole needs no licence.
        inputs: `located` with sample_id; `candidate` with corpus and image_licence; `labelled_image` with corpus;
            `further_text` with sample_id and text_licence.
    """
    stated = query_rows(_STATED, {name: inputs[name] for name in ("located", "candidate", "labelled_image")})
    tables = {"stated": stated, "further_text": inputs["further_text"], "rights": _rights()}
    return run_sql(_REFUSED, tables, allowed=allowed_pattern(params), longest=DETAIL_MAX_CHARACTERS)


def allowed_pattern(params: RightsParams) -> str:
    """Return the pattern of the licences that allow redistribution, of a whole text."""
    allowed = "|".join(f"(?:{pattern})" for pattern in params.redistributable_licences) or "[^\\s\\S]"
    return f"(?i)(?:{allowed})"


def instead_of_texts(params: RightsParams, inputs: Mapping[str, Any]) -> pa.Table:
    """Return the further text to publish for samples whose corpus does not allow its own: sample_id, text, text_source.

    The first by text_id whose licence allows it; no rows with rights = research.

    Args:
        params: the licences that allow it.
        inputs: `sample` with corpus; `further_text`.
    """
    if params.rights == "research":
        return pa.Table.from_batches([], pa.schema([(n, pa.string()) for n in ("sample_id", "text", "text_source")]))
    tables = {"sample": inputs["sample"], "further_text": inputs["further_text"], "rights": _rights()}
    return run_sql(_INSTEAD, tables, allowed=allowed_pattern(params))


def without_texts_of_others(params: RightsParams) -> str:
    """Return SQL that drops from `rows` the captions and further texts that may not be redistributed.

    Reads `sample` for the corpora; the rows have caption, further_texts, further_sources and further_licences.
    """
    barred = ", ".join(quote_text(row["corpus"]) for row in _corpora() if row["has_text_rights"])
    is_allowed = f"regexp_full_match(trim(l), {quote_text(allowed_pattern(params))})"
    chosen = f"list_transform(further_licences, lambda l: {is_allowed})"
    lists = ", ".join(
        f"list_where({name}, {chosen}) AS {name}" for name in ("further_texts", "further_sources", "further_licences")
    )
    return f"""
        SELECT rows.* REPLACE (CASE WHEN corpus IN ({barred}) THEN caption END AS caption, {lists})
        FROM rows JOIN (SELECT sample_id, corpus FROM sample) USING (sample_id)
    """


def _rights() -> pa.Table:
    return pa.Table.from_pylist(_corpora(), _ALLOWED)


_STATED = """
    SELECT sample_id, corpus, image_licence FROM located JOIN candidate USING (sample_id)
    UNION ALL SELECT sample_id, corpus, NULL FROM located JOIN labelled_image USING (sample_id)
"""
_REFUSED = """
    WITH judged AS (
        SELECT sample_id, corpus, image_licence, coalesce(has_text_rights, false) AS has_text_rights,
               coalesce(has_image_rights, false)
               OR coalesce(regexp_full_match(trim(image_licence), $allowed), false) AS has_image_rights
        FROM stated LEFT JOIN rights USING (corpus)
    ), further AS (
        SELECT sample_id, bool_or(regexp_full_match(trim(text_licence), $allowed)) AS has_allowed_text
        FROM further_text GROUP BY sample_id
    )
    SELECT sample_id,
           left(CASE WHEN has_image_rights
                THEN corpus || ': its texts may not be redistributed'
                     || CASE WHEN has_allowed_text IS NULL THEN '' ELSE ', nor may the further texts' END
                ELSE 'image: ' || coalesce(nullif(trim(image_licence), ''), corpus || ' grants no right in it')
                END, $longest) AS detail
    FROM judged LEFT JOIN further USING (sample_id)
    WHERE NOT (has_image_rights AND (has_text_rights OR coalesce(has_allowed_text, false))) ORDER BY sample_id
"""
_INSTEAD = """
    SELECT sample_id, first(further_text ORDER BY text_id) AS text, first(text_source ORDER BY text_id) AS text_source
    FROM further_text JOIN sample USING (sample_id) LEFT JOIN rights USING (corpus)
    WHERE NOT coalesce(has_text_rights, false) AND regexp_full_match(trim(text_licence), $allowed)
    GROUP BY sample_id ORDER BY sample_id
"""


def list_left_out(inputs: Inputs, context: Context) -> Outcome:
    """Return the metadata of each sample that was left out for its rights; no text that may not be redistributed."""
    found = run_sql(_LEFT_OUT, {**inputs, "rights": _rights()})
    if context.params.mask_emails:
        place = found.column_names.index("caption")
        found = found.set_column(place, "caption", masked(found["caption"]))
    return Outcome(found.select(LEFT_OUT.schema.names).cast(LEFT_OUT.schema), no_rejects(LEFT_OUT))


_LEFT_OUT = f"""
    WITH refused AS (SELECT sample_id, detail FROM shard_plan_rejects WHERE reason = '{LICENCE}'), joined AS (
        SELECT sample_id, detail, 'pub11' AS half, corpus, url, '' AS path, caption, annotation_licence, image_licence
        FROM refused JOIN candidate USING (sample_id)
        UNION ALL
        SELECT sample_id, detail, 'rs3', corpus, '', path, NULL, annotation_licence, NULL
        FROM refused JOIN labelled_image USING (sample_id)
    )
    SELECT joined.* REPLACE (CASE WHEN has_text_rights THEN caption END AS caption), body_sha256
    FROM joined JOIN sample USING (sample_id) JOIN image USING (image_id)
    LEFT JOIN rights ON rights.corpus = joined.corpus ORDER BY sample_id
"""

LIST_LEFT_OUT = Stage(
    name="list_left_out",
    module="shard",
    version=2,
    does="Lists the samples that were left out for their rights, with their metadata.",
    reads=(
        Reads("shard_plan", ("sample_id", "reason", "detail"), is_whole=True, section="rejects"),
        Reads(
            "candidate", ("sample_id", "corpus", "url", "caption", "annotation_licence", "image_licence"), is_whole=True
        ),
        Reads("labelled_image", ("sample_id", "corpus", "path", "annotation_licence"), is_whole=True),
        Reads("sample", ("sample_id", "image_id"), is_whole=True),
        Reads("image", ("image_id", "body_sha256"), is_whole=True),
    ),
    writes=LEFT_OUT,
    grain="map",
    given=Given(
        query=f"SELECT sample_id FROM shard_plan_rejects WHERE reason = '{LICENCE}'", inputs=("shard_plan_rejects",)
    ),
    run=list_left_out,
    is_queried=True,
    params=EmailParams,
    depends=(Dependency("redistribution", _digests, is_by_corpus=True),),
)
