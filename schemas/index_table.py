"""The columns of `index.parquet`, which is written at publication and is not a stage's table."""

import pyarrow as pa

from schemas.fields import FIELD, Field

_TEXT = pa.string()


def _of(name: str) -> Field:
    known = FIELD[name]
    return Field(name, known.type, known.unit, known.meaning)


INDEX_FIELDS: tuple[Field, ...] = (
    _of("sample_id"),
    Field("layout", _TEXT, "", "rs5m (members as published) or pairs (image, text and JSON)."),
    Field("tar", _TEXT, "", "Path of the tar below the dataset folder."),
    Field("tar_key", _TEXT, "", "Key of the sample in the tar; its members are named KEY.image_member and so on."),
    Field("image_member", _TEXT, "", "img_content in the layout rs5m; jpg, png or webp in pairs."),
    _of("image_offset"),
    Field("image_n_bytes", pa.int64(), "bytes", "Length of the image in the tar."),
    Field("image_sha256", _TEXT, "", "sha256 of the image in the tar."),
    Field("text_member", _TEXT, "", "caption in the layout rs5m; txt in pairs."),
    _of("text_offset"),
    _of("text_n_bytes"),
    Field("extra_member", _TEXT, "", "img_name in the layout rs5m; json in pairs."),
    _of("extra_offset"),
    _of("extra_n_bytes"),
)
INDEX_SCHEMA = pa.schema([pa.field(field.name, field.type, nullable=False) for field in INDEX_FIELDS])
