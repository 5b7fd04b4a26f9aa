"""The adapter to NLTK: a text in, its named entities out; tokenizer, tagger and chunker are loaded once.

Not for choosing packages or judging labels: that is `nltk_packages` and the stage.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.contract import InputError, TransientError
from stages.gpe.nltk_packages import FILES, PlacePackages


@dataclass(frozen=True)
class PlaceTagger:
    """NLTK's three models, loaded.

    Attributes:
        sentences: splits a text into sentences (Punkt).
        words: splits a sentence into words.
        tagger: tags words with their grammatical class.
        chunker: groups tagged words into named entities.
    """

    sentences: Any
    words: Any
    tagger: Any
    chunker: Any

    def tag(self, text: str) -> list[tuple[str, str]]:
        """Return label and name of each named entity, in order; the words of a name are joined by a space.

        Raises:
            TransientError: one of NLTK's guarded matches timed out because the machine paused for seconds.
        """
        try:
            words = [word for sentence in self.sentences.tokenize(text) for word in self.words.tokenize(sentence)]
            tree = self.chunker.parse(self.tagger.tag(words))
        except TimeoutError as error:
            raise TransientError(f"NLTK timed out on a caption of {len(text)} characters: {error}") from error
        return [(chunk.label(), " ".join(word for word, _ in chunk)) for chunk in tree if not isinstance(chunk, tuple)]


@contextmanager
def open_place_tagger(packages: PlacePackages) -> Iterator[PlaceTagger]:
    """Load the models of some packages into memory.

    Raises:
        InputError: NLTK refuses the packages, for example because other accounts can write them.
    """
    import nltk.data

    search_path = list(nltk.data.path)
    with _private(packages) as folders:
        # In place, because NLTK's other modules hold this list. Packages elsewhere on the machine must not be used.
        nltk.data.path[:] = [str(folder) for folder in folders]
        try:
            tagger = _load()
        except (LookupError, PermissionError, ValueError) as error:
            raise InputError(
                f"NLTK cannot load the packages in {', '.join(map(str, packages.folders))}: expected complete packages"
                " that no other account can write (`chmod -R go-w` on the folder); NLTK's error:"
                f" {' '.join(str(error).split())[:600]}"
            ) from error
        finally:
            nltk.data.path[:] = search_path
    yield tagger


def _load() -> PlaceTagger:
    from nltk.chunk.named_entity import Maxent_NE_Chunker
    from nltk.corpus.reader import WordListCorpusReader
    from nltk.data import find
    from nltk.tag import PerceptronTagger
    from nltk.tokenize import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktTokenizer

    chunker = Maxent_NE_Chunker("multiclass")
    # Otherwise NLTK reads the list at first use and keeps it, even if other packages are opened later.
    chunker._tagger._en_wordlist = set(WordListCorpusReader(find("corpora/words/"), ["en-basic"]).words("en-basic"))
    return PlaceTagger(PunktTokenizer("english"), NLTKWordTokenizer(), PerceptronTagger(), chunker)


@contextmanager
def _private(packages: PlacePackages) -> Iterator[tuple[Path, ...]]:
    """Yield folders that NLTK accepts: a private copy of the small packages, as a checkout may be group-writable.

    Copying is safe only for these, which have just been compared with their pinned digests.
    """
    if not packages.is_small:
        yield packages.folders
        return
    with tempfile.TemporaryDirectory(prefix="rs5m-nltk-") as name:
        for package, files in FILES.items():
            for file in files:
                path = Path(name) / package / file
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(packages.folders[0] / package / file, path)
        for path in Path(name).rglob("*"):  # for any umask
            path.chmod(0o700 if path.is_dir() else 0o600)
        yield (Path(name),)
