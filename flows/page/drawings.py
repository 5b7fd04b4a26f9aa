"""Draw bars, histograms, heat maps and maps as SVG with the page's colours.

Every text is escaped: captions and names come from the web.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

_WIDTH = 640
_ROW = 20
_LABELS = 190
_COUNTS = 90
_CELL = 34
_STRAIGHT = 6  # letters of a name that is printed above a column of a heat map without a slant
_PLOT = 180
_LARGE, _SMALL = 1000, 0.0001  # between them, three digits need no exponent
LAND_DEGREES = 2
ENDLESS = 1e6  # upper edge of a last bin without an upper limit


def count(value: float, is_padded: bool = False) -> str:
    """Return a number as printed text: whole and large ones with separators, others with three digits; no exponent.

    Args:
        value: the number.
        is_padded: print zeros at the end too, as in a column of a table.
    """
    if value == int(value) or abs(value) >= _LARGE:
        return f"{value:,.0f}"
    if is_padded and abs(value) >= _SMALL:
        return f"{value:#.3g}".removesuffix(".")
    return f"{value:.3g}" if abs(value) >= _SMALL else f"{'<' if value > 0 else '>-'}{_SMALL:.4f}"


def bars(
    rows: Sequence[tuple[str, float, float | None]], title: str, *, is_log: bool = False, unit: str = "", thin: str = ""
) -> Markup:
    """Draw one horizontal bar per row, and below it a thin one for a second figure; return "" for no rows.

    Args:
        rows: label, the figure, and the second figure or None.
        title: title for screen readers.
        is_log: whether lengths are logarithmic; a figure of 0 has no bar.
        unit: printed after each figure.
        thin: name of the second figures.
    """
    if not rows:
        return Markup("")
    top = max([1.0, *(max(ours, other or 0) for _, ours, other in rows)])
    length = _WIDTH - _LABELS - _COUNTS

    def scaled(value: float) -> float:
        if value <= 0:
            return 0.0
        return length * (math.log10(1 + value) / math.log10(1 + top) if is_log else value / top)

    parts, y = [], 0
    for label, ours, other in rows:
        parts.append(_text(_LABELS - 8, y + 14, _cut(label, 28), "end"))
        parts.append(_rect(_LABELS, y + 4, scaled(ours), 10, "bar", f"{label}: {count(ours)}{unit}"))
        if other is not None:
            parts.append(_rect(_LABELS, y + 15, scaled(other), 3, "other", f"{label}, {thin}: {count(other)}{unit}"))
        parts.append(_text(_LABELS + scaled(ours) + 6, y + 14, count(ours) + unit))
        y += _ROW
    return _svg(parts, _WIDTH, y + 4, title)


def flow(steps: Sequence[tuple[str, float, float, str]], title: str) -> Markup:
    """Draw a funnel from top to bottom, as wide as the samples that are left at each step.

    Args:
        steps: label, samples left, samples lost since the step before, and why.
        title: title for screen readers; the figures are in the description.
    """
    largest = max([1.0, *(left for _, left, _, _ in steps)])
    middle, widest, thick, pace = 110.0, 200.0, 22.0, 64.0
    parts = [_text(0, 14, title)]
    before = 0.0
    for n, (label, left, lost, why) in enumerate(steps):
        half, y = widest * left / largest / 2, 24 + n * pace
        if n:
            top, bend = y - pace + thick, (pace - thick) / 2
            parts.append(
                f'<path class="ribbon" d="M{middle - before:.1f} {top:.1f}c0 {bend:.1f} {before - half:.1f} {bend:.1f}'
                f" {before - half:.1f} {2 * bend:.1f}h{2 * half:.1f}c0 {-bend:.1f} {before - half:.1f} {-bend:.1f}"
                f' {before - half:.1f} {-2 * bend:.1f}z"/>'
            )
            share = f" ({100 * lost / (left + lost):.1f} %)" if left + lost else ""
            parts.append(_text(230, y - 16, f"− {count(lost)} {why}{share}", "start", "soft"))
        what = f"{label}: {count(left)}"
        parts.append(_rect(middle - half, y, max(1.0, 2 * half), thick, "bar", what))
        parts.append(_text(230, y + 16, f"{count(left)} {label}"))
        before = half
    described = "; ".join(
        f"{label} {count(left)}" + (f", {count(lost)} {why}" if why else "") for label, left, lost, why in steps
    )
    return _svg(parts, 480, 28 + pace * (len(steps) - 1) + thick, title, described)


def histogram(
    heights: Mapping[str, Sequence[float]], edges: Sequence[float], title: str, marks: Mapping[str, float] | None = None
) -> Markup:
    """Draw counts per bin, one series above the other, each with its own scale.

    Args:
        heights: by series, one count per bin.
        edges: ascending edges, one more than bins.
        title: title for screen readers.
        marks: positions of vertical lines, such as thresholds, by label.
    """
    parts, y = [], 0
    width = _WIDTH - 60
    for name, values in heights.items():
        top, total = max([1.0, *values]), sum(values)
        parts.append(_text(40, y + 14, f"{name}: n = {count(total)}, highest bar {count(top)}"))
        base = y + 20 + _PLOT // 2
        step = width / max(1, len(values))
        for n, value in enumerate(values):
            high = (_PLOT // 2) * value / top
            what = f"{edges[n]:.4g} to {edges[n + 1]:.4g}: {count(value)}"
            parts.append(_rect(40 + n * step, base - high, max(0.5, step - 1), high, "bar", what))
        for label, place in (marks or {}).items():
            if edges[0] <= place <= edges[-1]:
                x = 40 + width * _share(place, edges)
                parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 18}" y2="{base}"/>')
                parts.append(_text(min(x + 4, _WIDTH - 150), y + 30, f"{label} {place:.3g}"))
        parts.append(f'<line class="axis" x1="40" x2="{40 + width}" y1="{base}" y2="{base}"/>')
        for n in range(0, len(edges), max(1, (len(edges) - 1) // 8)):
            parts.append(
                _text(
                    40 + width * n / (len(edges) - 1),
                    base + 16,
                    "more" if edges[n] >= ENDLESS else count(edges[n]),
                    "middle",
                )
            )
        y = base + 30
    return _svg(parts, _WIDTH, y, title)


def heat_map(cells: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], title: str) -> Markup:
    """Draw a matrix with its figures; darker cells are larger."""
    top = max([1.0, *(value for row in cells for value in row)])
    left, above = 110, 22
    parts = []
    is_narrow = any(len(name) > _STRAIGHT for name in columns)
    if is_narrow:  # names that are wider than a column are slanted
        above = 74
    for n, name in enumerate(columns):
        x = left + (n + 0.5) * _CELL * 1.5
        parts.append(_slanted(x, above - 8, _cut(name, 14)) if is_narrow else _text(x, 14, name, "middle"))
    for i, (name, row) in enumerate(zip(rows, cells, strict=True)):
        y = above + i * _CELL
        parts.append(_text(left - 8, y + 21, _cut(name, 14), "end"))
        for n, value in enumerate(row):
            x = left + n * _CELL * 1.5
            what = f"{name}, {columns[n]}: {count(value)}"
            shade = 0.06 + 0.6 * value / top if value else 0.0
            parts.append(
                f'<rect class="cell" x="{x:.1f}" y="{y}" width="{_CELL * 1.5 - 1:.1f}" height="{_CELL - 1}"'
                f' style="fill-opacity:{shade:.2f}"><title>{escape(what)}</title></rect>'
            )
            parts.append(_text(x + _CELL * 0.75, y + 21, count(value) if value else "", "middle"))
    right = 60 if is_narrow else 0
    return _svg(parts, max(_WIDTH, int(left + len(columns) * _CELL * 1.5 + right)), above + len(rows) * _CELL, title)


def world_map(
    cells: Mapping[tuple[int, int], float], degrees: int, title: str, land: Iterable[tuple[int, int]] = ()
) -> Markup:
    """Draw counts per cell of latitude and longitude, by logarithm, on a plate carrée grid of 30 degrees.

    Args:
        cells: count by (row, column); row 0 begins at 90 degrees south, column 0 at 180 degrees west.
        degrees: side of a cell in degrees.
        title: title for screen readers.
        land: cells of `LAND_DEGREES` that are drawn in grey behind the counts, by (row, column) as `cells`.
    """
    scale = _WIDTH / 360
    top = math.log10(1 + max([1.0, *cells.values()]))
    parts = [f'<rect class="frame" x="0" y="0" width="{_WIDTH}" height="{180 * scale:.0f}"/>']
    side = LAND_DEGREES * scale
    drawn = "".join(f"M{column * side:.1f} {180 * scale - (row + 1) * side:.1f}h{side:.1f}v{side:.1f}h-{side:.1f}z"
                    for row, column in land)  # fmt: skip
    if drawn:
        parts.append(f'<path class="land" d="{drawn}"/>')
    for n in range(1, 12):
        x, y = n * 30 * scale, n * 30 * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{180 * scale:.0f}"/>')
        if n < 6:
            parts.append(f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for (row, column), value in sorted(cells.items()):
        south, west = -90 + row * degrees, -180 + column * degrees
        shade = 0.25 + 0.75 * math.log10(1 + value) / top
        what = f"{south} to {south + degrees} degrees north, {west} to {west + degrees} east: {count(value)}"
        parts.append(
            f'<rect class="cell" x="{(west + 180) * scale:.1f}" y="{(90 - south - degrees) * scale:.1f}"'
            f' width="{degrees * scale:.1f}" height="{degrees * scale:.1f}" style="fill-opacity:{shade:.2f}">'
            f"<title>{what}</title></rect>"
        )
    for x, name in ((0, "180° W"), (_WIDTH / 2, "0°"), (_WIDTH - 44, "180° E")):
        parts.append(_text(x + 3, 180 * scale + 14, name))
    return _svg(parts, _WIDTH, int(180 * scale) + 20, title)


def _share(place: float, edges: Sequence[float]) -> float:
    """Return a value's position in [0, 1] along the bins, which are equally wide on the page."""
    for n in range(len(edges) - 1):
        if place <= edges[n + 1]:
            return (n + (place - edges[n]) / (edges[n + 1] - edges[n])) / (len(edges) - 1)
    return 1.0


def _svg(parts: Sequence[str], width: int, height: float, title: str, description: str = "") -> Markup:
    inner = "".join(parts)
    if description:
        inner = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{inner}"
        title = f"{title}: {description}"
    return Markup(  # every text in it is escaped above
        f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(title)}">{inner}</svg>'
    )


def _rect(x: float, y: float, width: float, height: float, kind: str, what: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{escape(what)}</title></rect>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    drawn = f' class="{kind}"' if kind else ""
    return f'<text{drawn} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _slanted(x: float, y: float, text: str) -> str:
    return f'<text transform="translate({x:.1f} {y:.1f}) rotate(-40)">{escape(text)}</text>'


def _cut(text: str | None, n_characters: int) -> str:
    text = "unknown" if text is None else text
    return text if len(text) <= n_characters else text[: n_characters - 1] + "…"
