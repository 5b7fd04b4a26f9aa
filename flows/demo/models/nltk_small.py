"""Trains the small NLTK packages in ten seconds, offline: `python -m flows.demo.models.nltk_small [FOLDER]`.

They have NLTK's own formats, so NLTK loads them like its own packages. See manifests/nltk_small/README.md.
"""

import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flows.demo.models.place_sentences import Word, common_words, text_of, training_and_test
from stages.gpe.nltk_packages import DIGESTS, FILES, SMALL_PACKAGES, file_digests

SEED = 20
N_SENTENCES = 4_000
N_TAGGER_ROUNDS = 4
MIN_COUNT = 3  # rarer features of the chunker are names, which do not occur in the test
L2 = 1.0  # penalty of the chunker's weights
TAGGER_MIN_WEIGHT = 0.1  # smaller weights change no decision and enlarge the file


def train(folder: Path) -> None:
    """Write the packages and their digests into a folder."""
    sentences = training_and_test()[0].draw(SEED, N_SENTENCES)
    words = common_words()
    files = {
        **{f"tokenizers/punkt_tab/english/{n}": text for n, text in punkt_files(sentences).items()},
        **{f"taggers/averaged_perceptron_tagger_eng/{n}": text for n, text in tagger_files(sentences).items()},
        **{
            f"chunkers/maxent_ne_chunker_tab/english_ace_multiclass/{n}": text
            for n, text in chunker_files(sentences, set(words)).items()
        },
        "corpora/words/en-basic": "".join(f"{word}\n" for word in words),
    }
    if set(files) != {f"{package}/{name}" for package, names in FILES.items() for name in names}:
        raise ValueError(f"these are not the files that the pipeline reads: {sorted(files)}")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    lines = [f"{digest}  {name}\n" for name, digest in sorted(file_digests(folder).items())]
    (folder / DIGESTS).write_text("".join(lines), encoding="ascii")


def punkt_files(sentences: Sequence[Sequence[Word]]) -> dict[str, str]:
    """Return Punkt's parameters, learned from the sentences as running text."""
    from nltk.tabdata import TabEncoder
    from nltk.tokenize.punkt import PunktTrainer

    trainer = PunktTrainer()
    trainer.train(" ".join(_ended(text_of(sentence)) for sentence in sentences), finalize=True)
    found = trainer.get_params()
    encoder = TabEncoder()
    # Initials and titles do not end a sentence; the templates have too few of them to be learned.
    abbreviations = {*found.abbrev_types, "st", "mt", "dr", "mr", "mrs", "no", "u.s", "u.k", "approx", "fig", "vs"}
    return {
        "abbrev_types.txt": "\n".join(sorted(abbreviations)),
        "collocations.tab": encoder.tups2tab(sorted(found.collocations)),
        "sent_starters.txt": "\n".join(sorted(found.sent_starters)),
        "ortho_context.tab": encoder.ivdict2tab(dict(sorted(found.ortho_context.items()))),
    }


def tagger_files(sentences: Sequence[Sequence[Word]]) -> dict[str, str]:
    """Return the averaged perceptron's weights, tags of unambiguous words, and classes."""
    from nltk.tag import PerceptronTagger

    state = random.getstate()
    random.seed(SEED)  # the trainer shuffles with the random module's global generator
    try:
        tagger = PerceptronTagger(load=False)
        tagger.train([[(word, tag) for word, tag, _ in sentence] for sentence in sentences], nr_iter=N_TAGGER_ROUNDS)
    finally:
        random.setstate(state)
    weights = {
        feature: {tag: weight for tag, weight in sorted(by_tag.items()) if abs(weight) >= TAGGER_MIN_WEIGHT}
        for feature, by_tag in sorted(tagger.model.weights.items())
    }
    name = "averaged_perceptron_tagger_eng"
    return {
        f"{name}.weights.json": _json({feature: by_tag for feature, by_tag in weights.items() if by_tag}),
        f"{name}.tagdict.json": _json(tagger.tagdict),
        f"{name}.classes.json": _json(sorted(tagger.classes)),
    }


