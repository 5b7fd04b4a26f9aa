"""Put foreign text into Markdown and LaTeX without it becoming markup.

Corpus titles, licences and paths come from manifests and source files: every value that a template prints is escaped.
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
    """Text that is Markdown or LaTeX already: made by this package, never foreign."""


def markdown(value: object) -> str:
    """Return a value as Markdown text on one line; figures have thousands separators."""
    if isinstance(value, Ready):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = _on_one_line("" if value is None else str(value))
    return _MARKDOWN.sub(r"\\\1", "".join(_HTML.get(c, c) for c in text))


def latex(value: object) -> str:
    """Return a value as LaTeX text; figures have thousands separators that do not end a number in math mode."""
    if isinstance(value, Ready):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", "{,}")
    text = _on_one_line("" if value is None else str(value))
    return "".join(_LATEX.get(c, c) for c in text)


def code(value: object) -> Ready:
    """Return a value as Markdown code, in as many backticks as it needs."""
    text = _on_one_line(str(value)).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return Ready(f"{fence}{pad}{text}{pad}{fence}")


def link(address: str) -> Ready:
    """Return an address as a Markdown link; one that is not of the web, or has a character that ends it, as code."""
    return Ready(f"<{address}>") if _ADDRESS.fullmatch(address) else code(address)


def pages(escape: Callable[[object], str] = markdown) -> Environment:
    """Return the templates; what an expression prints is escaped, and an unknown name is an error."""
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
    """Return a number of bytes in the unit in which it has up to three digits before the point."""
    figure = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if figure < 1000:
            return f"{figure:.0f} {unit}" if unit == "bytes" else f"{figure:.1f} {unit}"
        figure /= 1000
    return f"{figure:.1f} TB"


def _on_one_line(text: str) -> str:
    return " ".join(printable(text).split())
