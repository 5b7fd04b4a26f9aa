"""A dataset is made again from its release metadata: the same tars of the same bytes, and every loss by its reason."""

import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows.ask.compare import compare
from flows.ask.release_metadata import read_about, write_release_metadata
from flows.card.facts import build_facts
from flows.corpora.metafile import as_sources
from flows.make import arguments
from flows.options import command_again, parse
from flows.run.executor import InlineExecutor
from flows.run.rebuild import made_again
from flows.settings import sections_of
from stages.contract import InputError, Reads
from stages.shard.stated import read_stated
from tests.small_build import Build, Web

MODULES = (
    "inventory", "filter", "plan", "download", "labelled", "sample", "screen", "embed", "outliers", "dedup", "caption",
    "geometa", "gpe", "contamination", "shard",
)  # fmt: skip


def rebuilt(path: Path, folder: Path) -> Build:
    """Return a build made again from a file of release metadata, as the command makes it."""
    stated = json.dumps(str(path))
    said = [f"download.stated={stated}", f"shard.stated={stated}", f"shard.n_shards={read_about(path)['n_shards']}"]
    own = ["run.reserve_gb=0", "gpe.n_partitions=1", "download.allow_loopback=true", "download.passes=1"]
    build = Build(folder, as_sources(path, folder), sections_of("rebuild", [*said, *own]))
    build.run(InlineExecutor(), MODULES)
    return build


def bodies(build: Build) -> dict[str, dict[str, bytes]]:
    """Return the members of each PUB11 tar with samples."""
    ledger, found = build.ledger(), {}
    for receipt in ledger.state(ledger.writer["shard"]).receipts:
        if receipt.partition.startswith("pub11-") and receipt.n_kept:
            with tarfile.open(ledger.store.path(f"{receipt.folder}/{receipt.body['files'][0]['file']}")) as tar:
                found[receipt.partition] = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    return found


def test_the_same_bytes_make_the_same_tars_and_losses_have_reasons(
    damaged: Build, small_web: Web, tmp_path: Path
) -> None:
    path = tmp_path / "release-metadata.parquet"
    n_rows, n_without = write_release_metadata(damaged.ledger(), path)
    rows = pq.read_table(path)
    assert rows.num_rows == n_rows and n_without == pc.sum(pc.equal(rows["half"], "rs3")).as_py() > 0
    assert not {"caption", "img_content", "body_file"} & set(rows.column_names)
    web = rows.filter(pc.equal(rows["half"], "pub11"))["sample_id"].to_pylist()

    build = rebuilt(path, tmp_path / "again")
    assert bodies(build) == bodies(damaged)
    (total,) = [row for row in made_again(build.ledger(), path).rows if row["corpus"] == "Total"]
    assert total == {
        "corpus": "Total", "stated": n_rows, "identical": len(web), "other_bytes": 0, "other_text_or_tar": 0,
        "lost": n_without,
    }  # fmt: skip

    facts = build_facts(build.ledger(), None)  # stages that are off have no model to look up
    assert facts["models"] == [] and {s["name"]: s["tools"] for s in facts["stages"]}["embed"] == {}

    changed, gone = web[0], web[1]
    columns = {name: rows[name].to_pylist() for name in ("sample_id", "body_sha256", "url")}
    for i, sample_id in enumerate(columns["sample_id"]):
        if sample_id == changed:
            columns["body_sha256"][i] = "0" * 64
        if sample_id == gone:
            columns["url"][i] = small_web.url("/gone")
    for name in ("body_sha256", "url"):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(columns[name], pa.string()))
    pq.write_table(rows, path)
    build = rebuilt(path, tmp_path / "again")
    reads = Reads("fetched", ("reason", "detail"), is_whole=True, section="rejects")
    found = {row["reason"]: row["detail"] for row in build.ledger().read(reads).to_pylist()}
    assert set(found) == {"changed_body", "http_not_found"} and "stated 0000000000000000" in found["changed_body"]
    lost, _ = compare(build.ledger(), path, tmp_path / "rebuild.csv")
    (total,) = [row for row in lost.rows if row["corpus"] == "Total"]
    assert total["published"] == n_rows and total["kept"] == len(web) - 2 and total["settle: changed_body"] == 1
    assert (tmp_path / "rebuild.csv").read_text().count("\n") == n_rows + 1


def test_other_files_are_refused(tmp_path: Path, finished: Build) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(InputError, match="cannot be read"):
        read_about(path)
    pq.write_table(pa.table({"url": ["x"]}), path)
    with pytest.raises(InputError, match=r"columns .*body_sha256.* are missing"):
        read_about(path)
    with pytest.raises(InputError, match="expected a file of `make release-metadata`"):
        read_stated(path)
    twice = {name: ["x", "x"] for name in ("sample_id", "body_sha256", "split", "shard")}
    pq.write_table(pa.table(twice), path)
    with pytest.raises(InputError, match="1 samples are named twice"):
        read_stated(path)


def test_the_command_remembers_nothing_but_its_file(tmp_path: Path) -> None:
    words = arguments(["rebuild"], {"FROM": "m.parquet", "BUILD": str(tmp_path), "OUT": "r.csv"})
    options = parse(words)
    assert (options.profile, str(options.from_file), str(options.out)) == ("rebuild", "m.parquet", "r.csv")
    assert command_again(options).startswith("make rebuild FROM=m.parquet PROFILE=rebuild BUILD=")
