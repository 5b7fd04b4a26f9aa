"""The elements of the page: sections with figures, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A figure or a table, with its caption.

    Attributes:
        caption: description of the content, with its number of rows.
        source: the tables it was made from, named as in `make tables` and docs/tables.md.
        drawing: SVG; "" for a table or a sheet of pictures.
        columns, rows: content of a table; numbers are printed with separators.
        pictures: content of a sheet.
    """

    caption: str
    source: str
    drawing: Markup | str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    pictures: Sequence[Picture] = ()

    @property
    def numeric(self) -> list[bool]:
        """Whether each column is of numbers, so that heading and empty cells are aligned as its figures are."""
        return [
            any(isinstance(row[n], int | float) and not isinstance(row[n], bool) for row in self.rows)
            for n in range(len(self.columns))
        ]


@dataclass(frozen=True)
class Picture:
    """A small picture as a data URL, and the lines below it."""

    url: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: anchor of the section.
        title: heading of the section.
        figures: figures, tables and sheets of the section.
        missing: a sentence on incomplete tables, in place of the figures; "" if none.
        facts: large figures at the top, by label.
    """

    name: str
    title: str
    figures: Sequence[Figure] = ()
    missing: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
