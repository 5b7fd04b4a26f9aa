import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.ledger.lease import hold_lease
from flows.ledger.writable import NotWritableError

ROOT = Path(__file__).parents[4]
# A second process that prints when it waits and when it has the lease, which it keeps until its input ends.
HOLDER = """
import sys
from pathlib import Path
from flows.ledger.lease import hold_lease
with hold_lease(Path(sys.argv[1]), "the other command", lambda text: print("said", text, flush=True)):
    print("has it", flush=True)
    sys.stdin.read()
"""


def start_holder(build: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(build)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_lease_can_be_held_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with hold_lease(tmp_path, "gc", lambda text: None):
        process = start_holder(tmp_path)
        said = line(process)
    assert said == f"said waiting for another run on {tmp_path}: it has just begun"
    process.communicate("")


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_run_waits_and_learns_for_which_process(tmp_path: Path) -> None:
    with hold_lease(tmp_path, "the first command", lambda text: None):
        holder = json.loads((tmp_path / ".lease").read_text())
        assert holder["command"] == "the first command"
        process = start_holder(tmp_path)
        said = line(process)
    assert said.startswith(f"said waiting for another run on {tmp_path}: `the first command`, process {holder['pid']}")
    assert line(process) == "has it"
    process.communicate("")
    assert process.returncode == 0


def test_the_lease_of_a_killed_run_is_free(tmp_path: Path) -> None:
    process = start_holder(tmp_path)
    assert line(process) == "has it"
    process.kill()
    process.communicate()
    said: list[str] = []
    with hold_lease(tmp_path, "next", said.append):
        assert json.loads((tmp_path / ".lease").read_text())["command"] == "next"
    assert said == []


def test_the_lease_makes_the_build_folder_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_lease(tmp_path / "deep" / "build", "a", lambda text: None):
            assert (tmp_path / "deep" / "build").is_dir()


def test_builds_do_not_wait_for_each_other(tmp_path: Path) -> None:
    said: list[str] = []
    with hold_lease(tmp_path / "a", "a", said.append), hold_lease(tmp_path / "b", "b", said.append):
        assert said == []


def test_a_folder_that_cannot_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(NotWritableError, match=r"file/build cannot be written \(Not a directory\): name .* BUILD="),
        hold_lease(tmp_path / "file" / "build", "a", print),
    ):
        pass
