"""A build folder that cannot be written is told from one that can, and nothing is left there."""

import errno
from pathlib import Path

import pytest

from flows.ledger.writable import is_refused, why_not_writable


def test_a_folder_that_can_be_made_or_written_is_writable_and_stays_as_it_was(tmp_path: Path) -> None:
    build = tmp_path / "deep" / "build"
    assert why_not_writable(build, ".lease") == "" and not build.parent.exists()
    build.mkdir(parents=True)
    (build / ".lease").write_text("held")
    assert why_not_writable(build, ".lease") == ""
    assert [(path.name, path.read_text()) for path in build.iterdir()] == [(".lease", "held")]


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert why_not_writable(tmp_path / "file", ".lease") == "Not a directory"
    assert why_not_writable(tmp_path / "file" / "deep" / "build", ".lease") == "Not a directory"


def test_a_folder_whose_lease_cannot_be_opened_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / ".lease").mkdir()
    assert why_not_writable(tmp_path, ".lease") == "Is a directory"


@pytest.mark.parametrize(
    ("code", "name", "is_so"),
    [
        (errno.EROFS, "build/.lease", True), (errno.EACCES, "build", True), (errno.EROFS, "elsewhere/x", False),
        (errno.ENOENT, "build/x", False),
    ],
)  # fmt: skip
def test_only_a_refusal_inside_the_build_is_one_of_the_build(code: int, name: str, is_so: bool) -> None:
    assert is_refused(OSError(code, "reason", name), Path("build")) == is_so
