"""Filter: keep the source rows whose caption holds a keyword, with all keywords that occur."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from schemas.manifests import load_corpora, load_keywords
from schemas.tables import CANDIDATE
from stages.contract import Context, Given, InputError, Inputs, Outcome, Params, Reads, Resources, Stage, Tool
from stages.identity import digest_json
from stages.inventory import reader_digest
from stages.sources.filtering import filter_file
from stages.sources.readers import SourceFileError


class FilterParams(Params):
    """What counts as a keyword."""

    has_spaced_sentinel: bool = Field(
        False, description="also match 'Sentinel 1' and 'Sentinel 2', which figure 3 of the paper shows"
    )


def filter_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return the matching rows of the partition's source files, and how many rows fell to which reason.

    Raises:
        InputError: when a source file is gone, changed or damaged.
    """
    corpora = load_corpora()
    listed = inputs["source_listing"].to_pylist()
    if len(listed) != 1:
        raise InputError(f"partition {context.partition} should be one source file, it is {len(listed)}")
    row = listed[0]
    corpus = corpora.get(row["corpus"])
    if corpus is None or reader_digest(corpus) != row["reader_digest"]:
        raise InputError(f"the manifest of {row['corpus']} has changed: run `make stage-inventory` first")
    path = context.sources / row["path"]
    _check_unchanged(path, row)
    try:
        found = filter_file(path, corpus, row["part"], context.tools["keywords"], on_progress=context.advance)
    except SourceFileError as error:
        raise InputError(str(error)) from error
    _check_unchanged(path, row)
    return Outcome(found.candidates.cast(CANDIDATE.schema), found.malformed, found.counts)


def _check_unchanged(path: Path, row: Mapping[str, Any]) -> None:
    # The rows are kept under the digest that inventory took: they must be of the same bytes.
    status = path.stat() if path.exists() else None
    if status is None or (status.st_size, status.st_mtime_ns) != (row["size_bytes"], row["mtime_ns"]):
        raise InputError(
            f"source file {path} is not as inventory saw it ({row['size_bytes']} bytes): restore it,"
            " or run `make stage-inventory` to take it as it is"
        )


def patterns(params: FilterParams) -> tuple[str, ...]:
    """Return the keyword patterns of a run, in the manifest's order."""
    return load_keywords().patterns(has_spaced_sentinel=params.has_spaced_sentinel)


def _identity(params: FilterParams) -> Mapping[str, str]:
    return {"sha256": digest_json(patterns(params))}


@contextmanager
def _open(params: FilterParams, resources: Resources) -> Iterator[Any]:
    yield patterns(params)


KEYWORDS = Tool("keywords", _identity, _open)

FILTER = Stage(
    name="filter",
    module="filter",
    version=1,
    does="Keeps rows whose caption holds a keyword; counts the others by reason and source file.",
    reads=(
        Reads("source_listing", ("corpus", "path", "part", "size_bytes", "mtime_ns", "reader_digest")),
        Reads("source_file", ("file_sha256",)),
    ),
    writes=CANDIDATE,
    grain="count",
    given=Given(),
    run=filter_captions,
    params=FilterParams,
    reasons=("no_caption", "no_keyword", "no_url", "invalid_utf8", "wrong_field_count"),
    tools=(KEYWORDS,),
    partitions_from=("source_file",),
    bytes_per_row=1000,
)
