"""Convert column types that few kernels support to plain ones: views, lists of views, extension types.

Files state such types in their Arrow schema (DataFusion and Polars write views), and Arrow returns columns in them.
"""

import pyarrow as pa
import pyarrow.compute as pc


def plain_type(found: pa.DataType) -> pa.DataType:
    """Return the plain type of a type; the same if it is plain."""
    types = pa.types
    if isinstance(found, pa.BaseExtensionType):
        return plain_type(found.storage_type)
    if types.is_string_view(found):
        return pa.large_string()
    if types.is_binary_view(found):
        return pa.large_binary()
    if types.is_dictionary(found):
        return plain_type(found.value_type) if plain_type(found.value_type) != found.value_type else found
    if types.is_list(found) or types.is_list_view(found):
        return pa.list_(plain_type(found.value_type))
    if types.is_large_list(found) or types.is_large_list_view(found):
        return pa.large_list(plain_type(found.value_type))
    if types.is_fixed_size_list(found):
        return pa.list_(plain_type(found.value_type), found.list_size)
    return found


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the same names and plain types."""
    return pa.schema([pa.field(field.name, plain_type(field.type)) for field in schema])


def as_plain(values: pa.Array) -> pa.Array:
    """Return the same values in their plain type."""
    types, found = pa.types, values.type
    if isinstance(found, pa.BaseExtensionType):
        return as_plain(values.storage)
    if types.is_string_view(found) or types.is_binary_view(found):
        # By way of bytes: a cast to strings would fail on invalid UTF-8, which is the fault of a single row.
        wide = values.cast(pa.large_binary())
        return wide if types.is_binary_view(found) else wide.view(pa.large_string())
    if plain_type(found) == found or not (types.is_dictionary(found) or types.is_nested(found)):
        return values
    if types.is_dictionary(found):
        return as_plain(values.dictionary).take(values.indices)
    return _plain_lists(values)


def _plain_lists(values: pa.Array) -> pa.Array:
    found = values.type
    if pa.types.is_fixed_size_list(found):
        values = values.cast(pa.list_(found.value_type))
        return _plain_lists(values)
    elements = as_plain(values.flatten())
    lengths = [0 if length is None else length for length in pc.list_value_length(values).to_pylist()]
    offsets, end = [0], 0
    for length in lengths:
        end += length
        offsets.append(end)
    is_large = pa.types.is_large_list(found) or pa.types.is_large_list_view(found)
    kind, offset_type = (pa.LargeListArray, pa.int64()) if is_large else (pa.ListArray, pa.int32())
    mask = values.is_null() if values.null_count else None
    return kind.from_arrays(pa.array(offsets, offset_type), elements, mask=mask)


def plain_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose columns have plain types."""
    if all(plain_type(field.type) == field.type for field in batch.schema):
        return batch
    return pa.RecordBatch.from_arrays([as_plain(column) for column in batch.columns], names=batch.schema.names)
