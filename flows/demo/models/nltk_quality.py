"""Measures place tagging against a simple rule: precision, recall, time (`python -m flows.demo.models.nltk_quality`).

An optional argument names a folder of published annotated text. NLTK_DATA chooses the packages that are measured.
"""

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from flows.demo.models.place_sentences import Word, text_of, training_and_test
from stages.gpe.nltk_packages import find_packages
from stages.gpe.place_tagger import open_place_tagger
from stages.gpe.stage import TagParams, find_places, packages_in_use

TEST_SEED = 21  # not the seed of training
N_TEST = 1_000
MAX_SENTENCES = 2_000  # of each published set, evenly spaced
# File or folder of a set: label of places, column of the label, column of the word.
FOREIGN = {
    "uner_ewt_dev.iob2": ("LOC", 2, 1),
    "wnut17_dev.conll": ("location", 1, 0),
    "wikigold.conll.txt": ("LOC", 1, 0),
    "litbank": ("GPE", 1, 0),
}

Example = tuple[str, set[str]]  # a text and its place names


def score(examples: Sequence[Example], find: Callable[[str], Iterable[str]]) -> tuple[float, float]:
    """Return precision and recall of distinct names per text, whole names only."""
    n_found = n_gold = n_both = 0
    for text, gold in examples:
        found = set(find(text))
        n_found, n_gold, n_both = n_found + len(found), n_gold + len(gold), n_both + len(found & gold)
    return n_both / max(n_found, 1), n_both / max(n_gold, 1)


def capitalised(text: str) -> list[str]:
    """Return the rule's places: runs of capitalised words, without the first word of the text."""
    words = re.findall(r"\w[\w'-]*|[^\w\s]", text)
    runs: list[list[str]] = [[]]
    for word in words[1:]:
        if word[0].isupper():
            runs[-1].append(word)
        else:
            runs.append([])
    return [" ".join(run) for run in runs if run]


def generated(n: int = N_TEST) -> list[Example]:
    """Return generated sentences whose templates and known places do not occur in training."""
    return [(text_of(words), _names(words, "GPE")) for words in training_and_test()[1].draw(TEST_SEED, n)]


def foreign(folder: Path) -> Iterator[tuple[str, list[Example]]]:
    """Yield the name and examples of each published annotated set in a folder."""
    for name, (label, at_label, at_word) in FOREIGN.items():
        path = folder / name
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        sentences = [s for file in files for s in _read(file, at_label, at_word)]
        step = max(1, len(sentences) // MAX_SENTENCES)
        yield f"{name} ({label})", [(text_of(s), _names(s, label)) for s in sentences[::step]]


def _read(path: Path, at_label: int, at_word: int) -> Iterator[list[Word]]:
    sentence: list[Word] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        fields = line.split("\t") if "\t" in line else line.split(" ")
        if line.startswith("# ") or (line and len(fields) <= max(at_label, at_word)):
            continue
        if line.strip():
            sentence.append((fields[at_word], "", fields[at_label]))
        elif sentence:
            yield sentence
            sentence = []


def _names(sentence: Sequence[Word], label: str) -> set[str]:
    runs: list[list[str]] = [[]]
    for word, _, entity in sentence:
        if entity == f"B-{label}" or (entity == f"I-{label}" and not runs[-1]):
            runs.append([word])
        elif entity == f"I-{label}":
            runs[-1].append(word)
        else:
            runs.append([])
    return {" ".join(run) for run in runs if run}


def main(arguments: Sequence[str]) -> None:
    """Print one table row per set."""
    print(packages_in_use())
    sets = [("generated, unseen templates and names", generated())]
    sets += list(foreign(Path(arguments[0]))) if arguments else []
    params = TagParams.model_validate({})
    with open_place_tagger(find_packages()) as tagger:
        for name, examples in sets:
            started = time.perf_counter()
            precision, recall = score(examples, lambda text: find_places(text, tagger, params))
            ms = (time.perf_counter() - started) / len(examples) * 1e3
            rule_precision, rule_recall = score(examples, capitalised)
            n_names = sum(len(gold) for _, gold in examples)
            n_words = sum(len(text.split()) for text, _ in examples) / len(examples)
            print(
                f"| {name} | {len(examples)} | {n_words:.0f} | {n_names} | {precision:.2f} | {recall:.2f}"
                f" | {rule_precision:.2f} | {rule_recall:.2f} | {ms:.1f} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
