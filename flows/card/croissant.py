"""croissant.json: files, record sets and responsible use in the vocabularies Croissant 1.1 and RAI 1.0.

Written as plain JSON-LD. Only the tests need the package mlcroissant, which validates it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flows.ask.dataset_folder import File
from flows.card.files import Tars, find_metadata, find_tars
from schemas.fields import FIELD

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
# The context prescribed by the specification of Croissant 1.1.
_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS},
}
# By layout: the image member and the text member of a sample.
MEMBERS = {"rs5m": ("img_content",), "pairs": ("jpg", "png", "webp")}
_IMAGE_FORMATS = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff"]


def croissant(about: Mapping[str, Any], files: Sequence[File], schema: pa.Schema) -> str:
    """Return the content of croissant.json.

    Args:
        about: properties of the whole dataset.
        files: the tars and metafiles.
        schema: schema of the metafiles.
    """
    tars, metadata = _one_layout(find_tars(files)), find_metadata(files)
    content = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        **about,
        "distribution": [*_distribution(tars, metadata)],
        "recordSet": [*_record_sets(tars, metadata, schema)],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _one_layout(tars: Sequence[Tars]) -> list[Tars]:
    """Return the tars of the first layout whose members are known; other layouts have the same samples."""
    layouts = [layout for layout in MEMBERS if any(some.layout == layout for some in tars)]
    return [some for some in tars if some.layout in layouts[:1]]


def _distribution(tars: Sequence[Tars], metadata: Mapping[str, File]) -> Iterator[dict[str, Any]]:
    for file in metadata.values():
        yield _file_object(file, "application/x-parquet")
    for some in tars:
        for file in some.files:
            yield _file_object(file, "application/x-tar")
    for half in dict.fromkeys(some.half for some in tars):
        yield {
            "@type": "cr:FileSet",
            "@id": f"{half}-images",
            "name": f"{half}-images",
            "description": "The image files in the tars of both splits.",
            "containedIn": [{"@id": file.name} for some in tars if some.half == half for file in some.files],
            "encodingFormat": _IMAGE_FORMATS,
            "includes": [f"*.{member}" for member in MEMBERS[tars[0].layout]],
        }


def _file_object(file: File, encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": encoding,
        "sha256": file.sha256,
    }


def _record_sets(tars: Sequence[Tars], metadata: Mapping[str, File], schema: pa.Schema) -> Iterator[dict[str, Any]]:
    halves = {some.half for some in tars}
    for half, file in metadata.items():
        yield {
            "@type": "cr:RecordSet",
            "@id": f"{half}_metadata",
            "name": f"{half}_metadata",
            "description": f"One record per published sample of {half}: text, origin, position, time, rights.",
            "key": {"@id": f"{half}_metadata/sample_id"},
            "field": [_column(f"{half}_metadata", file, column) for column in schema],
        }
        if half in halves:
            yield _samples(half, file, schema, MEMBERS[tars[0].layout])


def _samples(half: str, file: File, schema: pa.Schema, members: Sequence[str]) -> dict[str, Any]:
    """Return the record set of images with texts, which joins files in tars with the metafile by key."""
    images = {"@id": f"{half}-images"}
    key = {
        "@type": "cr:Field",
        "@id": f"{half}/sample_id",
        "name": "sample_id",
        "description": FIELD["sample_id"].meaning,
        "dataType": "sc:Text",
        "source": {
            "fileSet": images,
            "extract": {"fileProperty": "filename"},
            # The pattern also matches its own result, since mlcroissant applies it again after the join.
            "transform": {"regex": rf"^(?:.*/)?([^/]+?)(?:\.(?:{'|'.join(members)}))?$"},
        },
        "references": {"fileObject": {"@id": file.name}, "extract": {"column": "sample_id"}},
    }
    image = {
        "@type": "cr:Field",
        "@id": f"{half}/image",
        "name": "image",
        "description": "The image, decoded.",
        "dataType": "sc:ImageObject",
        "source": {"fileSet": images, "extract": {"fileProperty": "content"}},
    }
    # Pairs have a GIF or BMP as PNG, so that another digest is the image's.
    digest = ("published_sha256",) if members == MEMBERS["rs5m"] else ()
    names = [name for name in ("published_text", "split", "corpus", *digest) if name in schema.names]
    return {
        "@type": "cr:RecordSet",
        "@id": half,
        "name": half,
        "description": f"One record per published sample of {half}: image and text.",
        "key": {"@id": f"{half}/sample_id"},
        "field": [key, image, *(_column(half, file, schema.field(name)) for name in names)],
    }


def _column(record_set: str, file: File, column: pa.Field) -> dict[str, Any]:
    known = FIELD.get(column.name)
    unit = f" Unit: {known.unit}." if known is not None and known.unit else ""
    kind = column.type
    is_array = pa.types.is_list(kind)
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{column.name}",
        "name": column.name,
        "description": (known.meaning if known is not None else column.name) + unit,
        "dataType": _data_type(kind.value_type if is_array else kind),
        **({"isArray": True, "arrayShape": "-1"} if is_array else {}),
        "source": {"fileObject": {"@id": file.name}, "extract": {"column": column.name}},
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
