"""E-mail addresses in captions: found by one pattern, counted in a table, masked in published texts on request.

Captions from the web are alt texts; some have the address of the photographer or of a shop.
"""

from typing import Any

import pyarrow as pa
from pydantic import Field

from stages.contract import Params
from stages.rows import run_sql

# RE2, as DuckDB reads it: letters of any script, and a top-level domain of two letters or more.
_SHAPE = r"[\pL\pN_%+-][\pL\pN._%+-]*@[\pL\pN-]+(?:\.[\pL\pN-]+)*\.\pL{2,}"
# Pictures for dense screens are named logo@2x.png; none of these endings is a top-level domain.
_FILE_NAME = r"(?i)\.(?:png|jpe?g|jpe|jfif|gif|webp|avif|heic|heif|svg|svgz|bmp|tiff?|ico|psd|pdf)$"
MASK = "[e-mail]"


def addresses_sql(column: str) -> str:
    """Return SQL for the list of e-mail addresses in a text; names of image files do not count."""
    return f"list_filter(regexp_extract_all({column}, '{_SHAPE}'), lambda x: NOT regexp_matches(x, '{_FILE_NAME}'))"


def masked_sql(column: str) -> str:
    """Return SQL for a text with each of its e-mail addresses replaced; null stays null."""
    between, found = f"regexp_split_to_array({column}, '{_SHAPE}')", f"regexp_extract_all({column}, '{_SHAPE}')"
    shown = f"""CASE WHEN i > len({found}) THEN '' WHEN regexp_matches(({found})[i], '{_FILE_NAME}')
                     THEN ({found})[i] ELSE '{MASK}' END"""
    return f"""CASE WHEN contains({column}, '@') THEN array_to_string(
                   list_transform(range(1, len({between}) + 1), lambda i: ({between})[i] || {shown}), '')
               ELSE {column} END"""


class EmailParams(Params):
    """Whether e-mail addresses stay in published texts."""

    mask_emails: bool = Field(
        False, description="replace e-mail addresses in captions by [e-mail] in tars and metafiles"
    )


def masked(texts: Any) -> Any:
    """Return a column of texts without e-mail addresses; null stays null."""
    rows = pa.table({"n": range(len(texts)), "text": texts})
    return run_sql(f"SELECT {masked_sql('text')} AS text FROM rows ORDER BY n", {"rows": rows})["text"]
