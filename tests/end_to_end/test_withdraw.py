"""Withdrawn samples are removed from their tars, and no other tar changes."""

import shutil
import tarfile
from pathlib import Path

from tests.end_to_end.runs import run


def published(dataset: Path) -> dict[str, set[str]]:
    """Return the keys in each tar, by the tar's published name."""
    found = {}
    for path in sorted(dataset.glob("*/*.tar")):
        with tarfile.open(path) as tar:
            found[path.relative_to(dataset).as_posix()] = {name.rsplit(".", 1)[0] for name in tar.getnames()}
    return found


def test_withdrawing_samples_changes_only_their_tars(small_build: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(small_build, build, symlinks=True)
    before = published(build / "dataset")
    tar, key = next((tar, min(keys)) for tar, keys in before.items() if keys)
    bytes_before = {name: (build / "dataset" / name).read_bytes() for name in before}
    entries = tmp_path / "list.txt"
    entries.write_text(f"{key}\nnobody.example.org\n", encoding="utf-8")
    done = run("withdraw", entries, "--build", build)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 samples withdrawn by 1 of the entries" in done.stdout
    assert "1 entries name nothing that would be published: nobody.example.org" in done.stdout
    after = published(build / "dataset")
    assert after == {**before, tar: before[tar] - {key}}
    unchanged = {name for name in before if (build / "dataset" / name).read_bytes() == bytes_before[name]}
    assert unchanged == before.keys() - {tar}
    again = run("withdraw", entries, "--build", build)
    assert again.returncode == 0 and "no tar has changed" in again.stdout
    checked = run("verify", "--build", build)
    assert checked.returncode == 0, checked.stdout
