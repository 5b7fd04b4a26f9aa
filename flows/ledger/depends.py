"""The dependencies of a stage's rows: settings that switch it off, its tools, the columns of its inputs.

Not for fingerprints themselves: that is the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from flows.ledger.receipt import read_receipt
from flows.ledger.store import Store
from flows.settings import Settings
from schemas.fields import FIELD
from stages.contract import Dependency, Reads, Stage, Tool


def why_off(stage: Stage, settings: Settings, writer: Mapping[str, Stage]) -> str:
    """Return why a stage is off: a setting, or that all stages that name its partitions are off; "" if it is on.

    Args:
        stage: the stage.
        settings: of the build.
        writer: the stage that writes each table.
    """
    if reason := stage.off(settings.params(stage)):
        return reason
    sources = [writer[table] for table in stage.partitions_from]
    reasons = [why_off(source, settings, writer) for source in sources]
    return reasons[0] if reasons and all(reasons) else ""


def tool_identities(
    stage: Stage, settings: Settings, store: Store, corpora: Collection[str] = ()
) -> dict[str, Mapping[str, str]]:
    """Return the identities of a stage's tools and dependencies, by name; their results depend on these.

    Args:
        stage: the stage.
        settings: of the build.
        store: of the build.
        corpora: codes of the corpora that the build has.
    """
    params = settings.params(stage)
    used: tuple[Tool | Dependency, ...] = (*stage.tools, *stage.depends)
    known = {one.name: dict(one.identity(params)) for one in used}
    for one in stage.depends:
        if one.is_by_corpus:
            known[one.name] = {code: value for code, value in known[one.name].items() if code in corpora}
    for tool in stage.tools:
        found = tool.found(params, settings.resources(stage))
        if found is None:  # the user's weights are on another disk now: rows made with them stay current
            found = _recorded(store, stage, tool, known[tool.name])
        known[tool.name] |= found
    return dict(known)


def _recorded(store: Store, stage: Stage, tool: Tool, identity: Mapping[str, str]) -> Mapping[str, str]:
    """Return the facts on a tool in the newest receipt with the same identity; empty if there is no such receipt."""
    receipts = [folder / "receipt.json" for folder in store.folders([stage.writes.name])]
    for path in sorted((p for p in receipts if p.exists()), key=lambda p: -p.stat().st_mtime_ns):
        body = read_receipt(path)
        facts = body.get("tools", {}).get(tool.name, {}) if isinstance(body, dict) else {}
        if all(facts.get(name) == value for name, value in identity.items()):
            return facts if isinstance(facts, dict) else {}
    return {}


def counted(stage: Stage, reads: Reads) -> Reads:
    """Return an input with the columns that the stage's rows depend on.

    The place of bytes changes no row, but a stage that copies a location into its own rows must follow when they move.
    """
    copied = stage.writes.schema.names
    kinds = {"value": True, "measured": False}
    columns = tuple(c for c in reads.columns if kinds.get(FIELD[c].kind, c in copied))
    return replace(reads, columns=columns)
