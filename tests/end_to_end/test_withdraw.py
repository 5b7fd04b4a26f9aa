"""Withdrawn samples are removed from their tars, and no other tar changes."""

import hashlib
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.end_to_end.runs import run


def published(dataset: Path) -> dict[str, set[str]]:
    """Return the keys in each tar, by the tar's published name."""
    found = {}
    for path in sorted(dataset.glob("*/*.tar")):
        with tarfile.open(path) as tar:
            found[path.relative_to(dataset).as_posix()] = {name.rsplit(".", 1)[0] for name in tar.getnames()}
    return found


def test_withdrawn_samples_leave_their_tars_and_their_bytes_are_destroyed(small_build: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(small_build, build, symlinks=True)
    rows = pq.read_table(build / "dataset/metafiles/pub11_metadata.parquet").to_pylist()
    # The tar has the fetched bytes of these.
    withdrawn, illegal = [row for row in rows if row["body_sha256"] == row["published_sha256"]][:2]
    bodies = [body_of(build / "dataset", row) for row in (withdrawn, illegal)]
    lists = [tmp_path / name for name in ("withdrawn.txt", "hashes.txt")]
    lists[0].write_bytes(
        f"\ufeff# asked for\r\nurl: {withdrawn['url']}\r\nnobody.example.org\r\nlaion2b_99_9\r\n".encode()
    )
    lists[1].write_bytes(f"{hashlib.md5(bodies[1]).hexdigest().upper()}  # of one\r\n{'ab' * 32}\r\n".encode())
    _check_withdrawal(build, withdrawn, lists[0])

    done = run("build", "--build", build, "--set", f"safety.hash_lists=['{lists[1]}']")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(files_with(build, body) for body in bodies)
    explained = run("explain", illegal["sample_id"], "--build", build).stdout
    assert "hash_listed" in explained and illegal["url"] not in explained and "phash" not in explained

    purged = run("gc", "--build", build, "--purge")
    assert purged.returncode == 0 and "2 bodies destroyed" in purged.stdout, purged.stdout + purged.stderr
    assert [files_with(build, body) for body in bodies] == [[], []]
    verified = run("verify", "--build", build)
    assert verified.returncode == 0, verified.stdout
    again = run("build", "--build", build)
    assert again.returncode == 0 and again.stdout.startswith("nothing to do"), again.stdout
    left = {row["sample_id"] for row in pq.read_table(build / "dataset/metafiles/pub11_metadata.parquet").to_pylist()}
    assert illegal["url"] not in str(pq.read_table(build / "dataset/metafiles/crosswalk.parquet").to_pylist())
    assert {row["sample_id"] for row in rows} - left == {withdrawn["sample_id"], illegal["sample_id"]}


def _check_withdrawal(build: Path, withdrawn: dict[str, Any], entries: Path) -> None:
    before, key = published(build / "dataset"), withdrawn["sample_id"]
    tar = f"{withdrawn['split']}/{withdrawn['shard']}.tar"
    bytes_before = {name: (build / "dataset" / name).read_bytes() for name in before}
    done = run("withdraw", entries, "--build", build)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 samples withdrawn by 1 of the entries" in done.stdout
    assert "2 entries name nothing that would be published: laion2b_99_9, nobody.example.org" in done.stdout
    after = published(build / "dataset")
    assert after == {**before, tar: before[tar] - {key}}
    unchanged = {name for name in before if (build / "dataset" / name).read_bytes() == bytes_before[name]}
    assert unchanged == before.keys() - {tar}
    named = str(pq.read_table(build / "dataset/metafiles/crosswalk.parquet").to_pylist())
    assert withdrawn["url"] not in named and next(iter(after[tar])) in named
    again = run("withdraw", entries, "--build", build)
    assert again.returncode == 0 and "no tar has changed" in again.stdout


def files_with(build: Path, body: bytes) -> list[str]:
    """Return the files of a build that hold a body; the generated web behind it is no part of the build."""
    paths = [p for p in build.rglob("*") if p.is_file() and "world" not in p.relative_to(build).parts]
    return [str(p.relative_to(build)) for p in paths if body in p.read_bytes()]


def body_of(dataset: Path, row: dict[str, Any]) -> bytes:
    with tarfile.open(dataset / row["split"] / f"{row['shard']}.tar") as tar:
        member = tar.extractfile(f"{row['sample_id']}.img_content")
        assert member is not None
        return member.read()
