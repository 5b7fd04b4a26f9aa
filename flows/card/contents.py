"""Counts of the published content of a finished build, from its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from flows.ask.views import open_views, scalar
from flows.ledger.ledger import Ledger

_LOOPBACK = r"(?i)^https?://(127\.|localhost|\[::1\])"


@dataclass(frozen=True)
class Group:
    """Number of published samples of one corpus in one split."""

    half: str
    corpus: str
    split: str
    n_samples: int
    n_bytes: int


@dataclass(frozen=True)
class Contents:
    """Counts of the published samples and their sources.

    Attributes:
        groups: by half, corpus and split.
        licences: number of samples by (corpus, column, licence stated by the row or "").
        n_loopback: number of samples whose image came from the building machine, as in the generated world.
        sources: numbers of source files and bytes by corpus, including corpora without a published sample.
    """

    groups: tuple[Group, ...]
    licences: Mapping[tuple[str, str, str], int]
    n_loopback: int
    sources: Mapping[str, tuple[int, int]]

    @property
    def n_samples(self) -> int:
        """Number of published samples."""
        return sum(group.n_samples for group in self.groups)

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora with a published sample, the web half first."""
        return tuple(dict.fromkeys(group.corpus for group in self.groups))

    def count(self, name: str) -> dict[str, int]:
        """Return the number of samples by half, corpus or split."""
        found: Counter[str] = Counter()
        for group in self.groups:
            found[getattr(group, name)] += group.n_samples
        return dict(found)

    def stated(self, corpus: str, column: str) -> dict[str, int]:
        """Return the number of samples of a corpus by stated licence, most frequent first."""
        found = {licence: n for (code, name, licence), n in self.licences.items() if (code, name) == (corpus, column)}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def read_contents(ledger: Ledger) -> Contents:
    """Return the counts of a finished build's published content."""
    tables = ("metafile", "shard", "source_file")
    with open_views(ledger, [ledger.writer[name] for name in tables]) as db:
        groups = db.execute(
            "SELECT m.half, m.corpus, m.split, count(*), sum(s.published_n_bytes)::BIGINT"
            " FROM metafile m JOIN shard s USING (sample_id) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        licences = db.execute(
            "SELECT corpus, name, licence, count(*) FROM (UNPIVOT (SELECT corpus, coalesce(annotation_licence, '') AS"
            " annotation_licence, coalesce(image_licence, '') AS image_licence, coalesce(caption_model_licence, '')"
            " AS caption_model_licence FROM metafile) ON annotation_licence, image_licence, caption_model_licence"
            " INTO NAME name VALUE licence) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        n_loopback = scalar(db, "SELECT count(*) FROM metafile WHERE regexp_matches(url, ?)", [_LOOPBACK])
        sources = db.execute(
            "SELECT corpus, count(*), sum(size_bytes)::BIGINT FROM source_file GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    return Contents(
        tuple(Group(*row) for row in groups),
        {(corpus, name, licence): n for corpus, name, licence, n in licences},
        n_loopback,
        {corpus: (n, n_bytes) for corpus, n, n_bytes in sources},
    )
