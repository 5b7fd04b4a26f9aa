"""Escape foreign text for Markdown and LaTeX.

Titles, licences and paths come from manifests and source files, so templates escape every value they print.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from jinja2 import Environment, PackageLoader, StrictUndefined

from flows.ask.report import printable

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")
_ADDRESS = re.compile(r"https?://[^\s<>]+")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


class Ready(str):
    """Markdown or LaTeX made by this package, which is not escaped again."""


def markdown(value: object) -> str:
    """Return a value as Markdown text on one line; figures have thousands separators."""
    if isinstance(value, Ready):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = _on_one_line("" if value is None else str(value))
    return _MARKDOWN.sub(r"\\\1", "".join(_HTML.get(c, c) for c in text))


def latex(value: object) -> str:
    """Return a value as LaTeX text; figures have thousands separators that are valid in math mode."""
    if isinstance(value, Ready):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", "{,}")
    text = _on_one_line("" if value is None else str(value))
    return "".join(_LATEX.get(c, c) for c in text)


def code(value: object) -> Ready:
    """Return a value as a Markdown code span with enough backticks."""
    text = _on_one_line(str(value)).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return Ready(f"{fence}{pad}{text}{pad}{fence}")


def link(address: str) -> Ready:
    """Return a web address as a Markdown link; as code if it is not http(s) or has a character that ends a link."""
    return Ready(f"<{address}>") if _ADDRESS.fullmatch(address) else code(address)


def pages(escape: Callable[[object], str] = markdown) -> Environment:
    """Return the template environment: printed values are escaped, and an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("flows.card"),
        finalize=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["code"] = code
    environment.filters["link"] = link
    environment.filters["day"] = lambda value: value.isoformat() if isinstance(value, date) else value
    environment.filters["size"] = size
    return environment


def size(n_bytes: int) -> str:
    """Return a number of bytes in the unit that gives at most three digits before the point."""
    figure = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if figure < 1000:
            return f"{figure:.0f} {unit}" if unit == "bytes" else f"{figure:.1f} {unit}"
        figure /= 1000
    return f"{figure:.1f} TB"


def _on_one_line(text: str) -> str:
    return " ".join(printable(text).split())
