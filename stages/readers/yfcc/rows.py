"""Convert lines of YFCC100M's metadata to our columns: titles, descriptions, positions, times and licences.

`stages/readers/yfcc/reader.py` selects the lines. Nothing is quoted; texts are URL-encoded.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from stages.readers.batch import Chosen, Malformed, SourceBatch, describe_invalid_utf8, find_invalid_utf8, rows_table
from stages.readers.formats.encoded import strip_tags, url_decoded
from stages.readers.formats.lines import Lines
from stages.readers.yfcc.photo_facts import positions, times_taken

N_COLUMNS = 23
# Columns of the ten files without line number and hash; the single file has those two around the photo id.
_OWNER, _TAKEN, _UPLOADED, _TITLE, _DESCRIPTION = 1, 3, 4, 6, 7
_LONGITUDE, _LATITUDE, _URL, _LICENCE = 10, 11, 14, 15

Rows = npt.NDArray[np.int64]


def read_rows(lines: Lines, rows: Rows, photos: Rows, numbers: Rows, corpus: Corpus, n_columns: int) -> SourceBatch:
    """Return some lines of a block as a batch.

    Args:
        lines: the block.
        rows: lines to return, ascending.
        photos: photo id of each line.
        numbers: number of each line in the file, ascending.
        corpus: has the texts that mean no licence.
        n_columns: 23, or 25 with a line number before the photo id and a hash after it.
    """
    faults = _find_malformed(lines, rows, n_columns)
    is_bad = np.zeros(len(rows), bool)
    is_bad[list(faults)] = True
    shift = n_columns - N_COLUMNS
    published = _captions(lines, rows[~is_bad], shift).take(pa.array(np.cumsum(~is_bad) - 1, mask=is_bad))
    plain = strip_tags(url_decoded(published))  # a keyword in the address of a link is in no caption

    def choose(indices: pa.Array) -> Chosen:
        chosen = indices.to_numpy()
        columns = {
            "source_row": pa.array(numbers[chosen], pa.int64()),
            "source_caption": published.take(indices),
            "searched_text": plain.take(indices),
            "plain_caption": plain.take(indices),
            "native_id": pa.array(photos[chosen]).cast(pa.string()),
            **_facts(lines, rows[chosen], corpus, shift),
        }
        return Chosen(rows_table(columns), ())

    malformed = (Malformed(int(numbers[i]), *faults[i], str(photos[i])) for i in sorted(faults))
    return SourceBatch(int(numbers[0]) if len(numbers) else 0, plain, tuple(malformed), choose)


def _find_malformed(lines: Lines, rows: Rows, n_columns: int) -> dict[int, tuple[str, str]]:
    """Return reason and detail by position in rows; encoding takes precedence over the number of fields."""
    whole = lines.lines(rows)
    faults = {i: ("invalid_utf8", describe_invalid_utf8(lines.line(rows[i]))) for i in find_invalid_utf8(whole)}
    for i in map(int, np.flatnonzero(lines.n_fields[rows] != n_columns)):
        faults.setdefault(i, ("wrong_field_count", f"{lines.n_fields[rows[i]]} fields, expected {n_columns}"))
    return faults


def _captions(lines: Lines, rows: Rows, shift: int) -> pa.Array:
    """Return title and description as stored, joined by a space unless one is empty."""
    title, description = lines.field(_TITLE + shift, rows), lines.field(_DESCRIPTION + shift, rows)
    has_both = pc.and_(pc.greater(pc.binary_length(title), 0), pc.greater(pc.binary_length(description), 0))
    blank = pc.if_else(has_both, " ", "")
    return pc.binary_join_element_wise(title, blank, description, "")


def _facts(lines: Lines, rows: Rows, corpus: Corpus, shift: int) -> dict[str, pa.Array]:
    licence, owner = lines.field(_LICENCE + shift, rows), lines.field(_OWNER + shift, rows)
    is_marker = pc.is_in(licence, value_set=pa.array(corpus.null_markers, pa.string()))
    latitude_deg, longitude_deg = positions(
        lines.field(_LATITUDE + shift, rows).to_pylist(), lines.field(_LONGITUDE + shift, rows).to_pylist()
    )
    taken = times_taken(lines.field(_TAKEN + shift, rows).to_pylist(), lines.whole_numbers(_UPLOADED + shift, rows))
    return {
        "owner_id": pc.if_else(pc.equal(owner, ""), pa.scalar(None, pa.string()), owner),
        "url": lines.field(_URL + shift, rows),
        "image_licence": pc.if_else(is_marker, pa.scalar(None, pa.string()), licence),
        "stated_latitude_deg": pa.array(latitude_deg, pa.float64()),
        "stated_longitude_deg": pa.array(longitude_deg, pa.float64()),
        "stated_datetime": pa.array(taken, pa.string()),
    }
