"""Filter: keep the source rows whose caption holds a keyword, with all keywords that occur."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from schemas.manifests import Corpus, load_corpora, load_keywords
from schemas.tables import CANDIDATE
from stages.contract import Context, Given, InputError, Inputs, Outcome, Params, Reads, Resources, Stage, Tool
from stages.identity import digest_json
from stages.inventory import reader_digest
from stages.sources.filtering import REASONS, Filtered, filter_file, filter_photos
from stages.sources.readers import SourceFileError
from stages.sources.tags import join_tags


class FilterParams(Params):
    """What counts as a keyword."""

    has_spaced_sentinel: bool = Field(
        False, description="also match 'Sentinel 1' and 'Sentinel 2', which figure 3 of the paper shows"
    )


def filter_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return the matching rows of the partition's source files, and how many rows fell to which reason.

    Raises:
        InputError: when a source file is gone, changed or damaged, or one that it needs is missing.
    """
    listed = sorted(inputs["source_listing"].to_pylist(), key=lambda row: str(row["path"]))
    corpus = _corpus(listed, context.partition)
    for row in listed:
        _check_unchanged(context.sources / row["path"], row)
    is_companion = [corpus.is_companion(row["path"].partition("/")[2]) for row in listed]
    paths = [context.sources / row["path"] for row in listed]
    files = [(path, row["part"]) for path, row, is_one in zip(paths, listed, is_companion, strict=True) if not is_one]
    companions = [path for path, is_one in zip(paths, is_companion, strict=True) if is_one]
    try:
        found = _filter(files, companions, corpus, context)
    except SourceFileError as error:
        raise InputError(str(error)) from error
    for row in listed:
        _check_unchanged(context.sources / row["path"], row)
    return Outcome(found.candidates.cast(CANDIDATE.schema), found.malformed, found.counts)


def _corpus(listed: Sequence[Mapping[str, Any]], partition: str) -> Corpus:
    corpora = load_corpora()
    for row in listed:
        corpus = corpora.get(row["corpus"])
        if corpus is None or reader_digest(corpus) != row["reader_digest"]:
            raise InputError(f"the manifest of {row['corpus']} has changed: run `make stage-inventory` first")
        return corpus
    raise InputError(f"partition {partition} has no source files: run `make stage-inventory` first")


def _filter(
    files: Sequence[tuple[Path, int]], companions: Sequence[Path], corpus: Corpus, context: Context
) -> Filtered:
    keywords = context.tools["keywords"]
    if corpus.is_one_partition:
        if not files or len(companions) != 1:
            raise InputError(
                f"{corpus.title}: expected its source files and the one list of its samples in"
                f" {context.sources / corpus.code}, found {len(files)} and {len(companions)} (expected names:"
                f" {corpus.companion_pattern}). {corpus.how_to_get}"
            )
        return filter_photos(files, companions[0], corpus, keywords, on_progress=context.advance)
    if len(files) != 1 or len(companions) > 1:
        raise InputError(f"partition {context.partition} should be one source file, it is {len(files)}")
    path, part = files[0]
    found = filter_file(path, corpus, part, keywords, on_progress=context.advance)
    return replace(found, candidates=join_tags(found.candidates, companions[0])) if companions else found


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
    version=3,
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
    reasons=REASONS,
    tools=(KEYWORDS,),
    partitions_from=("source_file",),
    half="pub11",
    bytes_per_row=1000,
)
