"""The tables of docs/ that the code knows: stages, reasons, settings, columns. `make docs` writes them.

`python -m flows.readme --check` fails if a page differs from the code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from flows.ask.dictionary import ASSUMPTION
from flows.settings import DatasetSettings, RunSettings, toml_value
from schemas.reasons import REASONS
from stages import STAGES
from stages.contract import Stage

ROOT = Path(__file__).parent.parent
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
    lines = ["| reason | stage | meaning | kind |", "|---|---|---|---|"]
    for reason in REASONS:
        kind = "counted" if reason.is_counted_only else "transient" if reason.is_transient else "final"
        lines.append(f"| `{reason.code}` | {users[reason.code]} | {reason.meaning} | {kind} |")
    return "\n".join(lines) + "\n"


def setting_table() -> str:
    """Return every setting with its default, and whether it changes rows."""
    rows: dict[str, str] = {}
    for section, model, changes in _sections():
        for name, info in model.model_fields.items():
            default = _cell(toml_value(info.get_default(call_default_factory=True)))
            key = f"{section}.{name}"
            rows.setdefault(key, f"| `{key}` | `{default}` | {_cell(info.description or '')} | {changes} |")
    return "\n".join(["| setting | default | meaning | changes rows |", "|---|---|---|---|", *rows.values()]) + "\n"


def assumption_table() -> str:
    """Return the settings whose published value is unknown, with the reason for the value taken."""
    rows: dict[str, str] = {}
    for section, model, _ in _sections():
        for name, info in model.model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and ASSUMPTION in extra:
                rows[name] = (
                    f"| `{section}.{name}` | `{_cell(toml_value(info.default))}` | {_cell(str(extra[ASSUMPTION]))} |"
                )
    return "\n".join(["| setting | value | why |", "|---|---|---|", *rows.values()]) + "\n"


def column_tables() -> str:
    """Return the data dictionary: one Markdown table per table, columns in their order."""
    lines: list[str] = []
    for stage in STAGES:
        table = stage.writes
        lines += [f"### {table.name}", "", f"{table.meaning} Written by `{stage.name}`.", ""]
        if table.reject_columns:
            names = ", ".join(f"`{name}`" for name in table.reject_columns)
            lines += [f"Its reject rows also have {names}.", ""]
        lines += ["| column | type | unit | may be null | meaning |", "|---|---|---|---|---|"]
        for field in table.fields:
            name = f"**{field.name}**" if field.name in table.key else field.name
            null = "yes" if table.schema.field(field.name).nullable else ""
            lines.append(f"| {name} | {_cell(str(field.type))} | {field.unit} | {null} | {_cell(field.meaning)} |")
        lines.append("")
    return "\n".join(lines)


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/stages.md": {"stages": stage_table},
    "docs/reasons.md": {"reasons": reason_table},
    "docs/settings.md": {"settings": setting_table, "assumptions": assumption_table},
    "docs/tables.md": {"columns": column_tables},
}


def render(text: str, blocks: Mapping[str, Callable[[], str]], page: str) -> str:
    """Return a page with its generated blocks as the code has them now.

    Raises:
        ValueError: the markers of a block are missing or repeated.
    """
    for name, table in blocks.items():
        pattern = re.compile(_BLOCK.format(name=name), re.DOTALL)
        n_found = len(pattern.findall(text))
        if n_found != 1:
            raise ValueError(
                f"{page} should have one block `<!-- generated: {name} --> … <!-- end -->`, found {n_found}"
            )
        content = table()
        text = pattern.sub(lambda found, content=content: found[1] + content + found[2], text)  # type: ignore[misc]
    return text


def _sections() -> Iterator[tuple[str, type[BaseModel], str]]:
    yield "run", RunSettings, "no"
    yield "dataset", DatasetSettings, "no"
    for stage in STAGES:
        yield stage.settings_section, stage.params, "yes"
        yield stage.settings_section, stage.resources, "no"


def _partitions(stage: Stage) -> str:
    if stage.keeps == "all":
        return "one per pass"
    if stage.keeps == "latest":
        return "one per listing"
    return f"as `{stage.partitions_from[0]}`" if stage.partitions_from else "whole"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def main() -> int:
    """Write the pages, or with --check report those that are not current."""
    n_stale = 0
    for page, blocks in PAGES.items():
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        new = render(text, blocks, page)
        if new == text:
            continue
        if "--check" in sys.argv[1:]:
            print(f"{page} differs from the code: run `make docs`")
            n_stale += 1
        else:
            path.write_text(new, encoding="utf-8")
    return int(n_stale > 0)


if __name__ == "__main__":
    sys.exit(main())
