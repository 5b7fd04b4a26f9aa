"""Files that a reader uses in addition to a corpus's source files; the manifests of corpora name them."""

import re

from pydantic import Field, field_validator

from schemas.manifest_files import Manifest


def checked_pattern(pattern: str) -> str:
    """Return the pattern. Raises ValueError if it is not a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


class Companion(Manifest):
    """A file that a reader uses in addition to a corpus's source files; `make preflight` looks for it.

    Attributes:
        name: as it is published.
        pattern: regular expression for the whole path under the corpus's folder; it ends with a slash for a folder.
        without: the consequence for the rows if it is missing.
        is_needed: True if nothing of the corpus is read without it.
        for_setting: `section.key=value`: the setting that needs it; "" if it does not depend on one.
        beside: regular expression; the file is used only if a path under the folder matches. "" for always.
        first_line: regular expression for the start of its first line, or of the column names of parquet; "" for any.
        first_line_in_words: what first_line stands for, with an example; "" shows the expression itself.
        how_to_get: where it is published; "" if the corpus's how_to_get covers it.
    """

    name: str = Field(min_length=1)
    pattern: str
    without: str = Field(min_length=1)
    is_needed: bool = False
    for_setting: str = Field("", pattern=r"^([a-z]+\.[a-z0-9_]+=.+)?$")
    beside: str = ""
    first_line: str = ""
    first_line_in_words: str = ""
    how_to_get: str = ""

    @field_validator("pattern", "beside", "first_line")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        return checked_pattern(pattern)
