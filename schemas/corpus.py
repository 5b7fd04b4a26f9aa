"""A corpus as its manifest describes it: its files, columns, rights and published figures.

The codes of corpora, and reading manifests, are in schemas/corpora.py.
"""

import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.companions import Companion, checked_pattern
from schemas.manifest_files import Manifest as _Manifest
from schemas.manifest_files import ManifestError

REQUIRED_COLUMNS = ("url", "source_caption")
OPTIONAL_COLUMNS = (
    "published_width_px", "published_height_px", "native_id", "similarity", "image_licence", "nsfw", "punsafe",
    "pwatermark", "stated_latitude_deg", "stated_longitude_deg", "stated_datetime", "native_hash", "language",
    "other_texts", "owner_id",
)  # fmt: skip
NO_FILE = r"(?!)"  # a pattern that no name matches
_PART_MODULUS = (1 << 31) - 1  # a part is an int32: two of 10,000 files meet in one with a chance of 2 %


class Corpus(_Manifest):
    """The manifest of a published corpus: its rights, its files, and how to read them.

    Attributes:
        code: the folder under SOURCES, the name of the manifest and the prefix of sample_id.
        n_files_published, n_bytes_published: source files of the whole corpus, companions apart, and their size; None
            where no source states it.
        sha256: by file name, of the files for which their publisher states it; its first digits do.
        file_pattern: regular expression for a whole path under the corpus's folder; its group `part`, where it has
            one, is the number in the published file name, `hex_part` the same where files are named by a digest;
            those of labelled corpora are named in their readers.
        ignored_pattern: the same for files of the published corpus that are not read, and for folders, which end with
            a slash; empty if nothing is ignored.
        companion_pattern: the same for a file with further facts on the rows of a source file; it is in its
            partition; empty if the corpus has none.
        reader: name of the reader, a key of READERS in stages/readers/readers.py.
        archives: of a labelled corpus, by regular expression for the name of an archive without its ending, the folder
            that its files belong in; "" for the folder of the archive. Other archives are not read.
        columns: for each of our columns the names it may have in the corpus's files, in order of preference, without
            regard to case; for a TSV the position of the field, from 0; empty if the reader knows them.
        is_last_field_rest: the last field of a TSV's line is the rest of it, tabs and all; else a tab more is a fault.
        is_size_swapped: width and height are exchanged in the files ...
        size_is_right_with: ... but not in the variant of the corpus that has one of these columns.
        null_markers: texts that mean "not known" in image_licence and nsfw.
        companions: the files that readers want beside the corpus's own, for the check before a build.
        advice: by regular expression for a path under the corpus's folder, what to do with such a file, which is not
            read as it is.
        has_shifted_rows: rows of the corpus may have lost their columns' order; a similarity outside [-1, 1] shows it.
        text_columns: where samples have several texts, the columns of these; the run says which of them is the caption
            and which are searched.
    """

    code: str = Field(pattern=r"^[a-z0-9]+$")
    title: str = ""
    half: Literal["pub11", "rs3"] = "pub11"
    homepage: str = ""
    is_withdrawn: bool = False
    replaced_by: str = ""
    annotation_licence: str = Field(min_length=1)
    image_rights: str = Field(min_length=1)
    may_redistribute_annotations: bool = False
    may_redistribute_images: bool = False
    citation: str = ""
    n_rows_published: int | None = Field(None, gt=0)
    n_files_published: int | None = Field(None, gt=0)
    n_bytes_published: int | None = Field(None, gt=0)
    sha256: Mapping[str, str] = {}
    file_pattern: str
    ignored_pattern: str = NO_FILE
    companion_pattern: str = NO_FILE
    reader: str = Field(pattern=r"^[a-z0-9_]+$")
    archives: Mapping[str, str] = {}
    columns: Mapping[str, tuple[str | int, ...]] = {}
    is_last_field_rest: bool = False
    is_size_swapped: bool = False
    size_is_right_with: tuple[str, ...] = ()
    null_markers: tuple[str, ...] = ()
    advice: Mapping[str, str] = {}
    has_shifted_rows: bool = False
    text_columns: tuple[str, ...] = ()
    companions: tuple[Companion, ...] = ()
    date_checked: date | None = None
    how_to_get: str = ""

    @field_validator("file_pattern", "ignored_pattern", "companion_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        return checked_pattern(pattern)

    @field_validator("advice", "archives")
    @classmethod
    def _check_patterns(cls, by_pattern: Mapping[str, str]) -> Mapping[str, str]:
        for pattern in by_pattern:
            cls._check_pattern(pattern)
        return by_pattern

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, content: Any) -> Any:
        """Name a corpus without a title by its code, and read one source of a column as a list of one."""
        if not isinstance(content, Mapping):
            return content
        code, columns = content.get("code", ""), content.get("columns", {})
        if isinstance(columns, Mapping):
            columns = {name: [found] if isinstance(found, str | int) else found for name, found in columns.items()}
        named = {"title": code, "how_to_get": f"Put its files under SOURCES/{code}."}
        return {**named, **{name: value for name, value in content.items() if value != ""}, "columns": columns}

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: Mapping[str, tuple[str | int, ...]]) -> Mapping[str, tuple[str | int, ...]]:
        known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
        if unknown := [name for name in columns if name not in known]:
            raise ValueError(f"unknown columns {unknown}; known are {list(known)}")
        return columns

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if set(self.columns.get("url", ())) & set(self.columns.get("source_caption", ())):
            raise ValueError(f"url and source_caption have the same source; found {dict(self.columns)}")
        if self.is_withdrawn and not self.replaced_by:
            raise ValueError("is_withdrawn needs replaced_by: name the lawful replacement, or say that there is none")
        return self

    @cached_property
    def file_regex(self) -> re.Pattern[str]:
        """The compiled `file_pattern`, for loops over millions of paths."""
        return re.compile(self.file_pattern)

    @cached_property
    def _companion_regex(self) -> re.Pattern[str]:
        return re.compile(self.companion_pattern)

    def advice_on(self, path: str) -> str:
        """Return what to do with a file that is not read as it is, by its path under the corpus's folder."""
        return next((text for pattern, text in self.advice.items() if re.fullmatch(pattern, path)), "")

    def is_companion(self, path: str) -> bool:
        """Return whether a path under the corpus's folder belongs to a source file."""
        return self._companion_regex.fullmatch(path) is not None

    @cached_property
    def _ignored_regex(self) -> re.Pattern[str]:
        return re.compile(self.ignored_pattern)

    def match_file(self, path: str) -> re.Match[str] | None:
        """Return the groups of `file_pattern` in a path under the corpus's folder; None if it is not a source file."""
        return self.file_regex.fullmatch(path)

    def is_ignored(self, path: str) -> bool:
        """Return whether a path under the corpus's folder is known and not read; a folder's ends with a slash."""
        return self._ignored_regex.fullmatch(path) is not None

    def part_of(self, path: str) -> int | None:
        """Return the number of the part that a file is or belongs to, or None if it is neither.

        Names without a number are part 0.

        Args:
            path: path under the corpus's folder, with "/" between its parts.

        Raises:
            ManifestError: the group of the pattern is not a number that a table can hold.
        """
        found = self.file_regex.fullmatch(path) or self._companion_regex.fullmatch(path)
        if found is None:
            return None
        groups = found.groupdict()
        try:
            if digest := groups.get("hex_part"):
                return int(digest, 16) % _PART_MODULUS
            part = int(groups.get("part") or 0)
        except ValueError:
            part = -1
        if not 0 <= part <= _PART_MODULUS:
            group = f"{groups.get('hex_part') or groups.get('part')!r} of {path}"
            raise ManifestError(
                f"manifests/corpora/{self.code}.toml: key file_pattern: its group matches {group}; expected a whole"
                f" number up to {_PART_MODULUS:,} as part, or hexadecimal digits as hex_part"
            )
        return part

    def stated_sha256(self, path: str) -> str:
        """Return the sha256 that the publisher states for a file, by its name without folders; "" if none is stated."""
        return self.sha256.get(path.rpartition("/")[2], "").lower()
