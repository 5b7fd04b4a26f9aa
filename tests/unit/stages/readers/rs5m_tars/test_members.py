"""Every sample before a fault is found, and no fault is taken for the end of a tar."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.readers.rs5m_tars.members import (
    TarDamage,
    count_samples,
    read_body,
    read_listed,
    split_member,
    split_name,
    walk_samples,
)
from tests.released_tars import sample, write_release

SAMPLES = [(f"laion2b_0_{n}", sample(f"laion2b_0_{n}", f"view {n}", bytes([n]) * (500 + n * 40))) for n in range(4)]


def walk(data: bytes) -> tuple[list[str], str]:
    """Return the keys found in a tar, and the fault that ends it."""
    keys: list[str] = []
    try:
        for found in walk_samples(io.BytesIO(data)):
            keys.append(found.key)
            assert not found.missing
    except TarDamage as damage:
        return keys, str(damage)
    return keys, ""


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_offsets_of_bodies_are_correct(tmp_path: Path, kind: int) -> None:
    long = "d/" * 40 + "k" * 80 if kind == tarfile.USTAR_FORMAT else "k" * 300 + "é"
    path = write_release(tmp_path / "a.tar", [*SAMPLES, (long, sample("fmow_a_0_0_rgb"))], kind)
    with path.open("rb") as file:
        found = list(walk_samples(file))
        assert [one.key for one in found] == [*(key for key, _ in SAMPLES), long]
        assert [one.place for one in found] == [0, 1, 2, 3, 4]
        for one, (_, members) in zip(found, SAMPLES, strict=False):
            assert {ending: read_body(file, body) for ending, body in one.bodies.items()} == members
    assert count_samples(path) == (5, True)


def test_a_tar_truncated_anywhere_is_named_and_only_loses_the_missing_samples(
    tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    data = write_release(tmp_path / "a.tar", SAMPLES, tarfile.USTAR_FORMAT).read_bytes()
    end = len(data.rstrip(b"\0"))
    whole = -(-end // 512) * 512 + 512  # with the first block of the end mark
    every = [key for key, _ in SAMPLES]
    n_found = []
    record_property("damaged released tar", len(range(0, whole, 256)))
    for cut in range(0, whole, 256):
        keys, fault = walk(data[:cut])
        assert fault and keys == every[: len(keys)], cut
        n_found.append(len(keys))
    assert n_found == sorted(n_found) and n_found[0] == 0 and n_found[-1] == 4
    assert walk(data[:whole]) == (every, "")


def test_damaged_headers_and_joined_tars_are_faults(tmp_path: Path) -> None:
    data = write_release(tmp_path / "a.tar", SAMPLES, tarfile.USTAR_FORMAT).read_bytes()
    header = data.index(b"laion2b_0_2.caption")
    keys, fault = walk(data[:header] + b"X" + data[header + 1 :])
    assert keys == ["laion2b_0_0", "laion2b_0_1"] and f"damaged header at byte {header}" in fault
    keys, fault = walk(data + data)
    assert len(keys) == 4 and "behind the end mark" in fault
    keys, fault = walk(data[:header] + bytes(512) + data[header + 512 :])
    assert keys == ["laion2b_0_0", "laion2b_0_1"] and "behind the end mark" in fault
    assert walk(bytes(1024)) == ([], "")


def test_wrong_extended_headers_are_faults(tmp_path: Path) -> None:
    path = write_release(tmp_path / "a.tar", [("k" * 200, sample("x"))])
    data = path.read_bytes()
    at = data.index(b" path=")
    assert "extended header" in walk(data[: at - 3] + b"999" + data[at:])[1]
    assert "extended header" in walk(data[: at - 3] + b"xyz" + data[at:])[1]


def test_missing_repeated_and_unknown_members_are_handled(tmp_path: Path) -> None:
    one = sample("a_1")
    lacking = [("a", {"caption": b"x"}), ("a", one), ("b", {"json": b"{}", **one}), ("c", {"json": b"{}"})]
    with write_release(tmp_path / "a.tar", lacking).open("rb") as file:
        found = list(walk_samples(file))
    assert [(s.key, s.missing) for s in found] == [
        ("a", ["img_name", "img_content"]), ("a", []), ("b", []), ("c", ["img_name", "img_content", "caption"])
    ]  # fmt: skip
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for kind, name in ((tarfile.DIRTYPE, "d"), (tarfile.SYMTYPE, "a.caption")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    with (tmp_path / "b.tar").open("rb") as file:
        assert [(s.key, len(s.missing)) for s in walk_samples(file)] == [("a", 3)]


def test_names_split_at_the_known_endings() -> None:
    assert split_name("a/b.c/k.1.img_name") == ("a/b.c/k.1", "img_name")
    assert split_name("a/b.c/k.json.gz") == ("a/b.c/k", "json.gz")


def test_a_listed_member_is_read_from_its_tar(tmp_path: Path) -> None:
    path = tmp_path / "rs3-train-0000.tar"
    path.write_bytes(b"0123456789")
    assert split_member(f"{path}/fmow_a@3.caption") == (str(path), 3)
    assert split_member("fmow/train/a.jpg") == ("fmow/train/a.jpg", 0)
    assert b"".join(read_listed(path / "fmow_a@3.caption", 4)) == b"3456"
    assert b"".join(read_listed(path, 4)) == b"0123456789"
