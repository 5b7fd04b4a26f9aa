"""Gpe: place names in the captions of the web corpora; each distinct caption is searched once.

Coordinates from a corpus or EXIF are handled by geometa.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import pyarrow as pa
from pydantic import Field

from schemas.fields import FIELD
from schemas.tables import NAMED_PLACE, PLACE, PLACE_TEXT
from stages.contract import Context, Given, Inputs, Outcome, Params, Reads, Resources, Stage, Tool, no_rejects
from stages.gpe.nltk_packages import find_packages, packages_identity
from stages.gpe.place_tagger import PlaceTagger, open_place_tagger
from stages.readers.formats.texts import count_characters
from stages.rows import query_rows

_CAPTION_ID = "substr(sha256(caption), 1, 32)"


class TextParams(Params):
    """How captions are partitioned: by their digest, so that a new caption makes only one partition stale."""

    n_partitions: int = Field(
        256, ge=1, le=65_536, description="partitions of the distinct captions"
    )  # RS5M's 3 million captions: about 12,000 each, minutes on one core


class TagParams(Params):
    """How much of a caption is searched, and which entities are places."""

    max_words: int = Field(4_096, ge=1, description="number of words of a caption to search")
    # RS5M's longest caption has 3,248 words: no caption is cut.
    max_characters: int = Field(32_768, ge=1, description="the same in characters, as a word may have any length")
    labels: tuple[str, ...] = Field(
        ("GPE",), min_length=1, description="labels of the chunker to take as places"
    )  # RS5M counts entities with the label GPE


def list_texts(inputs: Inputs, context: Context) -> Outcome:
    """Return each distinct caption of the remaining samples, and the partition it is searched in."""
    n_partitions = context.params.n_partitions
    n_digits = len(f"{n_partitions - 1:x}")
    kept = query_rows(_TEXTS, inputs, n_partitions=n_partitions, pattern=f"text-{{:0{n_digits}x}}")
    return Outcome(kept.cast(PLACE_TEXT.schema), no_rejects(PLACE_TEXT))


# The leading 32 bits of the digest, scaled: with a power of 16 partitions a name is the id's first digits.
_TEXTS = f"""
    WITH text AS (
        SELECT DISTINCT {_CAPTION_ID} AS caption_id, caption FROM relevant JOIN candidate USING (sample_id)
    )
    SELECT caption_id, caption,
           format($pattern, (('0x' || substr(caption_id, 1, 8))::BIGINT * $n_partitions) >> 32) AS partition
    FROM text ORDER BY caption_id
"""


def tag_places(inputs: Inputs, context: Context) -> Outcome:
    """Return the place names of each caption in order of appearance; one row without a name if it has none."""
    tagger: PlaceTagger = context.tools["place_tagger"]
    params: TagParams = context.params
    rows: list[tuple[str, int, str | None]] = []
    for n_done, text in enumerate(inputs["place_text"].to_pylist()):
        names = find_places(text["caption"], tagger, params)
        rows += [(text["caption_id"], n, name) for n, name in enumerate(names or (None,))]
        context.advance(n_done + 1)
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    names_types = [(name, FIELD[name].type) for name in NAMED_PLACE.schema.names]
    arrays = [pa.array(list(values), kind) for values, (_, kind) in zip(columns, names_types, strict=True)]
    measured = {"n_characters": count_characters(inputs["place_text"]["caption"], params.max_characters)}
    return Outcome(pa.table(arrays, schema=NAMED_PLACE.schema), no_rejects(NAMED_PLACE), measured=measured)


def find_places(caption: str, tagger: PlaceTagger, params: TagParams) -> Sequence[str]:
    """Return the distinct place names of a caption, in order of first appearance."""
    text = cut(caption, params.max_words, params.max_characters)
    if not any(map(str.isalpha, text)):  # nothing a name could be made of
        return ()
    return tuple(dict.fromkeys(name for label, name in tagger.tag(text) if label in params.labels))


def cut(caption: str, max_words: int, max_characters: int) -> str:
    """Return the beginning of a caption, up to a number of words and of characters."""
    if len(caption) <= max_characters and caption.count(" ") < max_words:
        return caption
    return " ".join(caption[:max_characters].split(" ")[:max_words])


def name_places(inputs: Inputs, context: Context) -> Outcome:
    """Return the place names in each sample's caption."""
    kept = query_rows(_PLACES, inputs)
    return Outcome(kept.cast(PLACE.schema), no_rejects(PLACE))


_PLACES = f"""
    SELECT sample_id, n, place, caption_id
    FROM (SELECT sample_id, {_CAPTION_ID} AS caption_id FROM relevant JOIN candidate USING (sample_id))
    JOIN named_place USING (caption_id)
    ORDER BY sample_id, n
"""


def packages_in_use() -> str:
    """Return one sentence for the user on the NLTK packages in use.

    Raises:
        InputError: when NLTK_DATA is set and lacks a package.
    """
    return find_packages().describe()


def _identity(params: TagParams) -> Mapping[str, str]:
    return packages_identity(find_packages())


def _open(params: TagParams, resources: Resources) -> AbstractContextManager[PlaceTagger]:
    return open_place_tagger(find_packages())


PLACE_TAGGER = Tool("place_tagger", _identity, _open)

_SAMPLES = (
    Reads("relevant", ("sample_id",), is_whole=True),
    Reads("candidate", ("sample_id", "caption"), is_whole=True),
)

LIST_TEXTS = Stage(
    name="list_texts",
    module="gpe",
    version=1,
    does="Lists the distinct captions of the remaining web samples.",
    reads=_SAMPLES,
    writes=PLACE_TEXT,
    grain="reduce",
    given=Given(
        query=f"SELECT {_CAPTION_ID} AS caption_id FROM relevant JOIN candidate USING (sample_id)",
        inputs=("relevant", "candidate"),
    ),
    run=list_texts,
    is_queried=True,
    params=TextParams,
    split_by="partition",
)

TAG_PLACES = Stage(
    name="tag_places",
    module="gpe",
    version=1,
    does="Finds place names in each distinct caption: NLTK's tokenizer, tagger and named entity chunker.",
    reads=(Reads("place_text", ("caption_id", "caption")),),
    writes=NAMED_PLACE,
    grain="fan_out",
    given=Given("place_text", ("caption_id",)),
    run=tag_places,
    params=TagParams,
    tools=(PLACE_TAGGER,),
    partitions_from=("place_text",),
    memory_gb=0.5,  # peak of a worker in the demo: 0.43, with NLTK's small packages
    bytes_per_row=80,
)

NAME_PLACES = Stage(
    name="name_places",
    module="gpe",
    version=2,
    does="Lists the place names in each web sample's caption.",
    reads=(*_SAMPLES, Reads("named_place", ("caption_id", "n", "place"), is_whole=True)),
    writes=PLACE,
    grain="fan_out",
    given=Given("relevant", ("sample_id",)),
    run=name_places,
    is_queried=True,
    bytes_per_row=60,
)
