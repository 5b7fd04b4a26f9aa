"""The files that readers want beside a corpus's own, as the corpora's manifests name them."""

import re

from pydantic import Field, field_validator

from schemas.manifest_files import Manifest


def checked_pattern(pattern: str) -> str:
    """Return a regular expression. Raises ValueError where it is none."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


class Companion(Manifest):
    """A file that a reader wants beside a corpus's own, for `make preflight` to ask after.

    Attributes:
        name: as it is published.
        pattern: regular expression for a whole path under the corpus's folder; a folder's ends with a slash.
        without: what the rows lack without it.
        is_needed: nothing of the corpus is read without it.
        for_setting: `section.key=value`: needed where this is set.
        beside: regular expression for paths of which one must be there for it to be wanted; "" for always.
        first_line: regular expression that its first line begins with, of parquet its column names; "" for any.
        how_to_get: where it is published; "" where the corpus's own how_to_get says it.
    """

    name: str = Field(min_length=1)
    pattern: str
    without: str = Field(min_length=1)
    is_needed: bool = False
    for_setting: str = Field("", pattern=r"^([a-z]+\.[a-z0-9_]+=.+)?$")
    beside: str = ""
    first_line: str = ""
    how_to_get: str = ""

    @field_validator("pattern", "beside", "first_line")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        return checked_pattern(pattern)
