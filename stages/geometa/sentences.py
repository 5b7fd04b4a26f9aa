"""Compose meta captions from templates and the known facts; clauses on unknown facts are omitted."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.template_manifests import Sentence, Templates

Facts = Mapping[str, str]  # formatted facts by template field; unknown ones are absent
_FIELD = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class _Alternative:
    text: str
    fields: frozenset[str]


Alternatives = tuple[_Alternative, ...]


@dataclass(frozen=True)
class _Pattern:
    stem: Alternatives
    clauses: tuple[Alternatives, ...]
    sentence: Sentence


class Composer:
    """Composes meta captions from prepared templates.

    Attributes:
        corpora: corpora that have templates.
    """

    def __init__(self, templates: Templates, seed: str) -> None:
        self._seed = seed
        self._variants: dict[str, Sequence[Sequence[_Pattern]]] = {}
        for group in templates.groups:
            variants = [[_prepare(sentence) for sentence in variant] for variant in group.variants]
            self._variants.update(dict.fromkeys(group.corpora, variants))
        self.corpora = frozenset(self._variants)
        # The sentences before values are inserted depend only on which facts are known: there are few such sets.
        self._sentences: dict[tuple[str, int, frozenset[str]], list[str]] = {}

    def compose(self, sample_id: str, corpus: str, facts: Facts) -> str | None:
        """Return the meta caption of a sample in the variant selected by its id; None without facts to state."""
        if corpus not in self._variants or not facts:
            return None
        digest = hashlib.sha256(f"{self._seed}:{sample_id}".encode()).digest()
        return self._say(corpus, int.from_bytes(digest[:8]) % len(self._variants[corpus]), facts)

    def compose_all(self, corpus: str, facts: Facts) -> list[str | None]:
        """Return the meta caption in each variant, to inspect the templates."""
        return [self._say(corpus, n, facts) for n in range(len(self._variants.get(corpus, ())))]

    def _say(self, corpus: str, n_variant: int, facts: Facts) -> str | None:
        key = (corpus, n_variant, frozenset(facts))
        if key not in self._sentences:
            patterns = self._variants[corpus][n_variant]
            self._sentences[key] = [text for pattern in patterns if (text := _word(pattern, key[2]))]
        return " ".join(_finish(text.format_map(facts)) for text in self._sentences[key]) or None


def _prepare(sentence: Sentence) -> _Pattern:
    return _Pattern(_alternatives(sentence.stem), tuple(map(_alternatives, sentence.clauses)), sentence)


def _alternatives(texts: Sequence[str]) -> Alternatives:
    return tuple(_Alternative(text, frozenset(_FIELD.findall(text))) for text in texts)


def _word(pattern: _Pattern, known: frozenset[str]) -> str:
    """Return a sentence with placeholders for the known fields, "" if no field is known."""
    stem = _choose(pattern.stem, known)
    clauses = [chosen.text for alternatives in pattern.clauses if (chosen := _choose(alternatives, known))]
    if stem is None or not (clauses or stem.fields):
        return ""
    begun, behind = stem.text, pattern.sentence.joint.join(clauses)
    return begun + (pattern.sentence.behind_stem if begun and behind else "") + behind


def _finish(said: str) -> str:
    return said[:1].upper() + said[1:] + ("" if said.endswith(".") else ".")


def _choose(alternatives: Alternatives, known: frozenset[str]) -> _Alternative | None:
    return next((found for found in alternatives if found.fields <= known), None)
