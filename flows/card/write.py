"""Add the card to a dataset folder, with build.json, Croissant, citation, licences and LaTeX tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.ask.dataset_folder import DatasetFolder, File
from flows.ask.report import Report
from flows.card.about import about
from flows.card.citation import bibtex, citation
from flows.card.contents import Contents, read_contents
from flows.card.croissant import croissant
from flows.card.escape import Ready, pages
from flows.card.facts import build_facts, last_day
from flows.card.files import CARD, FACTS, LATEX, find_tars
from flows.card.front_matter import front_matter
from flows.card.identity import build_id
from flows.card.rights import FurtherTexts, Rights, read_further_texts, read_rights
from flows.card.tex import latex_table
from flows.ledger.ledger import Ledger
from flows.rate.results import read_results, title_of
from schemas.manifest_files import MANIFESTS


def add_card(ledger: Ledger, folder: DatasetFolder, tables: Mapping[str, Report]) -> None:
    """Add build.json and, for a finished build, the card, croissant.json, CITATION.cff, LICENSES.md and LaTeX tables.

    Args:
        ledger: the build.
        folder: the dataset folder, with its tars and metafiles.
        tables: the statistics by name, with published figures below the build's own.
    """
    identity = build_id(ledger)
    contents = read_contents(ledger) if identity else None
    facts = build_facts(ledger, contents)
    folder.write(FACTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    for name, caption in LATEX.items():
        if name in tables:
            folder.write(f"tables/{name}.tex", latex_table(tables[name], caption, f"tab:{name}"))
    if contents is None:
        return
    files, rights = folder.files(), read_rights(ledger, contents)
    dataset, day = ledger.settings.dataset, last_day(ledger)
    schema = ledger.writer["metafile"].writes.schema
    bib = bibtex(dataset, identity, day)
    matter, further = front_matter(dataset, contents, files, schema), read_further_texts(ledger)
    folder.write(CARD, matter + render_card(ledger, facts, contents, rights, further, files, tables, bib))
    folder.write("LICENSES.md", _licences(ledger, identity, rights, further))
    folder.write("CITATION.cff", citation(dataset, identity, day))
    said = about(ledger, facts, contents, rights, day, bib)
    folder.write("croissant.json", croissant(said, files, schema))
    for sidecar in ("metafiles/BUILD_ID", "index.BUILD_ID"):
        folder.write(sidecar, f"{identity}\n")


def render_card(
    ledger: Ledger,
    facts: Mapping[str, Any],
    contents: Contents,
    rights: Sequence[Rights],
    further: Sequence[FurtherTexts],
    files: Sequence[File],
    tables: Mapping[str, Report],
    bib: str,
) -> str:
    """Return the Markdown of the card, without its YAML block."""
    shown = {name: Ready(tables[name].markdown()) for name in LATEX if name in tables}
    captioner = next((found.captioner for found in rights if found.captioner is not None), None)
    return pages().get_template("README.md.j2").render(
        dataset=ledger.settings.dataset,
        facts=facts,
        contents=contents,
        n_bytes=sum(group.n_bytes for group in contents.groups),
        by_half=contents.count("half"),
        by_split=contents.count("split"),
        tars=find_tars(files),
        settings=facts["settings"],
        all_rights=rights,
        further=further,
        captioner=captioner.name if captioner is not None else "not pinned",
        switched_off=_switched_off(facts["settings"]),
        funnel=shown.get("pub11_funnel", Ready("The funnel was not counted.")),
        rs3=shown.get("rs3", Ready("")),
        quality=model_quality([model["name"] for model in facts["models"]]),
        ratings=_ratings(ledger),
        n_evaluation=_n_evaluation(ledger),
        bibtex=Ready(bib),
    )  # fmt: skip


def _ratings(ledger: Ledger) -> list[Ready]:
    """Return the tables of people's ratings of this build, as Markdown under their titles."""
    found = read_results(ledger.store.root)
    texts = {name.removesuffix(".md"): text for name, text in found.items() if name.endswith(".md")}
    return [Ready(f"{title_of(name)}:\n\n" + text.strip().replace("<", "&lt;")) for name, text in texts.items()]


def _n_evaluation(ledger: Ledger) -> int:
    """Return the number of evaluation images with which the samples were compared."""
    return sum(receipt.n_kept for receipt in ledger.state(ledger.writer["evaluation_image"]).receipts)


def _licences(ledger: Ledger, identity: str, rights: Sequence[Rights], further: Sequence[FurtherTexts]) -> str:
    template, title = pages().get_template("LICENSES.md.j2"), ledger.settings.dataset.title
    params: Any = ledger.settings.params(ledger.writer["shard_plan"])
    return template.render(build_id=identity, title=title, all_rights=rights, further=further, profile=params.rights)


def _switched_off(settings: Mapping[str, Any]) -> list[str]:
    """Return sentences on the steps that the settings switched off."""
    found = []
    if not settings["download"]["ask_robots"]:
        found.append("The servers' robots.txt files were not requested.")
    if not settings["download"]["heed_opt_outs"]:
        found.append("AI opt-outs in the servers' answers were ignored.")
    pilot = settings["inventory"].get("pilot", 1)
    if pilot != 1:
        found.append(f"A pilot: a share of {pilot} of the sources was processed.")
    for section, name, what in (("outliers", "detector", "the detector"), ("embed", "model", "the image-text model")):
        if settings[section].get(name) == "none":
            found.append(f"Outliers were removed without {what}.")
    return found


def model_quality(names: Sequence[str], path: Path = MANIFESTS / "models" / "QUALITY.md") -> list[tuple[str, Ready]]:
    """Return the measured quality of the models that are part of this repository, as Markdown."""
    sections = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    return [(name, Ready(found[name].strip())) for name in names if name in found]
