"""Properties of the whole dataset in croissant.json, in the vocabularies schema.org, Croissant and RAI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flows.card.citation import UNNAMED
from flows.card.code import DISTRIBUTION
from flows.card.contents import Contents
from flows.card.rights import Rights
from flows.ledger.ledger import Ledger
from stages.plurals import counted


def about(
    ledger: Ledger, facts: Mapping[str, Any], contents: Contents, rights: Sequence[Rights], day: str, bib: str
) -> dict[str, Any]:
    """Return the properties of the dataset without the unknown ones (address, DOI).

    Args:
        ledger: the build.
        facts: content of build.json.
        contents: counts of the published samples.
        rights: rights of each corpus.
        day: day on which the last table was made, ISO 8601.
        bib: citation of the dataset in BibTeX.
    """
    dataset, identity = ledger.settings.dataset, facts["build_id"]
    known = {"url": dataset.url, "identifier": f"https://doi.org/{dataset.doi}" if dataset.doi else ""}
    return {
        "name": dataset.title,
        "description": (
            f"{contents.n_samples:,} image-text pairs of remote sensing, rebuilt from the source corpora of RS5M."
            f" Build {identity}. {_unknown(known)}"
        ),
        "license": _licences(rights),
        **{name: value for name, value in known.items() if value},
        "creator": [{"@type": "sc:Organization", "name": name} for name in dataset.creators or (UNNAMED,)],
        "datePublished": day,
        "version": f"{facts['code']['version']}+{identity[:12]}",
        "citeAs": bib,
        "inLanguage": ["en"],
        "keywords": ["remote sensing", "image-text pairs", "RS5M", "vision-language"],
        **_responsible_use(facts, contents, rights),
    }


def _unknown(known: Mapping[str, str]) -> str:
    names = {"url": "address", "identifier": "DOI"}
    missing = [names[name] for name, value in known.items() if not value]
    return f"It has no {' and no '.join(missing)} yet." if missing else ""


def _licences(rights: Sequence[Rights]) -> list[str]:
    """Return the licences of the annotations; those of the images are in LICENSES.md and in the metafiles."""
    return ["LICENSES.md", *dict.fromkeys(found.corpus.annotation_licence for found in rights)]


def tier_bias(settings: Mapping[str, Any]) -> list[str]:
    """Return a sentence on the pairs that are missing if only the best matches are published; none otherwise."""
    share = settings["shard"]["caption_top_share"]
    if share == 1:
        return []
    return [
        f"Pairs that match less by {settings['embed']['model']} are missing: only the top {100 * share:g} % are in it."
    ]


def _responsible_use(facts: Mapping[str, Any], contents: Contents, rights: Sequence[Rights]) -> dict[str, Any]:
    """Return the properties of the RAI vocabulary."""
    halves = contents.count("half")
    titles = ", ".join(found.corpus.title for found in rights)
    models = [
        f"{model['name']} (revision {model['revision']}): {', '.join(model['used_by'])}" for model in facts["models"]
    ]
    days = [day for found in facts["downloads"] for day in (found["first_day"], found["last_day"])]
    return {
        "rai:dataCollection": f"Samples of {titles}, selected by keywords and models, images fetched from their URLs.",
        "rai:dataCollectionType": ["Web Scraping", "Secondary Data Analysis"],
        **({"rai:dataCollectionTimeframe": [min(days), max(days)]} if days else {}),
        "rai:dataCollectionMissingData": "Images that were gone, refused or unreadable are missing: tables/stage_*.csv"
        " counts them by reason. Positions and times are null where no source states one.",
        "rai:dataCollectionRawData": "; ".join(
            f"{code}: {counted(n, 'file')}, {size:,} bytes" for code, (n, size) in contents.sources.items()
        ),
        "rai:dataPreprocessingProtocol": [f"{stage['name']}, version {stage['version']}" for stage in facts["stages"]],
        "rai:dataManipulationProtocol": "Metadata was removed from image files without encoding them again; TIFF alone"
        " is encoded again.",
        "rai:dataAnnotationProtocol": [
            f"{halves.get('pub11', 0):,} web captions as their authors wrote them, after filters.",
            f"{halves.get('rs3', 0):,} captions of labelled images drawn by a model, ranked, and chosen by rotation.",
        ],
        "rai:machineAnnotationTools": models or ["none"],
        "rai:annotationsPerItem": "1",
        "rai:dataBiases": [
            "English captions alone.",
            "Countries, months and corpora are unevenly represented: tables/country_count.csv, tables/month_count.csv.",
            "Images that the models of the outlier filter do not take for remote sensing are missing.",
            *tier_bias(facts["settings"]),
        ],
        "rai:dataUseCases": ["Research on vision-language models for remote sensing: training, retrieval, captioning."],
        "rai:dataLimitations": [
            "README.md has the measurements, and states whether people judged samples.",
            "Generated captions can name things that are not in the image.",
            "Test sets of benchmarks may be among the images: README.md says which check was made.",
            "Licences of most web images are not known.",
        ],
        "rai:dataSocialImpact": "Aerial and satellite images can show private property; captions can locate it.",
        "rai:personalSensitiveInformation": ["Web captions may name persons; no search for them was made."],
        "rai:dataReleaseMaintenancePlan": f"None is stated. A build is made again by {DISTRIBUTION} from build.json.",
    }
