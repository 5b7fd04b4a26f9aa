"""The layouts of published tars: which are written, and the names of a sample's members in each."""

from typing import Literal

from pydantic import Field

from stages.contract import Params

Layout = Literal["rs5m", "pairs"]
_ESCAPED = str.maketrans({"%": "%25", ".": "%2E", "/": "%2F"})


class LayoutParams(Params):
    """Which layouts of tars are written."""

    layouts: tuple[Layout, ...] = Field(
        ("rs5m",),
        description="tars to write: rs5m (members as published, train/ and val/), pairs (image, text and JSON, pairs/)",
    )


def tar_key(sample_id: str) -> str:
    """Return the name that a sample's members share: readers end it at the first dot, and a slash begins a folder.

    Both are written as in URLs (%2E, %2F), and so is the percent sign, so that different ids keep different names.
    """
    return sample_id.translate(_ESCAPED)
