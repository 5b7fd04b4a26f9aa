"""What the page is made of: sections with figures, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A figure or a table, with its caption.

    Attributes:
        caption: what is shown, of how many.
        source: the tables that it was made from, as under `make tables` and docs/tables.md.
        drawing: SVG; "" for a table or a sheet of pictures.
        columns, rows: of a table; numbers are printed with separators.
        pictures: of a sheet.
    """

    caption: str
    source: str
    drawing: Markup | str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Picture:
    """A small picture: a data URL, and the lines below it."""

    url: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: its anchor.
        title: its heading.
        figures: what it shows.
        missing: a sentence on what is not made yet, instead of totals of half a table.
        facts: large figures at the top, by label.
    """

    name: str
    title: str
    figures: Sequence[Figure] = ()
    missing: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
