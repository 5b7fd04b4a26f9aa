"""Bad input and wrong use end in a clear message and a non-zero exit code; finished partitions are kept."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.cli import main
from tests.conftest import SmallDisk
from tests.end_to_end.runs import assert_identical, receipts, run


@pytest.fixture
def sources(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world's source files that a test may damage."""
    return Path(shutil.copytree(small_world / "sources", tmp_path / "sources"))


def _filter(sources: Path, build: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run("stage", "inventory", "filter", "--sources", sources, "--build", build, *words)


def _parquet(sources: Path) -> Path:
    return sorted((sources / "laion2b").glob("*.parquet"))[0]


def test_damaged_files_do_not_end_a_run_and_stay_marked(sources: Path, tmp_path: Path) -> None:
    file, build = _parquet(sources), tmp_path / "build"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    emptied = sorted((sources / "coyo700m").glob("*.parquet"))[0]
    os.truncate(emptied, 0)
    no_parquet = sources / "laion2b" / file.name.replace("part-00000", "part-00099")
    no_parquet.write_bytes(b"not a parquet file at all")
    os.truncate(sources / "cc3m" / "Train_GCC-training.tsv", 0)
    done = _filter(sources, build)
    assert done.returncode == 0, done.stdout
    damaged = [f"laion2b/{file.name}", f"coyo700m/{emptied.name}", f"laion2b/{no_parquet.name}"]
    assert all(name in done.stdout for name in damaged), done.stdout
    assert "empty_file 2" in done.stdout and "filter.accept_damaged" in done.stdout
    assert run("stage", "plan", "--build", build, "--sources", sources).returncode == 0
    before = receipts(build)
    accepting = f"filter.accept_damaged={json.dumps(damaged)}"
    accepted = _filter(sources, build, "--set", accepting)
    assert accepted.returncode == 0 and "filter.accept_damaged" not in accepted.stdout
    assert receipts(build).items() >= before.items()
    file.write_bytes(whole)
    mended = _filter(sources, build, "--set", f"filter.accept_damaged={json.dumps(damaged[1:])}")
    assert mended.returncode == 0 and "filter.accept_damaged" not in mended.stdout
    assert "partitions were done)" in mended.stdout


def test_a_missing_source_file_is_named_with_what_to_do(sources: Path, tmp_path: Path) -> None:
    assert run("stage", "inventory", "--sources", sources, "--build", tmp_path / "build").returncode == 0
    file = _parquet(sources)
    file.unlink()
    done = run("stage", "filter", "--sources", sources, "--build", tmp_path / "build")
    assert done.returncode == 1
    assert file.name in done.stdout
    assert "restore it" in done.stdout


def test_a_wrong_checksum_stops_the_inventory(sources: Path, tmp_path: Path) -> None:
    (sources / "cc3m" / "SHA256SUMS").write_text(f"{'0' * 64}  Train_GCC-training.tsv\n")
    done = run("stage", "inventory", "--sources", sources, "--build", tmp_path / "build")
    assert done.returncode == 1
    assert "SHA256SUMS states" in done.stdout


def test_an_empty_corpus_is_named(sources: Path, tmp_path: Path) -> None:
    for file in (sources / "cc3m").iterdir():
        file.unlink()
    done = run("stage", "inventory", "--sources", sources, "--build", tmp_path / "build")
    assert done.returncode == 1
    assert "cc3m has no file named like" in done.stdout
    chosen = run(
        "stage", "inventory", "--sources", sources, "--build", tmp_path / "build",
        "--set", 'inventory.corpora=["laion2b", "coyo700m"]',
    )  # fmt: skip
    assert chosen.returncode == 0


def test_missing_sources_are_explained(tmp_path: Path) -> None:
    named = ("--set", "download.contact=you@example.org")
    done = run("build", "--profile", "paper", "--build", tmp_path / "build", *named)
    assert done.returncode != 0
    assert "SOURCES" in done.stdout


@pytest.mark.parametrize(
    ("setting", "reported"),
    [
        ("dedup.max_distanc=3", "did you mean 'max_distance'"),
        ("dedub.max_distance=3", "did you mean 'dedup'"),
        ("dedup.max_distance=ten", "max_distance"),
        ("dedup.max_distance=-1", "greater than or equal to 0"),
        ("max_distance", "section.key=value"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_nearest_name(
    tmp_path: Path, setting: str, reported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--set", setting, "--build", str(tmp_path)]) == 2
    assert reported in capsys.readouterr().out


@pytest.mark.needs_root
def test_a_full_disk_stops_the_run_and_loses_nothing(
    small_world: Path, small_build: Path, small_disk: SmallDisk
) -> None:
    small_disk.resize(3 << 20)
    build = small_disk.path / "build"
    build.mkdir()
    (build / "world").symlink_to(small_world)
    early = run("build", "--build", build)
    assert early.returncode == 2
    assert "MB" in early.stdout or "GB" in early.stdout
    assert "free" in early.stdout
    unchecked = run("build", "--build", build, "--set", "run.reserve_gb=0", "--set", "run.retries=0")
    assert unchecked.returncode in (1, 2)
    assert "free" in unchecked.stdout
    done_so_far = receipts(build)
    assert done_so_far
    small_disk.resize(400 << 20)
    done = run("build", "--build", build, "--set", "run.reserve_gb=0")
    assert done.returncode == 0, done.stdout
    assert done_so_far.items() <= receipts(build).items()
    assert_identical(build, small_build)


def test_damaged_receipts_and_files_are_named_set_aside_and_made_again(small_build: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(small_build, tmp_path / "build", symlinks=True))
    cut, changed, emptied = sorted(build.glob("image/*/*/receipt.json"))[:3]
    text = changed.read_text()
    changed.write_text(text.replace(f'"n_rows": {json.loads(text)["kept"]["n_rows"]}', '"n_rows": 1'))
    os.truncate(cut, cut.stat().st_size // 2)
    os.truncate(emptied, 0)
    file = sorted(build.glob("planned/*/*/*.kept.parquet"))[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(data)
    found = run("verify", "--build", build, "--repair")
    assert found.returncode == 1
    for damaged in (cut.parent, changed.parent, emptied.parent):
        assert str(damaged.relative_to(build)) in found.stdout
    assert file.name in found.stdout
    assert run("build", "--build", build).returncode == 0
    assert run("verify", "--build", build).returncode == 0
    assert_identical(build, small_build)
