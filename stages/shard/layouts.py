"""The layouts of published tars, and the name of a sample's members."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from stages.contract import Params

Layout = Literal["rs5m", "pairs"]
# Image, text and a third member of a sample; the image's name in the layout pairs is its format: jpg, png or webp.
MEMBERS: dict[Layout, tuple[str, str, str]] = {
    "rs5m": ("img_content", "caption", "img_name"),
    "pairs": ("", "txt", "json"),
}
_ESCAPED = str.maketrans({"%": "%25", ".": "%2E", "/": "%2F"})


class LayoutParams(Params):
    """Which layouts of tars are written."""

    layouts: tuple[Layout, ...] = Field(
        ("rs5m",),
        description="tars to write: rs5m (members as published, train/ and val/), pairs (image, text and JSON, pairs/)",
    )


def tar_key(sample_id: str) -> str:
    """Return the common name of a sample's members, without dots and slashes, at which readers split it.

    Both are percent-encoded (%2E, %2F), and so is the percent sign, so that different ids have different names.
    """
    return sample_id.translate(_ESCAPED)


def found_at(
    members: Mapping[str, bytes], offsets: Mapping[str, int], image: str, text: str, extra: str
) -> dict[str, int]:
    """Return the offsets of a sample's members in the tar, and the sizes that are in no other column, in bytes.

    Args:
        members: bodies by name.
        offsets: offset of each body's first byte in the tar, by name.
        image: name of the image among the members.
        text: name of the text.
        extra: name of the third member.
    """
    return {
        "image_offset": offsets[image],
        "text_offset": offsets[text],
        "text_n_bytes": len(members[text]),
        "extra_offset": offsets[extra],
        "extra_n_bytes": len(members[extra]),
    }
