"""build.json: settings, code, models and contents of a build."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from flows.card.code import code_version, package_versions
from flows.card.contents import Contents
from flows.card.identity import build_id, unfinished
from flows.ledger.ledger import Ledger
from schemas.corpora import load_corpora
from schemas.model_manifests import load_models
from stages.contract import Stage
from stages.identity import digest_json

FORMAT = 1  # raised when the meaning of a key changes
WITHHELD = ("contact",)  # identifies the person, only for the requested servers


def build_facts(ledger: Ledger, contents: Contents | None) -> dict[str, Any]:
    """Return the content of build.json.

    Args:
        ledger: the build.
        contents: counts of its published content; None while it is unfinished.
    """
    identity = build_id(ledger)
    return {
        "format": FORMAT,
        "build_id": identity or None,
        "is_finished": bool(identity),
        "unfinished_stages": unfinished(ledger),
        "profile": Path(ledger.settings.profile).stem,
        "settings": settings_in_full(ledger),
        "code": code_version(),
        "packages": package_versions(),
        "models": models_used(ledger),
        "downloads": download_days(ledger),
        "stages": [_stage_facts(ledger, stage) for stage in ledger.stages],
        "counts": _counts(contents) if contents is not None else None,
    }


def settings_in_full(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Return all settings by section, without the contact and folder paths."""
    sections: dict[str, dict[str, Any]] = {
        "run": _plain(ledger.settings.run),
        "dataset": _plain(ledger.settings.dataset),
    }
    for stage in ledger.stages:
        section = sections.setdefault(stage.settings_section, {})
        section |= _plain(ledger.settings.params(stage)) | _plain(ledger.settings.resources(stage))
    return sections


def models_used(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the models that the build used: name, revision, digests, licence, and their stages."""
    pinned, found = load_models(), dict[str, dict[str, Any]]()
    for stage in ledger.stages:
        if ledger.why_off(stage) or not ledger.state(stage).receipts:
            continue  # it is off, or has nothing to do, such as caption without labelled images
        for tool in ledger.tool_identities(stage).values():
            name = tool.get("name", "")
            if not tool.get("repository"):
                continue
            model = found.setdefault(name, {**tool, "used_by": []})
            model["used_by"].append(stage.name)
            if name in pinned:
                model |= {"licence": pinned[name].licence, "weights_note": pinned[name].weights_note}
    return list(found.values())


def download_days(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the first and last day (UTC) of each download pass, from the receipts of its attempts."""
    days: dict[str, list[date]] = {}
    for receipt in ledger.state(ledger.writer["fetch_attempt"]).receipts:
        run = receipt.body["run"]
        days.setdefault(receipt.partition.partition("-")[0], []).extend(
            _day(run[name]) for name in ("started", "finished")
        )
    return [
        {"pass": int(number), "first_day": min(found).isoformat(), "last_day": max(found).isoformat()}
        for number, found in sorted(days.items())
    ]


def last_day(ledger: Ledger) -> str:
    """Return the day (UTC) on which a build's last table was made; publishing again does not change it."""
    receipts = (receipt for stage in ledger.stages for receipt in ledger.state(stage).receipts)
    return max(_day(receipt.body["run"]["finished"]) for receipt in receipts).isoformat()


def card_digest(ledger: Ledger) -> str:
    """Return the digest of the card's content that is in no receipt: settings, rights, licences of models."""
    used = ledger.corpora()
    rights = {code: corpus.model_dump(mode="json") for code, corpus in load_corpora().items() if code in used}
    return digest_json([ledger.settings.profile, settings_in_full(ledger), models_used(ledger), rights])


def _stage_facts(ledger: Ledger, stage: Stage) -> dict[str, Any]:
    receipts = ledger.state(stage).receipts
    reasons: dict[str, int] = {}
    for receipt in receipts:
        for reason, n in receipt.rejected.items():
            reasons[reason] = reasons.get(reason, 0) + n
    return {
        "name": stage.name,
        "module": stage.module,
        "version": stage.version,
        "table": stage.writes.name,
        "n_partitions": len(receipts),
        "n_kept": sum(receipt.n_kept for receipt in receipts),
        "n_rejected": dict(sorted(reasons.items())),
        "tools": {} if ledger.why_off(stage) else ledger.tool_identities(stage),
    }


def _counts(contents: Contents) -> dict[str, Any]:
    return {
        "n_samples": contents.n_samples,
        "n_image_bytes": sum(group.n_bytes for group in contents.groups),
        "by_half": contents.count("half"),
        "by_split": contents.count("split"),
        "by_corpus": contents.count("corpus"),
        "source_files": {code: {"n": n, "size_bytes": size} for code, (n, size) in contents.sources.items()},
    }


def _plain(model: BaseModel) -> dict[str, Any]:
    return dict(_shown(model.model_dump(mode="json")))


def _shown(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name in WITHHELD and value:
            yield name, "withheld: stated to the servers that were asked"
        elif isinstance(value, list) and any(isinstance(one, str) and Path(one).is_absolute() for one in value):
            yield name, [f"withheld: …/{Path(one).name}" for one in value]
        elif isinstance(value, str) and Path(value).is_absolute():
            yield name, f"withheld: a folder of the machine, …/{Path(value).name}"
        else:
            yield name, value


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()
