"""Archives are read without unpacking, member by member, and damage is named."""

import gzip
import io
import random
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stages.readers.batch import SourceFileError
from stages.readers.formats.members import read_members, read_one

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
def test_members_are_read_with_their_bytes(tmp_path: Path, chunk_bytes: int) -> None:
    def members(path: Path) -> list[tuple[str, bytes]]:
        return [(m.place, b"".join(m.chunks)) for m in read_members(path, JSON, chunk_bytes)]

    plain = tmp_path / "any.name"
    plain.write_bytes(b"abc")
    assert members(plain) == [(str(plain), b"abc")]
    packed = write_zip(tmp_path / "a.zip", MEMBERS)
    assert members(packed) == [(f"{packed}/a.json", b"a"), (f"{packed}/x/b.json", b"b" * 1000)]
    packed = write_tar(tmp_path / "a.tar.gz", MEMBERS)
    assert members(packed) == [(f"{packed}/x/b.json", b"b" * 1000), (f"{packed}/a.json", b"a")]


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize("is_cut", [False, True])
def test_hidden_members_are_passed_over(tmp_path: Path, write: Any, is_cut: bool) -> None:
    suffix = "zip" if write is write_zip else "tar.gz"
    packed = write(tmp_path / f"a.{suffix}", {"__MACOSX/x/._a_1.json": b"\0\5", "x/a_1.json": b"a", ".b_1.json": b"no"})
    if is_cut and write is write_zip:
        packed.write_bytes(packed.read_bytes()[:-22])
    found = []
    with suppress(SourceFileError):
        for member in read_members(packed, r"[^/]+_\d\.json"):
            found.append((member.place, b"".join(member.chunks)))
    assert found == [(f"{packed}/x/a_1.json", b"a")]


def test_unread_members_do_not_hide_others(tmp_path: Path) -> None:
    packed = write_tar(tmp_path / "a.tar.gz", MEMBERS)
    assert [member.place for member in read_members(packed, JSON)] == [f"{packed}/x/b.json", f"{packed}/a.json"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.json"])
@pytest.mark.parametrize("data", [b"", b"garbage" * 500, None])
def test_an_unreadable_archive_is_named(tmp_path: Path, name: str, data: bytes | None) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    if name == "a.json" and data is not None:
        assert b"".join(read_one(path, JSON).chunks) == data
        return
    with pytest.raises(SourceFileError, match=str(path)):
        list(read_one(path, JSON).chunks)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_truncated_archive_is_never_taken_for_a_complete_one(tmp_path: Path, suffix: str) -> None:
    write = write_zip if suffix == ".zip" else write_tar
    whole = write(tmp_path / f"whole{suffix}", {"a.json": bytes(range(256)) * 40}).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for n_bytes in range(0, len(whole) - 8, 7):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(SourceFileError):
            list(read_one(path, JSON).chunks)


def test_an_archive_of_one_member_has_exactly_one(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="found two"):
        list(read_one(write_zip(tmp_path / "a.zip", MEMBERS), JSON).chunks)
    with pytest.raises(SourceFileError, match="found none"):
        list(read_one(write_tar(tmp_path / "a.tar.gz", {"b.txt": b""}), JSON).chunks)


def read_until_fault(path: Path) -> dict[str, bytes]:
    """Return the bytes of each member before the fault."""
    found: dict[str, bytes] = {}
    with pytest.raises(SourceFileError):
        for member in read_members(path, JSON):
            found[member.place] = b""
            for chunk in member.chunks:
                found[member.place] += chunk
    return {place.removeprefix(f"{path}/"): data for place, data in found.items()}


NOISE = {f"{name}.json": random.Random(name).randbytes(40_000) for name in "abc"}


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_all_bytes_before_a_cut_are_read(tmp_path: Path, suffix: str) -> None:
    whole = (write_zip if suffix == ".zip" else write_tar)(tmp_path / f"whole{suffix}", NOISE).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for n_bytes in (len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:n_bytes])
        found = read_until_fault(path)
        assert all(NOISE[name].startswith(data) for name, data in found.items())
        assert sum(map(len, found.values())) > min(n_bytes - 2000, 119_999)


def test_a_damaged_directory_of_a_zip_loses_no_member(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "whole.zip", NOISE).read_bytes()
    path = tmp_path / "flipped.zip"
    path.write_bytes(whole.replace(b"PK\1\2", b"PK\1\3", 1))
    assert read_until_fault(path) == NOISE


def test_a_wrong_checksum_loses_at_most_the_last_byte(tmp_path: Path) -> None:
    whole = bytearray(write_zip(tmp_path / "whole.zip", {"a.json": NOISE["a.json"]}).read_bytes())
    for place in (whole.find(b"PK\3\4") + 14, whole.find(b"PK\1\2") + 16):
        whole[place] ^= 1
    (tmp_path / "wrong.zip").write_bytes(whole)
    assert read_until_fault(tmp_path / "wrong.zip") == {"a.json": NOISE["a.json"][:-1]}


def test_a_member_whose_two_names_differ_is_a_fault(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "whole.zip", NOISE).read_bytes()
    first, _, last = whole.rpartition(b"b.json")
    (tmp_path / "renamed.zip").write_bytes(first + b"b.jsom" + last)
    faults = 0
    for member in read_members(tmp_path / "renamed.zip", JSON):
        try:
            assert b"".join(member.chunks) == NOISE[member.place.rpartition("/")[2]]
        except SourceFileError:
            faults += 1
    assert faults == 1


def test_several_streams_of_gzip_are_one_file(tmp_path: Path) -> None:
    tar = gzip.decompress(write_tar(tmp_path / "a.tar.gz", NOISE).read_bytes())
    (tmp_path / "a.tar.gz").write_bytes(b"".join(gzip.compress(tar[i : i + 5000]) for i in range(0, len(tar), 5000)))
    found = {m.place.rpartition("/")[2]: b"".join(m.chunks) for m in read_members(tmp_path / "a.tar.gz", JSON)}
    assert found == NOISE
