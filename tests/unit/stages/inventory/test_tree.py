"""Every path under a corpus's folder is either a file to read or skipped once with a reason."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.inventory.passed_over import PassedOver
from stages.inventory.tree import (
    PARTIAL_ENDINGS,
    Tree,
    are_ordinary,
    holds_something,
    is_folder,
    is_readable_file,
    status_of,
)

NOBODY = 65534


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def walk(root: Path, others: tuple[str, ...] = ()) -> tuple[list[str], dict[str, str]]:
    """Return the readable files, and the reason of every other path; together they name each path once."""
    passed = PassedOver()
    files = []
    for path, entry in Tree(root, lambda path: path in ("val/", "known.pipe"), passed, others=others).files():
        if status_of(path, entry, passed, is_probed=True):
            files.append(path)
    rows = passed.rows("code")
    reasons = {path.partition("/")[2]: reason for _, path, reason, _ in rows}
    assert len(reasons) == len(rows) and not reasons.keys() & set(files) and len(set(files)) == len(files)
    return sorted(files), reasons


def test_files_are_found_at_any_depth_and_other_paths_have_a_reason(tmp_path: Path) -> None:
    write(tmp_path, "a", "x/y/z/b", ".hidden", "x/.cache/c", "SHA256SUMS", "x/SHA256SUMS", "val/d", "name with blank")
    assert walk(tmp_path) == (
        ["a", "name with blank", "x/y/z/b"],
        {
            ".hidden": "hidden_file", "x/.cache": "hidden_file", "SHA256SUMS": "checksum_list",
            "x/SHA256SUMS": "checksum_list", "val": "not_needed",
        },
    )  # fmt: skip


@pytest.mark.parametrize("ending", PARTIAL_ENDINGS)
def test_an_unfinished_download_is_skipped(tmp_path: Path, ending: str) -> None:
    write(tmp_path, f"x/file.parquet{ending}", "x/other.parquet")
    assert walk(tmp_path) == (["x/other.parquet"], {f"x/file.parquet{ending}": "partial_download"})


@pytest.mark.parametrize("ending", [".aria2", ".st"])
def test_a_file_with_a_download_mark_beside_it_is_unfinished_too(tmp_path: Path, ending: str) -> None:
    write(tmp_path, f"f.tsv{ending}", "f.tsv", f"set{ending}", "set/file", "whole.tsv")
    marked = ("f.tsv", f"f.tsv{ending}", "set", f"set{ending}")
    assert walk(tmp_path) == (["whole.tsv"], dict.fromkeys(marked, "partial_download"))


def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # a socket's path has at most 107 bytes
        server.bind(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def through_a_file(path: Path) -> None:
    write(path.parent, "plain")
    path.symlink_to("plain/below")


def too_long(path: Path) -> None:
    path.symlink_to("n" * 300)


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


def failing(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


@pytest.mark.parametrize("make", [fifo, bound_socket, dangling, circle, through_a_file, too_long, device])
def test_a_path_that_cannot_be_a_file_is_a_fault(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "sound")
    make(tmp_path / "odd")
    make(tmp_path / ".odd")
    make(tmp_path / "known.pipe")
    files, reasons = walk(tmp_path)
    assert [path for path in files if path != "plain"] == ["sound"]
    assert reasons == {"odd": "unreadable", ".odd": "hidden_file", "known.pipe": "not_needed"}


def test_an_unreadable_file_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "sound")
    (tmp_path / "through").symlink_to("sound")
    (tmp_path / "SHA256SUMS").mkdir()
    failing(tmp_path / "odd")
    files, reasons = walk(tmp_path)
    assert files in (["sound", "through"], ["odd", "sound", "through"])  # /proc may report it as empty
    assert reasons in ({}, {"odd": "unreadable"})


def test_a_name_that_is_not_utf_8_is_a_fault_and_shown_escaped(tmp_path: Path) -> None:
    write(tmp_path, "caf\udce9.tsv", "\udcff/file", "naïve-文.tsv")
    assert walk(tmp_path) == (["naïve-文.tsv"], dict.fromkeys(("caf\\udce9.tsv", "\\udcff"), "unreadable"))


def test_linked_folders_are_followed_and_each_folder_is_listed_once(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    write(tmp_path, "outside/deep/a", "corpus/own/b", "other/c", "outside/d")
    links = {
        "a-link": "../outside", "again": "../outside", "deep": "../outside/deep", "own-link": "own",
        "other": "../other", "up": "..", "self": ".", "val": "../outside", "own/up": "..",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target if "/" not in name else "../..", target_is_directory=True)
    (tmp_path / "outside/deep/back").symlink_to(tmp_path / "outside")
    (tmp_path / "outside/deep/home").symlink_to(root)
    files, reasons = walk(root, (str((tmp_path / "other").resolve()),))
    assert files == ["a-link/d", "a-link/deep/a", "own/b"]
    twice = ("again", "deep", "own-link", "other", "up", "self", "own/up", "a-link/deep/back", "a-link/deep/home")
    assert reasons == {**dict.fromkeys(twice, "reached_twice"), "val": "not_needed"}


def test_a_corpus_folder_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path, "real/x/a")
    (tmp_path / "corpus").symlink_to("real")
    assert walk(tmp_path / "corpus") == (["x/a"], {})
    (tmp_path / "file").write_bytes(b"")
    assert walk(tmp_path / "file") == ([], {"": "unreadable"})
    assert walk(tmp_path / "nowhere") == ([], {"": "unreadable"})


def as_nobody(folder: Path, ask: Callable[[], object]) -> object:
    """Return the result of a call in a process of user nobody in a folder, since root can read everything."""
    folder.chmod(0o755)  # its parents need not be searchable
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.chdir(folder)
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writing, json.dumps(ask()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return json.loads(found)


def test_paths_without_read_permission_are_faults_and_the_rest_is_found(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    write(root, "sound", "closed/a", "x/secret", "x/open", "unlisted/b", "unsearched/c", "SHA256SUMS")
    for path, mode in (("closed", 0), ("x/secret", 0), ("unlisted", 0o311), ("unsearched", 0o644), ("SHA256SUMS", 0)):
        (root / path).chmod(mode)
    try:
        found = as_nobody(tmp_path, lambda: walk(Path("corpus")))
        asked = as_nobody(tmp_path, lambda: [holds_something(Path("corpus/closed")), is_folder(Path("corpus/closed/d")),
                                             is_readable_file(Path("corpus/x/secret"))])  # fmt: skip
    finally:
        for path in ("closed", "unlisted", "unsearched"):
            (root / path).chmod(0o755)
    closed = ("closed", "x/secret", "unlisted", "unsearched/c", "SHA256SUMS")
    assert found == [["sound", "x/open"], dict.fromkeys(closed, "unreadable")]
    assert asked == [True, False, False]


def test_a_folder_with_only_folders_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert not holds_something(tmp_path) and not holds_something(tmp_path / "nowhere")
    (tmp_path / "a/b/dangling").symlink_to("nowhere")
    assert holds_something(tmp_path) and holds_something(tmp_path / "a/b/dangling")


@pytest.mark.parametrize("name", [".hidden", "a.part", "a.jpg.aria2", "a.st", "SHA256SUMS", "é.jpg", "a\udcff.jpg"])
def test_a_folder_with_one_special_name_is_not_ordinary(name: str) -> None:
    assert are_ordinary(["a.jpg", "b"])
    assert are_ordinary(["part", "a.parts", "SHA256SUMS.txt", "xSHA256SUMS", "a.st.jpg", "b.", "c..d"])
    assert are_ordinary([])
    for names in ([name], ["a.jpg", name], [name, "a.jpg"]):
        assert not are_ordinary(names)
