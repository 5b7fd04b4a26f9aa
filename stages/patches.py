"""Patches: what BigEarthNet's published lists and tables say of each patch, as a table that other stages depend on.

Not for reading patches or for choosing among them: that is labelled.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpora import Corpus, load_corpora
from schemas.tables import PATCH
from stages.contract import Context, Given, InputError, Inputs, Outcome, Reads, Stage, no_rejects
from stages.labelled_sources import ben, ben_lists

_METADATA_COLUMNS = ("patch_id", "s2v1_name", "labels", "split", "country")


def list_patches(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per patch among the source files, under its sample's name.

    Raises:
        InputError: a list is gone or changed, or is none.
    """
    files = inputs["source_file"].filter(pc.equal(inputs["source_file"]["corpus"], "ben"))
    is_list = pc.is_null(files["source_sample"])
    lists = {
        row["path"]: _read_list(context.sources, row["path"], row["file_sha256"])
        for row in files.filter(is_list).sort_by("path").to_pylist()
    }
    metadata = _metadata(lists)
    snow, cloud = (_listed(lists, name) for name in (ben_lists.SNOW, ben_lists.CLOUD))
    corpus = load_corpora()["ben"]
    samples = files.filter(pc.invert(is_list)).group_by("source_sample").aggregate([("path", "min")])
    rows = []
    for row in samples.sort_by("source_sample").to_pylist():
        facts = _facts(row["path_min"], corpus, metadata)
        v1_patch = facts["v1_patch"]
        rows.append(
            {
                "sample_id": row["source_sample"],
                **facts,
                "has_seasonal_snow": None if snow is None else v1_patch in snow,
                "has_cloud_or_shadow": None if cloud is None else v1_patch in cloud,
                "partition": ben.partition_of(int(row["source_sample"].partition("_")[2])),
            }
        )
    return Outcome(pa.Table.from_pylist(rows, schema=PATCH.schema), no_rejects(PATCH))


def _read_list(sources: Path, path: str, sha256: str) -> bytes:
    try:
        data = (sources / path).read_bytes()
    except OSError as error:
        raise InputError(
            f"source file {path} cannot be read ({error.strerror}): samples are numbered and chosen by it. Restore it"
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            f"source file {path} is not as inventory saw it: restore it, or run `make stage-inventory` to take it as"
            " it is"
        )
    return data


def _metadata(lists: Mapping[str, bytes]) -> Mapping[str, Mapping[str, Any]]:
    """Return version 2's row of each patch, by its name in either version; the first by name where there are two."""
    tables = [
        ben_lists.read_metadata(path, data, _METADATA_COLUMNS)
        for path, data in lists.items()
        if ben_lists.is_metadata(path)
    ]
    if not tables:
        return {}
    rows = pa.concat_tables(tables).sort_by([("patch_id", "descending")]).to_pylist()
    return {row[name]: row for name in ("s2v1_name", "patch_id") for row in rows}


def _listed(lists: Mapping[str, bytes], name: str) -> set[str] | None:
    """Return the patches on the lists of this name, None where there is none."""
    found: list[Iterable[str]] = [
        ben_lists.read_names(path, data) for path, data in lists.items() if ben_lists.list_name(path) == name
    ]
    return set().union(*found) if found else None


def _facts(path: str, corpus: Corpus, metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    match = corpus.match_file(path.partition("/")[2])
    if match is None:
        raise InputError(f"the manifest of {corpus.code} has changed: run `make stage-inventory` first")
    patch = ben.patch_of(match)
    row = metadata.get(patch)
    if row is None and ben_lists.is_v2_name(patch):
        raise InputError(f"the tables of version 2 do not name {patch} any more: run `make stage-inventory` first")
    row = row or {}
    return {
        "v1_patch": row.get("s2v1_name", patch),
        "v2_patch": row.get("patch_id"),
        "v2_labels": row.get("labels"),
        "v2_split": row.get("split"),
        "v2_country": row.get("country"),
    }


LIST_PATCHES = Stage(
    name="list_patches",
    module="labelled",
    version=1,
    does="Says of each BigEarthNet patch what the published lists and tables say of it.",
    reads=(Reads("source_file", ("corpus", "path", "file_sha256", "source_sample"), is_whole=True),),
    writes=PATCH,
    grain="map",
    given=Given(
        query="SELECT DISTINCT source_sample AS sample_id FROM source_file"
        " WHERE corpus = 'ben' AND source_sample IS NOT NULL"
    ),
    run=list_patches,
    split_by="partition",
)
