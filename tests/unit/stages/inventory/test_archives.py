"""Archives of labelled corpora: which contain files to read, and the commands to unpack them, run on small ones."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from schemas.corpora import load_corpora
from stages.inventory.archives import Archive, is_archive, not_unpacked

CORPORA = load_corpora()


@pytest.mark.parametrize(
    ("code", "path", "is_one"),
    [
        ("fmow", "groundtruth.tar.bz2", True), ("fmow", "fMoW-rgb_trainval_v1.0.0.tar.gz", True),
        ("fmow", "seq.tar.bz2", False), ("fmow", "val_false_detection_metadata.tar.bz2", False),
        ("fmow", "manifest.json.bz2", False), ("fmow", "train/dam/dam_1/dam_1_0_rgb.jpg", False),
        ("ben", "BigEarthNet-S2-v1.0.tar.gz", True), ("ben", "BigEarthNet-v1.0.tar.gz", True),
        ("ben", "V2/BigEarthNet-S2.tar.gzaa", True), ("ben", "BigEarthNet-S2.tar.zst", True),
        ("ben", "BigEarthNet-S1-v1.0.tar.gz", False), ("ben", "train.csv.bz2", False),
        ("millionaid", "test.zip.001", True), ("millionaid", "test.tar.gzad", True), ("millionaid", "test.zip", True),
        ("millionaid", "train.zip", False), ("cc3m", "test.zip", False),
    ],
)  # fmt: skip
def test_an_archive_counts_if_it_contains_files_to_read(code: str, path: str, is_one: bool) -> None:
    assert is_archive(CORPORA[code], path) == is_one


def test_a_multi_part_archive_counts_once() -> None:
    parts = [f"x/test.zip.{n:03d}" for n in range(1, 18)]
    command = "cd SOURCES/millionaid/x && cat test.zip.* > test.zip && unzip -n -q test.zip"
    assert not_unpacked(CORPORA["millionaid"], parts, []) == [Archive("x/test.zip.001", 17, command)]
    assert not_unpacked(CORPORA["millionaid"], parts, [])[0].detail == f"17 volumes; unpack: {command}"
    assert not_unpacked(CORPORA["millionaid"], [*parts, "x/test.zip"], []) == [
        Archive("x/test.zip", 0, "cd SOURCES/millionaid/x && unzip -n -q test.zip")
    ]
    assert not_unpacked(CORPORA["millionaid"], parts, ["test/P0000001.jpg"]) == []


def test_ground_truth_and_images_may_be_unpacked_separately() -> None:
    archives = ["groundtruth.tar.bz2", "train.tar.gz"]
    images, records = ["train/dam/dam_1/dam_1_0_rgb.jpg"], ["groundtruth/train/dam/dam_1/dam_1_0_rgb.json"]
    for files, left in ((images, archives[:1]), (records, archives[1:]), (images + records, []), ([], archives)):
        assert [archive.path for archive in not_unpacked(CORPORA["fmow"], archives, files)] == left


def pack(folder: Path, name: str) -> None:
    """Write an archive with one file."""
    (folder / "inside").write_bytes(b"x" * 3000)
    if ".zip" in name:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.write(folder / "inside", "inside")
    else:
        with tarfile.open(folder / name, f"w:{name.rpartition('.')[2].removeprefix('tar')}") as tar:
            tar.add(folder / "inside", "inside")
    (folder / "inside").unlink()


@pytest.mark.parametrize(
    ("code", "name", "endings", "unpacked"),
    [
        ("millionaid", "test.tar.gz", ("aa", "ab"), "inside"),
        ("millionaid", "test.tar.bz2", ("aa", "ab", "ac"), "inside"),
        ("millionaid", "test.tar", ("aa", "ab"), "inside"),
        ("ben", "BigEarthNet-S2-v1.0.tar.gz", ("",), "inside"),
        ("fmow", "groundtruth.tar.bz2", ("",), "groundtruth/inside"),
        ("fmow", "groundtruth.tar.bz2", ("aa", "ab"), "groundtruth/inside"),
    ],
)  # fmt: skip
def test_the_command_unpacks_the_archive(
    tmp_path: Path, code: str, name: str, endings: tuple[str, ...], unpacked: str
) -> None:
    folder = tmp_path / "SOURCES" / code
    folder.mkdir(parents=True)
    pack(folder, name)
    data = (folder / name).read_bytes()
    (folder / name).unlink()
    size = -(-len(data) // len(endings))
    for n, ending in enumerate(endings):
        (folder / f"{name}{ending}").write_bytes(data[n * size : (n + 1) * size])
    paths = [path.name for path in folder.iterdir()]
    assert all(is_archive(CORPORA[code], path) for path in paths)
    [archive] = not_unpacked(CORPORA[code], paths, [])
    assert archive.n_volumes == (len(endings) if len(endings) > 1 else 0) and len(archive.detail) <= 200
    subprocess.run(["sh", "-c", archive.command], cwd=tmp_path, check=True)
    assert (folder / unpacked).read_bytes() == b"x" * 3000
