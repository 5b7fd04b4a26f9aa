"""Read the source files of one partition in batches of rows, for any format.

`stages/filter/filtering.py` decides which rows are kept.
"""

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from schemas.corpora import LIST_CODE
from schemas.corpus import Corpus
from stages.readers.batch import (
    Choices,
    Damage,
    Read,
    SourceBatch,
    SourceFileError,
    SourceFiles,
)
from stages.readers.labelled_records import CorpusFiles, Files, Placer, Reading, Sample

DEFAULT_CHOICES = Choices()


class WebReader(Protocol):
    """The functions in the module of a reader of a web corpus."""

    def read(self, source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int) -> Iterator[Read]:
        """Yield the content of a partition's files in order; memory does not grow with the number of rows.

        Args:
            source: the files.
            corpus: its manifest says how to read them.
            choices: the settings of the run.
            from_row: batches that end before this row may be skipped.

        Raises:
            SourceFileError: the rest of the files cannot be read.
            InputError: a required file is missing.
        """

    def count(self, source: SourceFiles, corpus: Corpus) -> int:
        """Return the number of rows, counted independently of reading: by a footer, line ends, or lengths of lists.

        Raises:
            SourceFileError: the rows cannot be counted to the end.
        """


class LabelledReader(Protocol):
    """The functions in the module of a reader of a labelled corpus."""

    def placer(self, corpus: Corpus, holding: CorpusFiles) -> Placer:
        """Return a function that assigns sample, partition and role to each file.

        Args:
            corpus: its code prefixes names of samples and partitions.
            holding: all files of the corpus.

        Raises:
            ListFault: a list of names is damaged.
            InputError: the samples cannot be named.
        """

    def role_of(self, path: str, found: re.Match[str]) -> str:
        """Return a file's role in its sample, by its path under the corpus's folder and its match."""

    def scene_of(self, sample_id: str) -> str:
        """Return the scene of a sample: a pilot takes all samples of a scene or none."""

    def is_sample_folder(self, name: str) -> bool:
        """Return whether a folder of this name is one sample, so that an empty one gets a row in the listing."""

    def read(self, sample_id: str, files: Files, reading: Reading) -> Sample:
        """Return a sample.

        Raises:
            SampleFault: it cannot be used.
        """


@dataclass(frozen=True)
class Reader:
    """A format: the module that reads it, and its properties.

    Attributes:
        module: name of the module; imported at first use.
        half: "pub11" for captions with a URL (the module is a `WebReader`), "rs3" for labelled images (it is a
            `LabelledReader`).
        only_for: code of the only corpus that it can read; "" for any corpus.
        columns_are: content of `columns` in a manifest: "names" of columns, positions of "fields", or "" if the reader
            knows the columns.
        is_one_partition: whether all files form one partition, because samples or repeated ids span files.
        has_native_sample_ids: whether samples are named by the corpus's own id, not by part and row.
        has_files_by_name: whether files are distinguished by name, not by a number in it.
        is_sample_list: whether rows are samples of other corpora, each with its corpus and id.
        has_tag_companion: whether a companion adds tags to selected rows; the filter joins them.
        is_packed: whether files are tars whose members are listed; the module has `list_members`.
        lists_samples: whether a companion lists samples, also ones without a row; the module has `lists_sample`.
        needs_companion: whether it reads nothing without a companion.
    """

    module: str
    half: Literal["pub11", "rs3"] = "pub11"
    only_for: str = ""
    columns_are: Literal["", "names", "fields"] = ""
    is_one_partition: bool = False
    has_native_sample_ids: bool = False
    has_files_by_name: bool = False
    is_sample_list: bool = False
    has_tag_companion: bool = False
    lists_samples: bool = False
    is_packed: bool = False
    needs_companion: bool = False

    def load(self) -> Any:
        """Return the module."""
        return importlib.import_module(self.module)


# By the name in a corpus's manifest.
READERS: dict[str, Reader] = {
    "parquet": Reader("stages.readers.parquet.reader", columns_are="names"),
    "tsv": Reader("stages.readers.tsv.reader", columns_are="fields", has_tag_companion=True),
    "wit": Reader("stages.readers.wit.reader"),
    "yfcc": Reader(
        "stages.readers.yfcc.reader",
        is_one_partition=True,
        has_native_sample_ids=True,
        lists_samples=True,
        needs_companion=True,
    ),
    "redcaps": Reader(
        "stages.readers.redcaps.reader", is_one_partition=True, has_native_sample_ids=True, has_files_by_name=True
    ),
    "sbu": Reader("stages.readers.sbu.reader"),
    "vg": Reader("stages.readers.vg.reader", is_one_partition=True, has_native_sample_ids=True, needs_companion=True),
    "metafile": Reader(
        "stages.readers.rs5m_list.reader",
        only_for=LIST_CODE,
        is_one_partition=True,
        has_native_sample_ids=True,
        is_sample_list=True,
    ),
    "fmow": Reader("stages.readers.fmow.reader", half="rs3"),
    "ben": Reader("stages.readers.ben.reader", half="rs3", only_for="ben"),  # its lists are read by a separate stage
    "millionaid": Reader("stages.readers.millionaid.reader", half="rs3"),
    "rs5m_tars": Reader("stages.readers.rs5m_tars.reader", half="rs3", is_sample_list=True, is_packed=True),
}


def reader_of(corpus: Corpus) -> Reader:
    """Return the reader that a corpus's manifest names."""
    return READERS[corpus.reader]


def web_reader(corpus: Corpus) -> WebReader:
    """Return the module that reads a web corpus."""
    return cast(WebReader, reader_of(corpus).load())


def labelled_reader(corpus: Corpus) -> LabelledReader:
    """Return the module that reads a labelled corpus."""
    return cast(LabelledReader, reader_of(corpus).load())


def read_source(
    source: SourceFiles, corpus: Corpus, choices: Choices = DEFAULT_CHOICES, from_row: int = 0
) -> Iterator[Read]:
    """Yield the content of a partition's files; if they cannot be read to the end, the rest as a damaged stretch.

    Raises:
        InputError: a file is missing without which nothing can be read.
    """
    part, n_rows = source.files[0][1] if source.files else 0, 0
    try:
        for found in web_reader(corpus).read(source, corpus, choices, from_row):
            if isinstance(found, SourceBatch):
                part, n_rows = found.part, found.first_row + len(found.captions)
            elif isinstance(found, Damage):
                part, n_rows = found.part, found.first_row + found.n_rows
            yield found
    except SourceFileError as error:
        yield Damage(n_rows, error.n_rows, error.reason, str(error), part, error.path)


def count_source(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of rows, counted independently of reading; everything after a fault counts as one."""
    try:
        return web_reader(corpus).count(source, corpus)
    except SourceFileError as error:
        return error.n_rows_before + 1
