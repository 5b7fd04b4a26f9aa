"""A build from released tars has their samples, texts and images, without any request."""

from pathlib import Path

import pytest

from flows.ask.dataset import publish_dataset
from flows.ask.report import stage_reports, unbalanced
from flows.corpora.release import as_sources, is_release
from flows.options import given_sources, parse
from flows.preflight.volumes import PACKED, asks_the_web, published_volumes, shares_present
from flows.run.executor import InlineExecutor
from flows.settings import sections_of
from stages import STAGES
from stages.readers.corpora import load_corpora
from tests.released_tars import sample, write_release
from tests.small_build import Build

MODULES = (
    "inventory", "filter", "plan", "download", "labelled", "sample", "screen", "embed", "outliers", "dedup", "caption",
    "geometa", "gpe", "contamination", "shard",
)  # fmt: skip


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    write_release(folder / "train/pub11-train-0000.tar", [("1", sample("laion2b_0_0"))])
    write_release(folder / "val/rs3-val-0000.tar", [("1", sample("ben_0.jpg"))])
    (folder / "val/README.md").write_text("about")
    (folder / "metafiles").mkdir()
    (folder / "metafiles/pub11_metadata.parquet").write_bytes(b"no list of this build")
    return folder


def test_links_show_the_tars_of_the_two_halves(release: Path, tmp_path: Path) -> None:
    assert is_release(release) and not is_release(tmp_path)
    sources = as_sources(release, tmp_path / "build")
    assert as_sources(release, tmp_path / "build") == sources
    found = {path.relative_to(sources).as_posix() for path in sources.rglob("*") if path.is_file()}
    assert found == {"rs5m/train/pub11-train-0000.tar", "rs5m/val/README.md", "rs5mrs3/val/rs3-val-0000.tar"}
    options = parse(["build", "--sources", str(release), "--build", str(tmp_path / "build")])
    assert given_sources(options) == sources


def test_the_check_before_a_build_expects_no_download(release: Path, tmp_path: Path) -> None:
    corpora, sources = load_corpora(), as_sources(release, tmp_path / "build")
    shares = shares_present(sources, corpora, "from-release")
    assert set(shares) == {PACKED, "rs5mrs3"} and all(0 < share < 1e-5 for share in shares.values())
    assert not asks_the_web(sources, corpora, "from-release")
    volumes = published_volumes({PACKED: 1.0, "rs5mrs3": 1.0}, 1.0, STAGES)
    assert volumes["download"].total == 0 and volumes["filter"].pub11 == 3_007_809
    assert volumes["read_labelled"].rs3 == 2_062_377 and volumes["screen"].total == 5_070_186
    (sources / "rs5m/list.csv").write_text("img_name,text,url\n")
    assert asks_the_web(sources, corpora, "from-release")


def test_a_build_from_the_tars_of_a_build_has_its_samples(damaged: Build, tmp_path: Path) -> None:
    dataset = publish_dataset(damaged.ledger(), damaged.sources)
    build_folder = tmp_path / "from-release"
    sections = sections_of("from-release", ["run.reserve_gb=0", "gpe.n_partitions=1", "shard.n_shards=1"])
    build = Build(build_folder, as_sources(dataset, build_folder), sections)
    build.run(InlineExecutor(), MODULES)
    reports = [report for name in MODULES for report in stage_reports(build.ledger(), name)[:1]]
    assert len(reports) == len(MODULES) - 1 and not [report for report in reports if unbalanced(report.rows)]
    columns = ("sample_id", "img_name", "published_text")
    before, after = (
        sorted(one.rows("shard_plan", columns), key=lambda row: str(row["sample_id"])) for one in (damaged, build)
    )
    kept = {row["sample_id"] for row in after}
    assert [row for row in before if row["sample_id"] in kept] == after
    assert {row["sample_id"] for row in before} == {row["sample_id"] for row in build.rows("sample")}
    published = {row["sample_id"]: row["published_sha256"] for row in damaged.rows("shard")}
    found = {**_digests(build, "labelled_image", "sample_id"), **_digests(build, "fetched", "fetch_id")}
    ids = {row["sample_id"]: row["image_id"] for row in build.rows("sample")}
    assert {sample_id: found[ids[sample_id]] for sample_id in published} == published
    assert all(row["body_file"].startswith("sources:") for row in build.rows("fetched"))


def _digests(build: Build, table: str, key: str) -> dict[str, str]:
    return {row[key]: row["body_sha256"] for row in build.rows(table, (key, "body_sha256"))}
