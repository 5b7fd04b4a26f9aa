"""The tables of the README that code knows: stages, tables and reject reasons. `make docs` writes them.

`python -m flows.readme --check` fails where the README says something else than the code.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from schemas.reasons import REASONS
from stages import STAGES
from stages.contract import Stage

README = Path(__file__).parent.parent / "README.md"
_BLOCK = r"(<!-- generated: {name} -->\n).*?(<!-- end -->)"


def stage_table() -> str:
    """Return the pipeline as a Markdown table."""
    lines = ["| make target | stage | what it does | partitions | writes |", "|---|---|---|---|---|"]
    for stage in STAGES:
        lines.append(
            f"| `stage-{stage.module}` | {stage.name} | {stage.does} | {_partitions(stage)} | `{stage.writes.name}` |"
        )
    return "\n".join(lines) + "\n"


def reason_table() -> str:
    """Return the reject reasons as a Markdown table."""
    users = {r.code: ", ".join(s.name for s in STAGES if r.code in s.reasons) for r in REASONS}
    lines = ["| reason | stage | meaning | |", "|---|---|---|---|"]
    for reason in REASONS:
        kind = "counted" if reason.is_counted_only else "transient" if reason.is_transient else "final"
        lines.append(f"| `{reason.code}` | {users[reason.code]} | {reason.meaning} | {kind} |")
    return "\n".join(lines) + "\n"


def render(text: str) -> str:
    """Return a README with its generated tables as the code has them now.

    Raises:
        ValueError: when the markers of a table are missing.
    """
    for name, table in (("stages", stage_table()), ("reasons", reason_table())):
        pattern = re.compile(_BLOCK.format(name=name), re.DOTALL)
        found = pattern.findall(text)
        if len(found) != 1:
            raise ValueError(
                f"README.md should have one block `<!-- generated: {name} --> … <!-- end -->`, found {len(found)}"
            )
        start, end = found[0]
        text = text[: text.index(start)] + start + table + text[text.index(end, text.index(start)) :]
    return text


def _partitions(stage: Stage) -> str:
    if stage.keeps == "all":
        return "one per pass"
    if stage.keeps == "latest":
        return "one per look"
    return f"as `{stage.partitions_from[0]}`" if stage.partitions_from else "whole"


def main() -> int:
    """Write the tables, or with --check say whether they are current."""
    text = README.read_text(encoding="utf-8")
    new = render(text)
    if "--check" in sys.argv[1:]:
        if new != text:
            print("README.md is not what the code says: run `make docs`")
        return int(new != text)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
