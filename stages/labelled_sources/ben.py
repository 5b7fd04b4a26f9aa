"""BigEarthNet v1: a folder of single-band GeoTIFFs and a label record makes one sample, rendered to a JPEG.

A sample's number is its patch's position in the plain sort of all patch names, as in RS5M. Not for rendering itself.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.contract import InputError
from stages.labelled_sources.sample import (
    Files,
    Place,
    ReadFile,
    Sample,
    SampleFault,
    number,
    parse_record,
    position,
    text,
    utc,
)

PATCHES_PER_PARTITION = 1000
RGB_BANDS = ("B04", "B03", "B02")
RECORD = "labels_metadata"
_PATCH = re.compile(r"S2[AB]_MSIL2A_\d{8}T\d{5,6}_\d{1,3}_\d{1,3}")
_LAST_AUTHORITY = re.compile(r'AUTHORITY\["EPSG",\s*"(\d+)"\]\s*\]\s*$')

Render = Callable[[Mapping[str, bytes]], bytes]


def place(path: str, found: re.Match[str], index: int) -> Place:
    """Return where a file of the patch with this position belongs."""
    role = path.removesuffix(".tif").removesuffix(".json").rpartition(found["patch"] + "_")[2]
    return Place(f"ben_{index}", f"ben-{index // PATCHES_PER_PARTITION:05d}", role)


def is_patch(name: str) -> bool:
    """Return whether a folder is named like a patch of version 1."""
    return _PATCH.fullmatch(name) is not None


def patch_indices(patches: Iterable[str], lists: Iterable[Path]) -> dict[str, int]:
    """Return the position of each patch name in the plain sort of all names, those on the published lists included.

    Raises:
        InputError: when a list of names has a line that is none: every number behind it would be another.
    """
    names = set(patches)
    for path in lists:
        names.update(_listed(path))
    return {name: index for index, name in enumerate(sorted(names))}


def _listed(path: Path) -> Iterator[str]:
    """Yield the patch names of a list: the first column, where there are two (BigEarthNet-MM names radar patches)."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for n_line, line in enumerate(file, 1):
            name = line.partition(",")[0].strip()
            if name and not is_patch(name):
                raise InputError(
                    f"{path}, line {n_line}: expected the name of a BigEarthNet v1 patch, found {name[:60]!r}. Samples"
                    " are numbered by these lists: move a file that is no list of patches out of SOURCES/ben"
                )
            if name:
                yield name


def read(sample_id: str, files: Files, read_file: ReadFile, render: Render) -> Sample:
    """Return a patch as a picture of its red, green and blue bands, with its labels, place and time.

    Raises:
        SampleFault: the record or a band is missing or unreadable.
    """
    folder = next(iter(files.values())).path.rpartition("/")[0]
    file = files.get(RECORD)
    if file is None:
        raise SampleFault("missing_metadata", f"{folder} has no {RECORD}.json")
    record = parse_record(read_file(file), file)
    labels = record.get("labels")
    if not isinstance(labels, list) or None in map(text, labels):
        raise SampleFault("bad_metadata", f"{file.path}: expected labels, a list of texts, found {str(labels)[:60]}")
    if missing := [band for band in RGB_BANDS if band not in files]:
        raise SampleFault("missing_band", f"{folder} has no {', '.join(missing)}")
    jpeg = render({band: read_file(files[band]) for band in RGB_BANDS})
    columns = {**_position(record), "stated_datetime": utc(record.get("acquisition_date")), "gsd_m": 10.0}
    return Sample(folder, jpeg, sample_id, labels, columns)


def _position(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the centre of a patch; nothing where its corners or their UTM zone are not stated."""
    corners = record.get("coordinates")
    edges = [number(corners.get(name)) for name in ("ulx", "lrx", "uly", "lry")] if isinstance(corners, dict) else []
    projection = record.get("projection")
    found = _LAST_AUTHORITY.search(projection) if isinstance(projection, str) else None
    epsg = int(found[1]) if found else 0
    if not edges or None in edges or not (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760):
        return {}
    left, right, top, bottom = (float(edge or 0) for edge in edges)
    longitude_deg, latitude_deg = _to_degrees(epsg)((left + right) / 2, (top + bottom) / 2)
    return position(latitude_deg, longitude_deg)


@lru_cache
def _to_degrees(epsg: int) -> Callable[[float, float], tuple[float, float]]:
    from pyproj import Transformer

    transform: Callable[[float, float], tuple[float, float]] = Transformer.from_crs(
        epsg, 4326, always_xy=True
    ).transform
    return transform
