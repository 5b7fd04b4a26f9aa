"""Further texts, a stage of caption: join texts that others published for an image with its sample.

They are candidates beside the captions of the corpus or of the captioner; `pairs` publishes them in the JSON.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from schemas.manifest_files import ManifestError
from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import FURTHER_TEXT
from schemas.text_manifests import TextSource, load_text_sources
from stages.caption.text_rows import TextRow, read_texts
from stages.contract import (
    Context,
    ContractError,
    Given,
    InputError,
    Inputs,
    Outcome,
    Params,
    Reads,
    Resources,
    Stage,
    Tool,
)
from stages.identity import digest_json
from stages.readers.batch import SourceFileError
from stages.rows import FileRows, Rows, Space, blocks_of, query_rows, space_of


class FurtherParams(Params):
    """Which further texts are joined."""

    further_texts: tuple[str, ...] = Field(
        (), description="names in caption.further_manifest whose texts are published beside the captions"
    )


class FurtherResources(Resources):
    """Where the further texts are."""

    further_manifest: str = Field(
        "", description="TOML file that describes further texts; their files are in its folder (docs/corpora.md)"
    )


class OpenedTexts(NamedTuple):
    """A source of texts and its files."""

    about: TextSource
    root: Path
    paths: tuple[Path, ...]


_ENTRY = pa.schema(
    [
        (name, pa.string())
        for name in ("text_id", "text_source", "corpus", "text_key", "further_text", "text_licence", "reason", "detail")
    ]
)


def join_texts(inputs: Inputs, context: Context) -> Outcome:
    """Return each text with each sample that its key names; reject texts without a sample, and rows without a text.

    Two texts with one key are both kept.
    """
    entries = _gathered(_entries(context.tools["texts"]), space_of(inputs))
    tables = {"entry": entries, **inputs}
    matched = query_rows(_MATCHED, tables)
    kept = query_rows(_KEPT, {"entry": entries, "matched": matched})
    rejects = query_rows(_REJECTS, {"entry": entries, "matched": matched})
    n_kept = query_rows("SELECT count(DISTINCT text_id) AS n FROM matched", {"matched": matched})
    (n_texts,) = (n for batch in blocks_of(n_kept) for n in batch["n"].to_pylist())
    if n_texts + rejects.num_rows != entries.num_rows:
        raise ContractError(f"{entries.num_rows} texts read, {n_texts} joined and {rejects.num_rows} rejected")
    return Outcome(kept.cast(FURTHER_TEXT.schema), rejects.cast(FURTHER_TEXT.reject_schema))


def _entries(sources: Sequence[OpenedTexts]) -> Iterator[pa.Table]:
    """Yield the texts of all files, with a reason and a detail where they cannot be read."""
    for source in sources:
        for path in source.paths:
            name, n_rows = path.relative_to(source.root).as_posix(), 0
            try:
                for rows in read_texts(path, source.about):
                    yield _table(source.about, name, n_rows, rows)
                    n_rows += len(rows)
            except SourceFileError as error:
                yield _table(
                    source.about, name, n_rows, [TextRow("", [], error.reason, str(error)[:DETAIL_MAX_CHARACTERS])]
                )


def _table(about: TextSource, path: str, first_row: int, rows: Sequence[TextRow]) -> pa.Table:
    found = []
    for n, row in enumerate(rows, first_row):
        name = f"{about.name}:{path}:{n:07d}"
        fixed = {"text_source": about.name, "corpus": about.corpus, "text_licence": about.licence}
        if row.reason:
            found.append({**fixed, "text_id": name, "text_key": row.key, "reason": row.reason, "detail": row.detail})
        for k, text in enumerate(row.texts):
            why = {} if text.strip() else {"reason": "no_text", "detail": "the text is blank"}
            found.append({**fixed, "text_id": f"{name}:{k}", "text_key": row.key, "further_text": text, **why})
    return pa.Table.from_pylist(found, _ENTRY)


def _gathered(tables: Iterator[pa.Table], space: Space | None) -> Rows:
    """Return all rows, in a file where the inputs are in files."""
    if space is None:
        return pa.concat_tables([_ENTRY.empty_table(), *tables])
    path, n_rows = space.new_path(), 0
    space.folder.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, _ENTRY, compression="snappy") as writer:
        for table in tables:
            writer.write_table(table)
            n_rows += table.num_rows
    return FileRows((path,), _ENTRY, n_rows, space)


# The names of a sample: its id, the corpus's own, and the last element of its path without an ending. Keys are
# compared as they are, and as the last element of a path.
_STEM = r"'([^/]+?)(?:\.[A-Za-z]{1,4})?$'"
_MATCHED = f"""
    WITH named AS (
        SELECT corpus, sample_id AS name, sample_id FROM sample
        UNION SELECT corpus, native_id, sample_id FROM sample JOIN candidate USING (sample_id)
        UNION SELECT corpus, regexp_extract(path, {_STEM}, 1), sample_id
              FROM sample JOIN labelled_image USING (sample_id)
        UNION SELECT corpus, v1_patch, sample_id FROM sample JOIN patch USING (sample_id)
        UNION SELECT corpus, v2_patch, sample_id FROM sample JOIN patch USING (sample_id)
    ), wanted AS (
        SELECT text_id, corpus, text_key AS name FROM entry WHERE reason IS NULL
        UNION SELECT text_id, corpus, regexp_extract(text_key, {_STEM}, 1) FROM entry WHERE reason IS NULL
    )
    SELECT DISTINCT text_id, sample_id FROM wanted JOIN named USING (corpus, name)
