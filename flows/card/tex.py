"""Tables of a build as LaTeX, for the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from flows.ask.report import Report
from flows.card.escape import latex


def latex_table(report: Report, caption: str, label: str) -> str:
    r"""Return a table environment: `\usepackage{booktabs}` is all that it needs.

    A row with an empty first cell belongs to the row above; a rule separates the row "Total".
    """
    is_figure = [any(isinstance(row.get(name), int | float) for row in report.rows) for name in report.columns]
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex(caption)}}}",
        rf"  \label{{{label}}}",
        r"  \small",
        rf"  \begin{{tabular}}{{{''.join('r' if figure else 'l' for figure in is_figure)}}}",
        r"    \toprule",
        _line([name.replace("_", " ") for name in report.columns]),
        r"    \midrule",
    ]
    for row in report.rows:
        if row.get(report.columns[0]) == "Total":
            lines.append(r"    \midrule")
        lines.append(_line([row.get(name) for name in report.columns]))
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    return "    " + " & ".join(latex(cell) for cell in cells) + r" \\"
