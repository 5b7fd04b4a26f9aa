"""Render the pages of a build with templates that escape every text."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flows.page.drawings import count

# Made visible: control characters, marks that change the direction of a text, and lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Return a foreign text with control and direction characters made visible."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def render(template: str, **values: Any) -> str:
    """Render one of the templates beside this module."""
    environment = Environment(
        loader=PackageLoader("flows.page"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    environment.filters["shown"] = shown
    return clean(environment.get_template(template).render(values))


def script(name: str) -> tuple[Markup, str]:
    """Return a script beside the templates, and its source expression for a Content-Security-Policy.

    The policy has the digest, so that no other script can run on the page, whatever a caption contains.
    """
    text = resources.files("flows.page").joinpath("templates", name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"'sha256-{digest}'"


def shown(value: object) -> str:
    """Return a value as text of a table cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count(value, is_padded=True) if isinstance(value, int | float) else str(value)