"""
_KEPT = f"""
    SELECT {", ".join(FURTHER_TEXT.schema.names)} FROM matched JOIN entry USING (text_id) ORDER BY text_id, sample_id
"""
_REJECTS = f"""
    SELECT text_id, '' AS sample_id, coalesce(reason, 'unknown_text_key') AS reason,
           left(coalesce(detail, 'no sample of ' || corpus || ' has the name ' || text_key), {DETAIL_MAX_CHARACTERS})
               AS detail,
           text_source, text_key
    FROM entry ANTI JOIN matched USING (text_id) ORDER BY text_id
"""


def _identity(params: FurtherParams) -> Mapping[str, str]:
    return {"names": ",".join(params.further_texts)}


def _found(params: FurtherParams, resources: FurtherResources) -> Mapping[str, str] | None:
    """Return the digest of the manifest's entries and of the name, size and time of each file; None if it is gone."""
    if not params.further_texts:
        return {}
    try:
        sources = _opened(params, resources)
    except InputError:
        return None
    files = [
        [one.about.model_dump(), *([path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in one.paths)]
        for one in sources
    ]
    return {"files": digest_json(files)}


def _opened(params: FurtherParams, resources: FurtherResources) -> list[OpenedTexts]:
    """Return the sources that the settings name, with their files.

    Raises:
        InputError: the manifest is missing or faulty, lacks a name, or a source has no file.
    """
    manifest = Path(resources.further_manifest)
    if not resources.further_manifest or not manifest.is_file():
        raise InputError(
            f"caption.further_texts names {', '.join(params.further_texts)}, and caption.further_manifest ="
            f" {resources.further_manifest!r} is not a file: expected a TOML file that describes them (docs/corpora.md)"
        )
    try:
        known = load_text_sources(manifest)
    except ManifestError as error:
        raise InputError(str(error)) from error
    found = []
    for name in params.further_texts:
        if name not in known:
            raise InputError(f"{manifest} describes no texts {name!r}; it has {', '.join(sorted(known))}")
        paths = tuple(sorted(path for path in manifest.parent.glob(known[name].files) if path.is_file()))
        if not paths:
            raise InputError(f"no file in {manifest.parent} matches {known[name].files!r}, the files of {name}")
        found.append(OpenedTexts(known[name], manifest.parent, paths))
    return found


@contextmanager
def _open(params: FurtherParams, resources: FurtherResources) -> Iterator[list[OpenedTexts]]:
    yield _opened(params, resources)


def _off(params: FurtherParams) -> str:
    return "" if params.further_texts else "caption.further_texts is empty"


JOIN_TEXTS = Stage(
    name="join_texts",
    module="caption",
    version=1,
    does="Joins texts that others published for images of the corpora, by sample, name, path or patch.",
    reads=(
        Reads("sample", ("sample_id", "corpus"), is_whole=True),
        Reads("candidate", ("sample_id", "native_id"), is_whole=True),
        Reads("labelled_image", ("sample_id", "path"), is_whole=True),
        Reads("patch", ("sample_id", "v1_patch", "v2_patch"), is_whole=True),
    ),
    writes=FURTHER_TEXT,
    grain="observe",
    given=Given(),
    run=join_texts,
    is_queried=True,
    params=FurtherParams,
    resources=FurtherResources,
    reasons=(
        "unknown_text_key", "no_text", "bad_record", "wrong_field_count", "invalid_utf8", "field_too_large",
        "damaged_source", "wrong_columns",
    ),
    tools=(Tool("texts", _identity, _open, _found),),
    off=_off,
)  # fmt: skip
