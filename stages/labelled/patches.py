"""A stage that collects BigEarthNet's published lists and tables in one table for other stages.

Patches are read and selected in stage.py.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.manifest_files import ManifestError
from schemas.tables import PATCH
from stages.contract import Context, Given, InputError, Inputs, Outcome, Reads, Stage, no_rejects
from stages.readers.ben import lists as ben_lists
from stages.readers.ben.numbers import patch_of
from stages.readers.ben.reader import partition_of
from stages.readers.corpora import load_corpus
from stages.readers.labelled_records import list_name


def list_patches(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per patch among the source files, by sample_id.

    Raises:
        InputError: a list is missing, changed or invalid.
    """
    files = inputs["source_file"].filter(pc.equal(inputs["source_file"]["corpus"], "ben"))
    is_list = pc.is_null(files["sample_id"])
    lists = {
        row["path"]: _read_list(context.sources, row["path"], row["file_sha256"])
        for row in files.filter(is_list).sort_by("path").to_pylist()
    }
    samples = files.filter(pc.invert(is_list)).group_by("sample_id").aggregate([("path", "min")])
    samples = samples.sort_by("sample_id")
    columns = _facts(_patches(samples["path_min"]), _metadata(context.sources, lists))
    columns |= {
        "sample_id": samples["sample_id"],
        "has_seasonal_snow": _is_listed(columns["v1_patch"], lists, ben_lists.SNOW),
        "has_cloud_or_shadow": _is_listed(columns["v1_patch"], lists, ben_lists.CLOUD),
        "partition": [partition_of("ben", int(name.partition("_")[2])) for name in samples["sample_id"].to_pylist()],
    }
    table = pa.table({name: columns[name] for name in PATCH.schema.names}).cast(PATCH.schema)
    return Outcome(table.combine_chunks(), no_rejects(PATCH))


def _read_list(sources: Path, path: str, sha256: str) -> bytes:
    try:
        data = (sources / path).read_bytes()
    except OSError as error:
        raise InputError(
            f"source file {path} cannot be read ({error.strerror}): samples are numbered by it. Restore it"
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            f"source file {path} has changed since inventory: restore it, or run `make stage-inventory` to use the"
            " new one"
        )
    return data


def _metadata(sources: Path, lists: Mapping[str, bytes]) -> pa.Table:
    """Return version 2's rows of all tables, in the order of their names."""
    tables = [ben_lists.read_metadata(sources / path) for path in lists if ben_lists.is_metadata(path)]
    return pa.concat_tables([ben_lists.METADATA_SCHEMA.empty_table(), *tables]).sort_by("patch_id").combine_chunks()


def _patches(paths: pa.ChunkedArray) -> list[str]:
    """Return the name, in either version, of the patch that each path belongs to."""
    if not len(paths):
        return []
    try:
        corpus = load_corpus("ben")
    except ManifestError as error:
        raise InputError(f"{error}. Correct it, and run again") from error
    patches = []
    for path in paths.to_pylist():
        match = corpus.match_file(path.partition("/")[2])
        if match is None:
            raise InputError(f"the manifest of {corpus.code} has changed: run `make stage-inventory` first")
        patches.append(patch_of(match))
    return patches


def _facts(patches: Sequence[str], metadata: pa.Table) -> dict[str, Any]:
    """Return the names of patches in both versions, and version 2's entries, null if it is in no table."""
    row_of: dict[str, int] = {}
    for column in ("s2v1_name", "patch_id"):
        for n, name in enumerate(metadata[column].to_pylist()):
            row_of.setdefault(name, n)  # the first of several patches of version 2 with one name in version 1
    rows = [row_of.get(patch) for patch in patches]
    for patch, row in zip(patches, rows, strict=True):
        if row is None and ben_lists.is_v2_name(patch):
            raise InputError(f"the tables of version 2 no longer name {patch}: run `make stage-inventory` first")
    found = metadata.take(pa.array(rows, pa.int64()))
    return {
        "v1_patch": pc.coalesce(found["s2v1_name"], pa.array(patches, pa.string())),
        "v2_patch": found["patch_id"],
        "v2_labels": found["labels"],
        "v2_split": found["split"],
        "v2_country": found["country"],
    }


def _is_listed(v1_patches: pa.ChunkedArray, lists: Mapping[str, bytes], name: str) -> Any:
    """Return whether patches are on the lists of this name, nulls if there is no such list."""
    found = [ben_lists.read_names(path, data) for path, data in lists.items() if list_name(path) == name]
    if not found:
        return pa.nulls(len(v1_patches), pa.bool_())
    return pc.is_in(v1_patches, pa.array(sorted(set().union(*found)), pa.string()))


LIST_PATCHES = Stage(
    name="list_patches",
    module="labelled",
    version=1,
    does="Collects each BigEarthNet patch's entries from the published lists and tables.",
    reads=(Reads("source_file", ("corpus", "path", "file_sha256", "sample_id"), is_whole=True),),
    writes=PATCH,
    grain="map",
    given=Given(
        query="SELECT DISTINCT sample_id FROM source_file WHERE corpus = 'ben' AND sample_id IS NOT NULL",
        inputs=("source_file",),
    ),
    run=list_patches,
    split_by="partition",
)
