import re
from pathlib import Path

import pytest

from tests.run_all import BEHIND, IN_FRONT, ROOT, main

RIGHT = ("right", ("timeit", "-n", "1", "-r", "1", "pass"))
WRONG = ("wrong", ("timeit", "-n", "1", "-r", "1", "raise SystemExit(3)"))


@pytest.mark.parametrize(
    ("in_front", "behind", "code"), [(RIGHT, RIGHT, 0), (WRONG, RIGHT, 1), (RIGHT, WRONG, 1)], ids=str
)
def test_one_command_that_fails_fails_all_and_each_is_named(
    in_front: tuple[str, tuple[str, ...]],
    behind: tuple[str, tuple[str, ...]],
    code: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(in_front, [behind]) == code
    printed = capfd.readouterr().out
    assert printed.count("passed, ended by") + printed.count("FAILED, ended by") == 2
    assert ("wrong: FAILED" in printed) == (code == 1)


def selected(words: tuple[str, ...]) -> list[Path]:
    """Return the test files that a command of pytest names, by their folders."""
    found = []
    for word in words[1:]:
        path = ROOT / word
        found += [path] if path.is_file() else sorted(path.rglob("test_*.py"))
    left_out = {
        file for word in words if word.startswith("--ignore=") for file in selected(("", word.partition("=")[2]))
    }
    return [file for file in found if file not in left_out]


def test_every_test_file_belongs_to_one_process() -> None:
    groups = [words for _, words in (IN_FRONT, *BEHIND) if words[0] == "pytest"]
    found = [file for words in groups for file in selected(words)]
    assert len(groups) > 3 and sorted(found) == sorted((ROOT / "tests").rglob("test_*.py"))


def test_only_processes_that_name_it_make_the_finished_build() -> None:
    """Making it takes half a minute of a core, so a new test of it goes to a process that has it."""
    asking = re.compile(r"^(?:def|    ).*\b(finished|damaged): Build", re.MULTILINE)
    makers = set()
    for name, words in (IN_FRONT, *BEHIND):
        if words[0] == "pytest" and any(asking.search(file.read_text(encoding="utf-8")) for file in selected(words)):
            makers.add(name)
    assert makers == {"unit tests of flows", "contract tests, unit tests of the finished build"}