def chunker_files(sentences: Sequence[Sequence[Word]], words: set[str]) -> dict[str, str]:
    """Return the maximum entropy chunker's features and weights in NLTK's tab-separated files."""
    from nltk.tabdata import MaxentEncoder

    examples = list(chunker_examples(sentences, words))
    labels = sorted({label for _, label in examples})
    counts = Counter((name, value, label) for features, label in examples for name, value in features.items())
    mapping = {key: n for n, key in enumerate(sorted((k for k, c in counts.items() if c >= MIN_COUNT), key=repr))}
    always_on = {label: len(mapping) + n for n, label in enumerate(labels)}
    weights = fit(examples, labels, mapping, always_on)
    encoder = MaxentEncoder()
    return {
        "labels.txt": "\n".join(labels),
        "mapping.tab": encoder.tupdict2tab(mapping),
        "alwayson.tab": encoder.ivdict2tab(always_on),
        "weights.txt": "\n".join(f"{weight:.4f}" for weight in weights),
    }


def chunker_examples(sentences: Sequence[Sequence[Word]], words: set[str]) -> Iterable[tuple[dict[str, Any], str]]:
    """Yield NLTK's chunker features of each word, and the word's label."""
    from nltk.chunk.named_entity import NEChunkParserTagger

    detector = NEChunkParserTagger(classifier=object())
    detector._en_wordlist = words
    for sentence in sentences:
        tokens, labels = [(word, tag) for word, tag, _ in sentence], [label for _, _, label in sentence]
        for index, label in enumerate(labels):
            yield detector.feature_detector(tokens, index, labels[:index]), label


def fit(examples: Any, labels: Sequence[str], mapping: Any, always_on: Any) -> np.ndarray:
    """Return maximum entropy weights with an L2 penalty, fitted by L-BFGS; to base 2, as in NLTK's classifier."""
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix

    # One column per (feature, value); an NLTK joint feature is a column with a label, if frequent enough.
    columns = {key: n for n, key in enumerate(dict.fromkeys((name, value) for name, value, _ in mapping))}
    rows = [[columns[item] for item in features.items() if item in columns] for features, _ in examples]
    indptr = np.cumsum([0, *map(len, rows)])
    seen = csr_matrix((np.ones(indptr[-1]), np.concatenate([*map(np.array, rows)]).astype(int), indptr))
    seen.resize(len(rows), len(columns))
    truth = np.zeros((len(rows), len(labels)))
    truth[np.arange(len(rows)), [labels.index(label) for _, label in examples]] = 1
    at_column = np.array([columns[key[:2]] for key in mapping])
    at_label = np.array([labels.index(key[2]) for key in mapping])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        table = np.zeros((len(columns), len(labels)))
        table[at_column, at_label] = flat[: len(mapping)]
        scores = seen @ table + flat[len(mapping) :]
        scores -= scores.max(1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        wrong = np.exp(logs) - truth
        gradient = np.concatenate([(seen.T @ wrong)[at_column, at_label], wrong.sum(0)])
        return -float((logs * truth).sum()) + L2 / 2 * float(flat @ flat), gradient + L2 * flat

    start = np.zeros(len(mapping) + len(labels))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 150})
    return np.asarray(found.x / np.log(2))


def _ended(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def main(arguments: Sequence[str]) -> None:
    """Write the packages into the named folder, by default the committed one."""
    folder = Path(arguments[0]) if arguments else SMALL_PACKAGES
    train(folder)
    n_bytes = sum((folder / package / name).stat().st_size for package, names in FILES.items() for name in names)
    digest = hashlib.sha256((folder / DIGESTS).read_bytes()).hexdigest()
    print(f"{folder}: {n_bytes:,} bytes, sha256 of {DIGESTS} {digest[:12]}")


if __name__ == "__main__":
    main(sys.argv[1:])
