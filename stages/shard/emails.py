"""E-mail addresses in captions: found by one pattern, counted in a table, masked in what is published on demand.

Captions from the web are alt texts; some have the address of the photographer or of a shop.
"""

from typing import Any

import pyarrow.compute as pc
from pydantic import Field

from stages.contract import Params

# RE2, as DuckDB and pyarrow read it: letters of any script, and a top-level domain of two letters or more. Names such
# as logo@2x.png are masked too, which costs nothing.
EMAIL = r"[\pL\pN_%+-][\pL\pN._%+-]*@[\pL\pN-]+(?:\.[\pL\pN-]+)*\.\pL{2,}"
MASK = "[e-mail]"


class EmailParams(Params):
    """Whether e-mail addresses stay in what is published."""

    mask_emails: bool = Field(
        False, description="replace e-mail addresses in captions by [e-mail] in tars and metafiles"
    )


def masked(texts: Any) -> Any:
    """Return a column of texts without e-mail addresses; null stays null."""
    return pc.replace_substring_regex(texts, EMAIL, MASK)
