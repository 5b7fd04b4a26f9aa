"""Labelled: the images of FMoW, BigEarthNet and MillionAID, with their metadata.

FMoW's and MillionAID's images stay in their own files; BigEarthNet's patches are rendered into a tar of the stage.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from schemas.corpus import Corpus
from schemas.fields import FIELD
from schemas.tables import LABELLED_IMAGE
from stages.contract import (
    Context,
    Given,
    InputError,
    Inputs,
    Outcome,
    Params,
    Reads,
    Resources,
    Stage,
    Tool,
    rejects_table,
)
from stages.inventory.labelled_listing import role_of
from stages.inventory.stage import listed_corpus
from stages.labelled.listed import listed_samples, read_unchanged
from stages.labelled.pictures import Pictures
from stages.readers.ben import lists as ben_lists
from stages.readers.ben.rendering import Renderer, open_renderer, renderer_identity
from stages.readers.labelled_records import File, LabelledChoices, Raster, Reading, Sample, SampleFault
from stages.readers.readers import labelled_reader, reader_of
from stages.readers.rs5m_tars.members import split_member
from stages.safety.hash_lists import DETAIL, HASH_LISTED
from stages.stated import STATED, StatedResources, stated_texts

NOT_STATED = "not_stated"


class LabelledParams(Params):
    """How a patch is rendered, and how a labelled box is described."""

    ben_clip_reflectance: int = Field(
        2000,
        ge=1,
        le=65535,
        description="band value that becomes 255; larger values do too",
        json_schema_extra={"assumption": "not published; the readers of TFDS and torchgeo cut at 2000"},
    )  # x / 2000 in the readers of TFDS and torchgeo: about the mean and 7 standard deviations; RS5M's is not published
    ben_jpeg_quality: int = Field(95, ge=1, le=100, description="JPEG quality of rendered patches, 1 to 100")
    ben_has_full_chroma: bool = Field(True, description="no chroma subsampling: a patch has only 120 x 120 px")
    ben_selection: Literal["all", "rs5m"] = Field(
        "all",
        description="patches to take: all; rs5m: those on neither the snow nor the cloud list, and not in Finland",
    )  # RS5M's, decoded from its released names: 344,385 of the 590,326 patches
    max_file_mb: int = Field(
        1000, ge=1, description="maximum size of a sample's file, MB"
    )  # a worker holds the bytes; as JPEG 500 megapixels take about 250 MB
    n_box_cells: int = Field(
        2, ge=1, le=9, description="cells of a 3 x 3 grid to name for the labelled box"
    )  # RS5M, meta captions of FMoW: the two cells that the box overlaps most


def read_labelled(inputs: Inputs, context: Context) -> Outcome:
    """Return each sample whose image and record exist, with its metadata.

    With release metadata only the samples that it states are read, and their released caption is the stated text.

    Raises:
        InputError: when a source file is gone or changed, or a list is missing that the selection needs.
    """
    corpora = _corpora(inputs)
    files, patches = _by_sample(inputs, corpora), _patches(inputs, context.params)
    reading = _reading(context)
    listed = dict(zip(*(inputs["source_file"][name].to_pylist() for name in ("sample_id", "corpus")), strict=True))
    codes = {sample_id: _corpus_of(sample_id, corpora[code]) for sample_id, code in listed.items() if sample_id}
    kept: dict[str, list[Any]] = {name: [] for name in LABELLED_IMAGE.schema.names}
    rejects: list[tuple[str, str, str]] = []
    illegal, texts = listed_samples(inputs, context), stated_texts(context.tools.get("stated"))
    with Pictures(context) as pictures:
        for n_done, sample_id in enumerate(sorted(files), 1):
            corpus, code = corpora[listed[sample_id]], codes[sample_id]
            try:
                if sample_id in illegal:
                    raise SampleFault(HASH_LISTED, DETAIL)
                _check(sample_id, files[sample_id], context.params.max_file_mb, texts)
                about = replace(reading, listed=patches.get(sample_id, {}))
                sample = labelled_reader(corpus).read(sample_id, files[sample_id], about)
            except SampleFault as fault:
                rejects.append((sample_id, fault.reason, str(fault)))
            else:
                row = {
                    "sample_id": sample_id,
                    "corpus": code,
                    "path": sample.path,
                    "labels": sample.labels,
                    "scene_id": sample.scene_id,
                    "annotation_licence": corpus.annotation_licence,
                    "partition": context.partition,
                    **sample.columns,
                    **_where(sample_id, sample, pictures),
                    **({"released_caption": texts[sample_id]} if texts is not None else {}),
                }
                for name, values in kept.items():
                    values.append(row.get(name))
            context.advance(n_done)
    ids, reasons, details = zip(*rejects, strict=True) if rejects else ([], [], [])
    schema = LABELLED_IMAGE.schema
    table = pa.table({name: pa.array(values, FIELD[name].type) for name, values in kept.items()}, schema=schema)
    facts = {"corpus": pa.array([codes[sample_id] for sample_id in ids], pa.string())}
    refused = rejects_table(LABELLED_IMAGE, {"sample_id": ids}, reasons, details, facts)
    return Outcome(table, refused, files=pictures.paths)


def _corpora(inputs: Inputs) -> dict[str, Corpus]:
    columns = ["corpus", "reader_digest"]
    listed = inputs["source_listing"].select(columns).group_by(columns).aggregate([]).to_pylist()
    return {row["corpus"]: listed_corpus(row["corpus"], row["reader_digest"]) for row in listed}


def _corpus_of(sample_id: str, corpus: Corpus) -> str:
    """Return the corpus of a sample; in the released tars it differs from sample to sample."""
    code = sample_id.partition("_")[0]
    return code if reader_of(corpus).is_sample_list else corpus.code


def _by_sample(inputs: Inputs, corpora: Mapping[str, Corpus]) -> dict[str, dict[str, File]]:
    """Return the files of each sample by their role."""
    files: dict[str, dict[str, File]] = {}
    for row in inputs["source_file"].to_pylist():
        if row["sample_id"] is None:  # a list, which list_patches has read
            continue
        role = role_of(row["path"], corpora[row["corpus"]])
        file = File(row["path"], row["size_bytes"], row["file_sha256"])
        files.setdefault(row["sample_id"], {})[role] = file
    return files


def _patches(inputs: Inputs, params: LabelledParams) -> dict[str, dict[str, Any]]:
    """Return the row of each patch of the partition, by sample_id."""
    patches = {row["sample_id"]: row for row in inputs["patch"].to_pylist()}
    if params.ben_selection == "rs5m":
        for column, name in (("has_seasonal_snow", ben_lists.SNOW), ("has_cloud_or_shadow", ben_lists.CLOUD)):
            if any(row[column] is None for row in patches.values()):
                raise InputError(
                    f'labelled.ben_selection = "rs5m" needs the list {name}.csv (or .csv.bz2), and SOURCES/ben holds'
                    " none: put it there and run `make stage-inventory`, or take every patch with"
                    " SET='labelled.ben_selection=all'"
                )
    return patches


def _check(sample_id: str, files: Mapping[str, File], max_file_mb: int, texts: Mapping[str, str] | None) -> None:
    """Raise SampleFault for a sample that is not read: not among the stated ones, or with a file that is too large."""
    if texts is not None and sample_id not in texts:
        raise SampleFault(NOT_STATED, "the release metadata has no such sample")
    for file in files.values():
        if file.size_bytes > max_file_mb * 1_000_000:
            raise SampleFault("file_too_large", f"{file.path}: {file.size_bytes} bytes, more than {max_file_mb} MB")


def _reading(context: Context) -> Reading:
    def read_file(file: File) -> bytes:
        return read_unchanged(context.sources / file.path, file)

    params, renderer = context.params, context.tools["renderer"]
    choices = LabelledChoices(params.n_box_cells, is_rs5m_selection=params.ben_selection == "rs5m")
    return Reading(read_file, Raster(renderer.render, renderer.locate), choices=choices)


def _where(sample_id: str, sample: Sample, pictures: Pictures) -> dict[str, Any]:
    if isinstance(sample.image, bytes):
        return pictures.add(sample_id, sample.image)
    image = sample.image
    path, offset = split_member(image.path)
    return {
        "n_bytes": image.size_bytes,
        "body_sha256": image.sha256,
        "body_file": f"sources:{path}",
        "body_offset": offset,
    }


def _identity(params: LabelledParams) -> Mapping[str, str]:
    return renderer_identity()


def _open(params: LabelledParams, resources: Resources) -> AbstractContextManager[Renderer]:
    return open_renderer(params.ben_clip_reflectance, params.ben_jpeg_quality, params.ben_has_full_chroma)


RENDERER = Tool("renderer", _identity, _open)

READ_LABELLED = Stage(
    name="read_labelled",
    module="labelled",
    version=11,
    does="Reads the images of labelled corpora with their labels, positions and times; renders BigEarthNet.",
    reads=(
        Reads("source_listing", ("corpus", "path", "reader_digest")),
        Reads("source_file", ("corpus", "path", "size_bytes", "file_sha256", "sample_id")),
        Reads(
            "patch",
            ("sample_id", "v1_patch", "v2_labels", "v2_country", "has_seasonal_snow", "has_cloud_or_shadow"),
        ),
        Reads("listed_hash", ("hash_kind", "hash"), is_whole=True, is_optional=True),
    ),
    writes=LABELLED_IMAGE,
    grain="map",
    given=Given(
        query="SELECT DISTINCT sample_id FROM source_file WHERE sample_id IS NOT NULL",
        inputs=("source_file",),
    ),
    run=read_labelled,
    params=LabelledParams,
    resources=StatedResources,
    reasons=(
        "file_too_large",
        "missing_image",
        "missing_metadata",
        "bad_metadata",
        "missing_band",
        "bad_band",
        "seasonal_snow",
        "cloud_or_shadow",
        "outside_selection",
        "named_again",
        HASH_LISTED,
        NOT_STATED,
    ),
    tools=(RENDERER, STATED),
    partitions_from=("source_file",),
    half="rs3",
    bytes_per_row=16_000,  # a rendered patch; a row of the other corpora takes 200
)
