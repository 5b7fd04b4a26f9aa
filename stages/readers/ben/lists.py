"""Read the lists of v1 names published with BigEarthNet, and version 2's tables, which refer to v1 names.

Patches are read in reader.py.
"""

import bz2
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from stages.contract import InputError
from stages.readers.batch import SourceFileError
from stages.readers.formats.lines import END_MARK
from stages.readers.parquet.opening import FAULTS, open_parquet

SNOW = "patches_with_seasonal_snow"
CLOUD = "patches_with_cloud_and_shadow"
METADATA_SCHEMA = pa.schema(
    [
        ("patch_id", pa.string()),
        ("s2v1_name", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("split", pa.string()),
        ("country", pa.string()),
    ]
)
_V1_NAME = re.compile(r"S2[AB]_MSIL2A_\d{8}T\d{5,6}_\d{1,3}_\d{1,3}")
_V2_NAME = re.compile(r"S2[AB]_MSIL2A_\d{8}T\d{6}_N\d{4}_R\d{3}_T\d{2}[A-Z]{3}_\d{2,3}_\d{2,3}")


def is_v1_name(name: str) -> bool:
    """Return whether a text is the name of a patch of version 1."""
    return _V1_NAME.fullmatch(name) is not None


def is_v2_name(name: str) -> bool:
    """Return whether a text is the name of a patch of version 2, which contains tile and orbit."""
    return _V2_NAME.fullmatch(name) is not None


def is_metadata(path: str) -> bool:
    """Return whether a path under the corpus's folder is a table of version 2."""
    return path.endswith(".parquet")


def read_names(path: str, data: bytes) -> Iterator[str]:
    """Yield the v1 names of a list, from the first of its columns (BigEarthNet-MM's second column has radar patches).

    Raises:
        InputError: a line is not a name, or the list is empty; either would change all later numbers.
    """
    has_names = False
    names = _unpack(path, data).rstrip(END_MARK).decode("utf-8-sig", "replace")
    for n_line, line in enumerate(names.splitlines(), 1):
        name = line.partition(",")[0].strip()
        if name and not is_v1_name(name):
            raise InputError(
                f"{path}, line {n_line}: expected the name of a BigEarthNet v1 patch, found {name[:60]!r}. Samples"
                " are numbered by these lists: move a file that is not a list of patches out of SOURCES/ben"
            )
        if name:
            has_names = True
            yield name
    if not has_names:
        raise InputError(
            f"{path} names no patch, and samples are numbered by these lists: download it again, or move it out of"
            " SOURCES/ben"
        )


def read_metadata(path: Path) -> pa.Table:
    """Return a table of version 2, one row per patch, with the columns of `METADATA_SCHEMA`.

    Raises:
        InputError: it is not such a table.
    """
    columns = METADATA_SCHEMA.names
    try:
        file = open_parquet(path)
        names = file.schema_arrow.names
        if missing := [name for name in columns if name not in names]:
            raise InputError(f"{path} has no column {', '.join(missing)}; it has {names}. {_EXPECTED}")
        table = file.read(columns).select(columns).cast(METADATA_SCHEMA)
        table.validate(full=True)
    except (*FAULTS, SourceFileError) as error:
        raise InputError(f"{path} cannot be read: {error}. {_EXPECTED}") from error
    for name in columns[:2]:
        if table[name].null_count:
            raise InputError(f"{path} has {table[name].null_count} rows without {name}. {_EXPECTED}")
    for name in pc.unique(table["s2v1_name"]).to_pylist():
        if not is_v1_name(name):
            raise InputError(f"{path} has the s2v1_name {name[:60]!r}, which is not a v1 patch. {_EXPECTED}")
    return table


def v1_by_v2(paths: Iterable[Path]) -> dict[str, str]:
    """Return the v1 name of each patch of version 2, from its tables. Raises InputError if one is damaged."""
    columns = ("patch_id", "s2v1_name")
    read = map(read_metadata, paths)
    return {v2: v1 for table in read for v2, v1 in zip(*(table[name].to_pylist() for name in columns), strict=True)}


def patch_indices(names: Iterable[str], lists: Iterable[tuple[str, bytes]]) -> Mapping[str, int]:
    """Return each v1 name's position among the sorted names, given or listed, which is its number in RS5M."""
    known = set(names)
    for path, data in lists:
        known.update(read_names(path, data))
    return {name: index for index, name in enumerate(sorted(known))}


_EXPECTED = (
    "Expected BigEarthNet v2's metadata.parquet (Zenodo 10891137): download it again, or move it out of SOURCES/ben"
)


def _unpack(path: str, data: bytes) -> bytes:
    if not path.endswith(".bz2"):
        return data
    try:
        return bz2.decompress(data)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be unpacked ({error}): download it again") from error
