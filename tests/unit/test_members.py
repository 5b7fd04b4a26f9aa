"""Files are read as they are packed, member by member, and damage is named."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from stages.sources.batch import SourceFileError
from stages.sources.members import read_members, read_one

JSON = r"[a-z]+\.json"


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


MEMBERS = {"x/b.json": b"b" * 1000, "a.json": b"a", "__MACOSX/._a.json": b"no", "notes.txt": b"no"}


@pytest.mark.parametrize("chunk_bytes", [1, 300, 1 << 22])
def test_members_come_with_their_bytes(tmp_path: Path, chunk_bytes: int) -> None:
    def members(path: Path) -> list[tuple[str, bytes]]:
        return [(m.place, b"".join(m.chunks)) for m in read_members(path, JSON, chunk_bytes)]

    plain = tmp_path / "any.name"
    plain.write_bytes(b"abc")
    assert members(plain) == [(str(plain), b"abc")]
    packed = write_zip(tmp_path / "a.zip", MEMBERS)
    assert members(packed) == [(f"{packed}/a.json", b"a"), (f"{packed}/x/b.json", b"b" * 1000)]
    packed = write_tar(tmp_path / "a.tar.gz", MEMBERS)
    assert members(packed) == [(f"{packed}/x/b.json", b"b" * 1000), (f"{packed}/a.json", b"a")]


def test_members_that_are_passed_by_unread_hide_no_other(tmp_path: Path) -> None:
    packed = write_tar(tmp_path / "a.tar.gz", MEMBERS)
    assert [member.place for member in read_members(packed, JSON)] == [f"{packed}/x/b.json", f"{packed}/a.json"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.json"])
@pytest.mark.parametrize("data", [b"", b"garbage" * 500, None])
def test_an_archive_that_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes | None) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    if name == "a.json" and data is not None:
        assert b"".join(read_one(path, JSON).chunks) == data
        return
    with pytest.raises(SourceFileError, match=str(path)):
        list(read_one(path, JSON).chunks)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_cut_archive_is_never_taken_for_a_whole_one(tmp_path: Path, suffix: str) -> None:
    write = write_zip if suffix == ".zip" else write_tar
    whole = write(tmp_path / f"whole{suffix}", {"a.json": bytes(range(256)) * 40}).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for n_bytes in range(0, len(whole) - 8, 7):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(SourceFileError):
            list(read_one(path, JSON).chunks)


def test_one_member_is_one(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="found two"):
        list(read_one(write_zip(tmp_path / "a.zip", MEMBERS), JSON).chunks)
    with pytest.raises(SourceFileError, match="found none"):
        list(read_one(write_tar(tmp_path / "a.tar.gz", {"b.txt": b""}), JSON).chunks)
