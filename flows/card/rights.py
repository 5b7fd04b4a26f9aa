"""The rights in each corpus's samples: annotations, images, and the model of generated captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.ask.views import open_views
from flows.card.contents import Contents
from flows.ledger.ledger import Ledger
from schemas.corpora import load_corpora
from schemas.corpus import Corpus
from schemas.model_manifests import Model, load_models

NOT_STATED = "not stated"
_SHOWN = 12  # maximum licences per corpus in LICENSES.md; YFCC15M states seven, WIT about a hundred


@dataclass(frozen=True)
class Rights:
    """The rights in one corpus's samples.

    Attributes:
        corpus: its manifest.
        n_samples: number of published samples.
        annotation_licences: number of samples by the stated licence of metadata and text.
        image_licences: number of samples by the stated licence of the image; "" if none is stated.
        model_licences: number of samples by the licence of the language model behind the caption; none for others.
        captioner: the model that generated the captions; None if they are the corpus's own.
    """

    corpus: Corpus
    n_samples: int
    annotation_licences: Mapping[str, int]
    image_licences: Mapping[str, int]
    model_licences: Mapping[str, int]
    captioner: Model | None

    @property
    def shown_image_licences(self) -> list[tuple[str, int]]:
        """The most frequent image licences; the last entry counts the rest."""
        named = [(licence or NOT_STATED, n) for licence, n in self.image_licences.items()]
        if len(named) <= _SHOWN:
            return named
        rest = named[_SHOWN - 1 :]
        return [*named[: _SHOWN - 1], (f"{len(rest)} others", sum(n for _, n in rest))]

    @property
    def shown_annotation_licences(self) -> list[tuple[str, int]]:
        """The annotation licences of the rows, or the manifest's if no row states one."""
        return [(licence or self.corpus.annotation_licence, n) for licence, n in self.annotation_licences.items()]


def read_rights(ledger: Ledger, contents: Contents) -> list[Rights]:
    """Return the rights in the samples of each published corpus, the web half first."""
    corpora, count = load_corpora(), contents.count("corpus")
    captioner = _captioner(ledger)
    return [
        Rights(
            corpora.get(code) or _unknown(code),
            count[code],
            contents.stated(code, "annotation_licence"),
            contents.stated(code, "image_licence"),
            {licence: n for licence, n in contents.stated(code, "caption_model_licence").items() if licence},
            captioner if half == "rs3" else None,
        )
        for half, code in dict.fromkeys((group.half, group.corpus) for group in contents.groups)
    ]


@dataclass(frozen=True)
class FurtherTexts:
    """Texts that others published for images of the build, of one source and licence.

    Attributes:
        source, licence: as their manifest states them.
        n_texts: number of texts joined with samples, published or not.
        n_texts_published, n_samples_published: number of texts beside captions in the JSON of pairs, and their samples.
        n_samples_instead: number of samples published with such a text instead of their own.
    """

    source: str
    licence: str
    n_texts: int
    n_texts_published: int
    n_samples_published: int
    n_samples_instead: int


def read_further_texts(ledger: Ledger) -> list[FurtherTexts]:
    """Return the further texts of a finished build by source; none if none were joined."""
    with open_views(ledger, [ledger.writer["further_count"]]) as db:
        rows = db.execute(
            "SELECT text_source, text_licence, n_texts, n_texts_published, n_samples_published, n_samples_instead"
            " FROM further_count ORDER BY ALL"
        ).fetchall()
    return [FurtherTexts(*row) for row in rows]


def _captioner(ledger: Ledger) -> Model | None:
    """Return the model that generated the captions of the labelled half, if it is pinned."""
    tools = ledger.tool_identities(ledger.writer["caption_candidate"])
    names = [tool.get("name", "") for tool in tools.values()]
    return next((model for name, model in load_models().items() if name in names), None)


def _unknown(code: str) -> Corpus:
    """Return a placeholder for a corpus whose manifest was removed after the build."""
    missing = f"unknown: manifests/corpora/{code}.toml is missing or has a fault"
    return Corpus.model_validate(
        {
            "code": code,
            "annotation_licence": missing,
            "image_rights": missing,
            "file_pattern": "(?!)",
            "reader": "none",
        }
    )
