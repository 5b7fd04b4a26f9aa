import pytest

from tests.run_all import main

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
