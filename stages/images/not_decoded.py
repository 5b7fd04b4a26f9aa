"""The error for an image that cannot be decoded again; in its own module, so stages import no codec."""

import re

from schemas.reasons import DETAIL_MAX_CHARACTERS

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # a detail that differs from run to run would not be reproducible


class NotDecoded(Exception):
    """An image that screen decoded was not decoded again for a model; the text is the detail of its reject row."""

    @classmethod
    def because(cls, error: Exception) -> "NotDecoded":
        """Return the error for a library's exception, without its traceback, which would keep the picture in memory."""
        text = ADDRESS.sub("", f"{type(error).__name__}: {error}")
        return cls("".join(c if c.isprintable() else "?" for c in text)[:DETAIL_MAX_CHARACTERS])
