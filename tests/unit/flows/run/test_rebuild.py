"""A dataset is made again from its release metadata: the same tars of the same bytes, and every loss by its reason."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows.ask.compare import NOT_IN_SOURCES, compare
from flows.ask.release_metadata import read_about, write_release_metadata
from flows.card.facts import build_facts
from flows.corpora.metafile import as_sources
from flows.ledger.digests import digest_file
from flows.make import arguments
from flows.options import command_again, given_sources, parse, remember
from flows.run.executor import InlineExecutor
from flows.run.rebuild import count_labelled, made_again, stated_settings
from flows.settings import sections_of
from schemas.fields import FIELD
from stages.contract import InputError, Reads
from stages.stated import CARRIED, COLUMNS, MATCHES, RIGHTS, SCORES, read_stated
from tests.small_build import Build, Web

MODULES = (
    "inventory", "filter", "plan", "download", "labelled", "sample", "screen", "embed", "outliers", "dedup", "caption",
    "geometa", "gpe", "contamination", "shard",
)  # fmt: skip

# Other values than the corpora, the image and the stages have.
SAID = {
    "keywords": ["river"], "native_id": "n1", "nsfw": "UNLIKELY", "punsafe": 0.25, "pwatermark": 0.5,
    "published_width_px": 7, "published_height_px": 5, "image_licence": "CC0-1.0", "latitude_deg": 47.4,
    "longitude_deg": 8.5, "country_code": "DEU", "taken_at": "2012-04-02T10:32:22Z", "meta_caption": "Seen from above.",
    "places": ["Zurich"], "group_key": "g1", "cluster_id": "c1", "cluster_n_samples": 4,
    "caption_sources": ["meta", "web"],
}  # fmt: skip


def rebuilt(path: Path, folder: Path, sources: Path) -> Build:
    """Return a build made again from a file of release metadata and labelled corpora, as the command makes it."""
    said = stated_settings(path, read_about(path), has_sources=True)
    own = [
        "run.reserve_gb=0",
        "gpe.n_partitions=1",
        "gpe.max_words=1",
        "download.allow_loopback=true",
        "download.passes=1",
    ]
    build = Build(folder, as_sources(path, folder, sources), sections_of("rebuild", [*said, *own]))
    build.run(InlineExecutor(), MODULES)
    return build


def digests(build: Build) -> dict[str, str]:
    """Return the sha256 of each tar with samples."""
    ledger = build.ledger()
    receipts = [r for r in ledger.state(ledger.writer["shard"]).receipts if r.n_kept]
    return {r.partition: digest_file(ledger.store.path(f"{r.folder}/{r.body['files'][0]['file']}")) for r in receipts}


def altered(rows: pa.Table, column: str, values: dict[str, Any]) -> pa.Table:
    """Return the rows with other values of some samples."""
    new = [values.get(i, old) for i, old in zip(rows["sample_id"].to_pylist(), rows[column].to_pylist(), strict=True)]
    return rows.set_column(rows.column_names.index(column), column, pa.array(new, FIELD[column].type))


def rejected(build: Build, table: str) -> dict[str, str]:
    """Return a detail of each reason in the rejects of a table."""
    reads = Reads(table, ("reason", "detail"), is_whole=True, section="rejects")
    return {row["reason"]: row["detail"] for row in build.ledger().read(reads).to_pylist()}


def test_the_same_bytes_make_the_same_tars_and_losses_have_reasons(
    finished: Build, small_web: Web, tmp_path: Path
) -> None:
    path = tmp_path / "release-metadata.parquet"
    n_rows, n_labelled, n_lost = write_release_metadata(finished.ledger(), path)
    rows = pq.read_table(path)
    assert rows.num_rows == n_rows and n_labelled == count_labelled(path) > 0 and n_lost == 0
    assert not {"caption", "img_content", "body_file"} & set(rows.column_names)
    web = rows.filter(pc.equal(rows["half"], "pub11"))["sample_id"].to_pylist()

    build = rebuilt(path, tmp_path / "again", finished.sources)
    assert digests(build) == digests(finished)
    assert {name.partition("-")[0] for name in digests(build)} == {"pub11", "rs3"}
    (total,) = [row for row in made_again(build.ledger(), path).rows if row["corpus"] == "Total"]
    assert total == {
        "corpus": "Total", "stated": n_rows, "identical": n_rows, "other_bytes": 0, "other_text_or_tar": 0, "lost": 0
    }  # fmt: skip

    own, again = ({row["sample_id"]: row for row in made.rows("metafile")} for made in (finished, build))
    differing = {name for key, row in own.items() for name, value in row.items() if again[key][name] != value}
    assert not differing and own.keys() == again.keys()
    assert {row["caption_model_licence"] for row in again.values()} > {None}

    facts = build_facts(build.ledger(), None)  # stages that are off have no model to look up
    assert facts["models"] == [] and {s["name"]: s["tools"] for s in facts["stages"]}["embed"] == {}

    labelled = rows.filter(pc.equal(rows["half"], "rs3"))["sample_id"].to_pylist()
    other = "fmow_gone_1_0_rgb"
    rows = altered(rows, "body_sha256", {web[0]: "0" * 64})
    rows = altered(rows, "published_sha256", {labelled[0]: "1" * 64})
    rows = altered(rows, "url", {web[1]: small_web.url("/gone")})
    for name, value in SAID.items():
        rows = altered(rows, name, {web[2]: value})
    rows = altered(rows, "img_name", {labelled[1]: f"{other}.jpg"})
    pq.write_table(altered(rows, "sample_id", {labelled[1]: other}), path)
    build = rebuilt(path, tmp_path / "again", finished.sources)
    assert rejected(build, "fetched").keys() == {"changed_body", "http_not_found"}
    assert "stated 0000000000000000" in rejected(build, "fetched")["changed_body"]
    assert "stated 1111111111111111" in rejected(build, "shard_plan")["publication_changed"]
    assert "not_stated" in rejected(build, "labelled_image")
    (row,) = [row for row in build.rows("metafile") if row["sample_id"] == web[2]]
    assert {name: row[name] for name in SAID} == SAID and (row["utm_epsg"], row["month"]) == (32632, 4)
    lost, _, _ = compare(build.ledger(), path, tmp_path / "rebuild.csv")
    (total,) = [row for row in lost.rows if row["corpus"] == "Total"]
    assert total == {
        "corpus": "Total", "published": n_rows, "kept": n_rows - 4, "lost": 4, "reduce_attempts: changed_body": 1,
        "reduce_attempts: http_not_found": 1, "plan_shards: publication_changed": 1, f"inventory: {NOT_IN_SOURCES}": 1,
    }  # fmt: skip
    assert (tmp_path / "rebuild.csv").read_text().count("\n") == n_rows + 1


def test_all_that_is_carried_is_tried() -> None:
    assert SAID.keys() | {*RIGHTS, *MATCHES, *SCORES} == set(CARRIED)


def test_other_files_are_refused(tmp_path: Path, finished: Build) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(InputError, match="cannot be read"):
        read_about(path)
    pq.write_table(pa.table({"url": ["x"]}), path)
    with pytest.raises(InputError, match=r"columns .*body_sha256.* are missing"):
        read_about(path)
    with pytest.raises(InputError, match="expected a file of `make release-metadata`"):
        read_stated(path)
    twice = {name: ["x", "x"] for name in COLUMNS}
    pq.write_table(pa.table(twice), path)
    with pytest.raises(InputError, match="expected each sample once, found 1 repeated row"):
        read_stated(path)


def test_labelled_corpora_are_named_by_sources(tmp_path: Path) -> None:
    path, folder = tmp_path / "m.parquet", tmp_path / "sources"
    pq.write_table(pa.table({"url": ["x"]}), path)
    folder.mkdir()
    with pytest.raises(InputError, match=r"one folder per labelled corpus \(fmow, ben, millionaid"):
        as_sources(path, tmp_path, folder)
    (folder / "ben").mkdir()
    (folder / "laion2b").mkdir()
    words = arguments(["rebuild"], {"FROM": str(path), "SOURCES": str(folder), "BUILD": str(tmp_path / "b")})
    options = parse(words)
    options.metafile = options.from_file
    made = given_sources(options)
    assert made is not None and sorted(p.name for p in made.iterdir()) == ["ben", "rs5m"]
    assert f"SOURCES={folder}" in command_again(options)
    remember(options)
    again = parse(arguments(["rebuild"], {"FROM": str(path), "BUILD": str(tmp_path / "b")}))
    again.metafile = again.from_file
    assert given_sources(again) == made  # a later run needs no SOURCES


def test_the_command_remembers_nothing_but_its_file(tmp_path: Path) -> None:
    words = arguments(["rebuild"], {"FROM": "m.parquet", "BUILD": str(tmp_path), "OUT": "r.csv"})
    options = parse(words)
    assert (options.profile, str(options.from_file), str(options.out)) == ("rebuild", "m.parquet", "r.csv")
    assert command_again(options).startswith("make rebuild FROM=m.parquet PROFILE=rebuild BUILD=")
