"""Filter: keep the source rows whose caption holds a keyword, with all keywords that occur."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from schemas.corpus import Corpus
from schemas.manifests import Keywords, load_keywords
from schemas.tables import CANDIDATE
from stages.contract import Context, Given, InputError, Inputs, Outcome, Params, Reads, Resources, Stage, Tool
from stages.filter.companions import add_tags
from stages.filter.filtering import REASONS, Search, filter_source
from stages.filter.strict import StrictRules
from stages.identity import digest_json
from stages.inventory.stage import listed_corpus
from stages.readers.batch import Choices, SourceFiles
from stages.readers.formats.texts import count_characters
from stages.readers.readers import reader_of

CocoColumn = Literal["TEXT", "top_caption", "all_captions"]


class FilterParams(Params):
    """Which keywords count, and which of a corpus's texts are searched and kept."""

    has_spaced_sentinel: bool = Field(
        False, description="also match 'Sentinel 1' and 'Sentinel 2', which figure 3 of the paper shows"
    )
    is_strict: bool = Field(
        False, description="refuse rows whose keywords all have another meaning (manifests/keywords.toml)"
    )
    is_cleaned: bool = Field(
        True, description="decode entities of captions and remove hidden characters; false: captions as published"
    )
    laioncoco_searched: tuple[CocoColumn, ...] = Field(
        ("top_caption", "all_captions"),
        min_length=1,
        description="columns of LAION-COCO to search",
        json_schema_extra={
            "assumption": "not published; 3.0 M hits in 662 M rows, against 2.0 M in LAION-2B's 2.3 B, show that the"
            " generated captions were searched"
        },
    )
    laioncoco_caption: CocoColumn = Field(
        "all_captions",
        description="column of LAION-COCO to use as the caption",
        json_schema_extra={
            "assumption": "not published; the paper calls LAION-COCO's captions long concatenations of generated ones"
        },
    )
    wit_languages: tuple[str, ...] = Field(
        (),
        description="languages of WIT to read; empty: all",
        json_schema_extra={
            "assumption": "not published; 37 M rows cover all languages, and 79 % of the downloads were duplicates"
        },
    )


class FilterResources(Resources):
    """Which losses a run accepts."""

    accept_damaged: tuple[str, ...] = Field(
        (), description="damaged source files, by their path under SOURCES, whose losses are accepted"
    )


def filter_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return the matching rows of the partition's source files, and how many rows fell to which reason.

    Raises:
        InputError: when a source file is gone or changed, or one that it needs is missing.
    """
    listed = sorted(inputs["source_listing"].to_pylist(), key=lambda row: str(row["path"]))
    corpus = _corpus(listed, context.partition)
    for row in listed:
        _check_unchanged(context.sources / row["path"], row)
    source = source_files([(row["path"], row["part"]) for row in listed], context.sources, corpus)
    search = search_of(context.params, context.tools["keywords"], listed[0]["pilot_share"])
    found = filter_source(source, corpus, search, context.advance)
    if source.companions and reader_of(corpus).has_tag_companion:
        found = add_tags(found, corpus, search, source)
    for row in listed:
        _check_unchanged(context.sources / row["path"], row)
    n_characters = count_characters(found.candidates["source_caption"].unique())
    measured = {"n_characters": n_characters, "n_characters_left": found.n_characters_left}
    return Outcome(found.candidates.cast(CANDIDATE.schema), found.malformed, found.counts, measured=measured)


def source_files(listed: Sequence[tuple[str, int]], sources: Path, corpus: Corpus) -> SourceFiles:
    """Return the files of a partition by the part they play.

    Args:
        listed: path under SOURCES and part of each.
        sources: the SOURCES folder.
        corpus: says which are companions.
    """
    files, companions = [], []
    for path, part in sorted(listed):
        if corpus.is_companion(path.partition("/")[2]):
            companions.append(sources / path)
        else:
            files.append((sources / path, part))
    return SourceFiles(tuple(files), tuple(companions), sources)


def choices_of(params: FilterParams) -> Choices:
    """Return a run's choices in reading."""
    return Choices(params.laioncoco_searched, params.laioncoco_caption, params.wit_languages)


def search_of(params: FilterParams, keywords: Keywords, pilot_share: float = 1.0) -> Search:
    """Return the patterns, rules and choices of a run."""
    patterns = keywords.patterns(has_spaced_sentinel=params.has_spaced_sentinel)
    return Search(
        patterns, StrictRules(keywords.strict), params.is_strict, pilot_share, choices_of(params), params.is_cleaned
    )


def _corpus(listed: Sequence[Mapping[str, Any]], partition: str) -> Corpus:
    for row in listed:
        return listed_corpus(row["corpus"], row["reader_digest"])
    raise InputError(f"partition {partition} has no source files: run `make stage-inventory` first")


def _check_unchanged(path: Path, row: Mapping[str, Any]) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        # Listing again would drop the file, and with an unmounted disk its whole corpus: only the disk can help.
        raise InputError(
            f"source file {path} is missing ({row['size_bytes']} bytes at inventory): mount or restore it and run the"
            " command again"
        ) from None
    # The rows are kept under the digest that inventory took: they must be of the same bytes.
    if (status.st_size, status.st_mtime_ns) != (row["size_bytes"], row["mtime_ns"]):
        raise InputError(
            f"source file {path} has changed since inventory ({row['size_bytes']} bytes): restore it,"
            " or run `make stage-inventory` to use the new one"
        )


def _identity(params: FilterParams) -> Mapping[str, str]:
    keywords = load_keywords()
    patterns = keywords.patterns(has_spaced_sentinel=params.has_spaced_sentinel)
    return {"sha256": digest_json([patterns, [rule.model_dump(mode="json") for rule in keywords.strict]])}


@contextmanager
def _open(params: FilterParams, resources: Resources) -> Iterator[Keywords]:
    yield load_keywords()


KEYWORDS = Tool("keywords", _identity, _open)

FILTER = Stage(
    name="filter",
    module="filter",
    version=19,
    does="Keeps rows with a keyword in the caption; counts the others by reason and source file.",
    reads=(
        Reads("source_listing", ("corpus", "path", "part", "size_bytes", "mtime_ns", "reader_digest", "pilot_share")),
        Reads("source_file", ("file_sha256",)),
    ),
    writes=CANDIDATE,
    grain="count",
    given=Given(),
    run=filter_captions,
    params=FilterParams,
    resources=FilterResources,
    reasons=REASONS,
    tools=(KEYWORDS,),
    partitions_from=("source_file",),
    half="pub11",
    memory_gb=1.0,  # 0.7 to 0.9 for any number of rows (docs/costs.md)
    bytes_per_row=1000,
)
