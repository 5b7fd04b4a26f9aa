"""The model of a user's manifest of further texts: captions that others published for images of the corpora.

stages/caption/further_texts.py joins them.
"""

from pathlib import Path

from pydantic import Field, field_validator

from schemas.corpora import known_codes
from schemas.manifest_files import Manifest, load_manifest


class TextSource(Manifest):
    """Texts of one publisher for images of one corpus.

    Attributes:
        name: source of the captions, as settings and the JSON of pairs name it.
        corpus: code of the corpus whose images they describe.
        files: glob of the files, relative to the manifest: CSV with a header, JSON lines or parquet, by their endings.
        key_column: column or key with the image: its sample_id, its name or path in the corpus, a BigEarthNet patch of
            either version, or the corpus's own id.
        text_column: column or key with the text, or a list of texts.
        licence: licence of the texts.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,60}$")
    corpus: str
    files: str = Field(min_length=1)
    key_column: str = Field(min_length=1)
    text_column: str = Field(min_length=1)
    licence: str = Field(min_length=1)

    @field_validator("corpus")
    @classmethod
    def _check_corpus(cls, code: str) -> str:
        if code not in known_codes():
            raise ValueError(f"no corpus has the code {code!r}; codes: {', '.join(sorted(known_codes()))}")
        return code

    @field_validator("files")
    @classmethod
    def _check_files(cls, pattern: str) -> str:
        if pattern.startswith("/") or ".." in Path(pattern).parts:
            raise ValueError(f"expected a pattern below the manifest's folder, found {pattern!r}")
        return pattern


class TextSources(Manifest):
    """The sources of a manifest, each a table `[[text]]`."""

    texts: tuple[TextSource, ...] = Field(alias="text", min_length=1)

    @field_validator("texts")
    @classmethod
    def _check_names(cls, texts: tuple[TextSource, ...]) -> tuple[TextSource, ...]:
        names = [one.name for one in texts]
        if len(set(names)) != len(names):
            raise ValueError(f"expected each name once, found {names}")
        return texts


def load_text_sources(path: Path) -> dict[str, TextSource]:
    """Return the sources of a manifest by name. Raises ManifestError."""
    return {one.name: one for one in load_manifest(path, TextSources).texts}
