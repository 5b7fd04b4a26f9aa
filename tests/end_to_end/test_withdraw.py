"""Withdrawn samples are removed from their tars, and no other tar changes."""

import hashlib
import re
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
    rows = read_rows(build)
    # The tar has the fetched or rendered bytes of these.
    same = [row for row in rows if row["body_sha256"] == row["published_sha256"]]
    withdrawn, illegal = [row for row in same if row["half"] == "pub11"][:2]
    patch, photo = (next(row for row in same if row["corpus"] == code) for code in ("ben", "fmow"))
    bodies = [body_of(build / "dataset", row) for row in (withdrawn, illegal, patch)]
    lists = [tmp_path / name for name in ("withdrawn.txt", "hashes.txt")]
    lists[0].write_bytes(
        f"\ufeff# asked for\r\nurl: {withdrawn['url']}\r\n{patch['sample_id']}\r\nnobody.example.org\r\n"
        "laion2b_99_9\r\n".encode()
    )
    hashes = (f"{hashlib.md5(bodies[1]).hexdigest().upper()}  # of one", "ab" * 32, photo["body_sha256"])
    lists[1].write_bytes("".join(f"{text}\r\n" for text in hashes).encode())
    _check_withdrawal(build, (withdrawn, patch), lists[0])

    done = run("build", "--build", build, "--set", f"safety.hash_lists=['{lists[1]}']")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 bodies of withdrawn or hash-listed images left" in done.stdout
    assert all(files_with(build, body) for body in bodies)
    explained = run("explain", illegal["sample_id"], "--build", build).stdout
    assert "hash_listed" in explained and illegal["url"] not in explained and "phash" not in explained

    purged = run("gc", "--build", build, "--purge")
    assert purged.returncode == 0 and "3 bodies destroyed" in purged.stdout, purged.stdout + purged.stderr
    assert all(row["path"] in purged.stdout for row in (photo, patch))  # files of the user
    assert [files_with(build, body) for body in bodies] == [[], [], []]
    verified = run("verify", "--build", build)
    assert verified.returncode == 0, verified.stdout
    again = run("build", "--build", build)
    assert again.returncode == 0 and "\nnothing to do" in f"\n{again.stdout}", again.stdout
    assert "hash-listed images" not in again.stdout
    left = {row["sample_id"] for row in read_rows(build)}
    assert illegal["url"] not in str(pq.read_table(build / "dataset/metafiles/crosswalk.parquet").to_pylist())
    assert {row["sample_id"] for row in rows} - left == {row["sample_id"] for row in (withdrawn, illegal, patch, photo)}


def read_rows(build: Path) -> list[dict[str, Any]]:
    """Return the rows of both metafiles."""
    paths = sorted((build / "dataset/metafiles").glob("*_metadata.parquet"))
    assert len(paths) == 2
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def _check_withdrawal(build: Path, withdrawn: tuple[dict[str, Any], ...], entries: Path) -> None:
    before = published(build / "dataset")
    tars = {f"{row['split']}/{row['shard']}.tar": {row["sample_id"]} for row in withdrawn}
    bytes_before = {name: (build / "dataset" / name).read_bytes() for name in before}
    done = run("withdraw", entries, "--build", build)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 samples withdrawn by 2 of the entries" in done.stdout
    assert "no sample to publish matches 2 entries: laion2b_99_9, nobody.example.org" in done.stdout
    assert re.search("the build's id is now [0-9a-f]{12}, it was [0-9a-f]{12}\n", done.stdout), done.stdout
    after = published(build / "dataset")
    assert after == {**before, **{tar: before[tar] - keys for tar, keys in tars.items()}}
    unchanged = {name for name in before if (build / "dataset" / name).read_bytes() == bytes_before[name]}
    assert unchanged == before.keys() - tars.keys()
    named = str(pq.read_table(build / "dataset/metafiles/crosswalk.parquet").to_pylist())
    assert withdrawn[0]["url"] not in named and next(iter(after[next(iter(tars))])) in named
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
