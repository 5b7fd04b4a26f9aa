import io
from dataclasses import replace

import pytest
from rich.console import Console

from flows.run.events import Advanced, Poisoned, Retried, Stalled
from flows.run.worker import Committed, Failed, Task
from flows.watch import progress
from flows.watch.pace import duration, speed
from flows.watch.progress import Terminal
from tests.contract.broken import MAKE

SORT = replace(MAKE, name="sort")


def task(name: str, n_given: int = 10) -> Task:
    from pathlib import Path

    return Task("make", "", name, "f", {}, {}, {}, {}, {}, n_given, Path(), Path())


@pytest.fixture
def plain() -> tuple[Terminal, io.StringIO]:
    out = io.StringIO()
    return Terminal(Console(file=out, width=160, highlight=False)), out


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_are_plain_lines(plain: tuple[Terminal, io.StringIO], now: list[float]) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 3, 2, 20)
    for name in ("a", "b"):
        terminal.see(MAKE, task(name), Advanced(name, 5))
        now[0] += 1
        terminal.see(MAKE, task(name), Committed(name, 9, 10, {"no_url": 1}))
    terminal.end(MAKE, True)
    line = " ".join(out.getvalue().split())
    assert line == "make 20 given 18 kept 2 rejected 2.0 s no_url 2 (1 of 3 partitions were done)"
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue() and "\r" not in out.getvalue()


def test_stages_interleave_and_grow(plain: tuple[Terminal, io.StringIO]) -> None:
    terminal, out = plain
    terminal.begin(SORT, 1, 1, 10)
    terminal.begin(MAKE, 1, 1, 10)
    terminal.see(SORT, task("a"), Committed("a", 10, 10))
    terminal.grow(MAKE, 1, 10)
    terminal.see(MAKE, task("a"), Committed("a", 9, 10, {"no_url": 1}))
    terminal.end(SORT, True)
    terminal.see(MAKE, task("b"), Committed("b", 10, 10))
    terminal.end(MAKE, True)
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "sort 10 given 10 kept 0 rejected 0.0 s", "make 20 given 19 kept 1 rejected 0.0 s no_url 1"
    ]  # fmt: skip


def test_a_stage_with_nothing_to_do_prints_nothing(plain: tuple[Terminal, io.StringIO]) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 3, 0, 0)
    terminal.end(MAKE, True)
    assert out.getvalue() == ""


def test_the_two_most_frequent_reasons_are_named(plain: tuple[Terminal, io.StringIO]) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 1, 1, 10)
    terminal.see(MAKE, task("a"), Committed("a", 4, 10, {"no_url": 1, "bad_record": 3, "no_caption": 2}))
    terminal.end(MAKE, True)
    assert out.getvalue().endswith("6 rejected      0.0 s  bad_record 3, no_caption 2, …\n")


def test_a_retry_is_printed_with_its_cause_in_one_line(plain: tuple[Terminal, io.StringIO]) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 1, 1, 10)
    terminal.see(MAKE, task("a"), Retried("a", "the network was away\nTraceback …"))
    terminal.see(MAKE, task("a"), Poisoned("a", "it died"))
    terminal.see(MAKE, task("b"), Failed("b", "input", "no"))
    assert out.getvalue() == "make/a is tried again: the network was away\n"


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_failed_stage_has_no_line_of_a_success(plain: tuple[Terminal, io.StringIO], is_whole: bool) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 2, 2, 20)
    terminal.see(MAKE, task("a"), Failed("a", "input", "no"))
    terminal.end(MAKE, is_whole)
    assert out.getvalue().split() == ["make", "1", "of", "2", "partitions", "failed"]
    terminal.begin(SORT, 2, 2, 20)
    terminal.see(SORT, task("a"), Committed("a", 10, 10))
    terminal.see(SORT, task("b"), Failed("b", "input", "no"))
    terminal.end(SORT, is_whole)
    assert out.getvalue().splitlines()[-1].endswith("1 of 2 partitions failed")


@pytest.mark.parametrize(("n_due", "words"), [(3, "stopped: 1 of 3 partitions done"), (1, "stopped while it waited")])
def test_a_stage_that_was_cut_off_is_not_printed_as_a_finished_one(
    plain: tuple[Terminal, io.StringIO], n_due: int, words: str
) -> None:
    terminal, out = plain
    terminal.begin(MAKE, n_due, n_due, 10 * n_due)
    terminal.see(MAKE, task("a"), Committed("a", 10, 10))
    terminal.end(MAKE, False)
    assert words in out.getvalue()


def test_an_abandoned_stage_has_no_line(plain: tuple[Terminal, io.StringIO]) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 2, 2, 20)
    terminal.see(MAKE, task("a"), Advanced("a", 5))
    terminal.end(MAKE, False)
    assert out.getvalue() == ""


def test_a_bar_on_a_narrow_terminal_is_readable() -> None:
    out = io.StringIO()
    terminal = Terminal(Console(file=out, width=40, force_terminal=True, highlight=False))
    terminal.begin(MAKE, 1, 1, 10)
    assert terminal._bars is not None
    terminal._bars.refresh()
    terminal.end(MAKE, False)
    assert "0/1" in out.getvalue() and "0:00:00" in out.getvalue() and "…" not in out.getvalue()


def test_a_partition_that_stalls_is_named(plain: tuple[Terminal, io.StringIO]) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 1, 1, 10)
    terminal.see(MAKE, task("a"), Stalled("a", "it has made no progress"))
    assert out.getvalue() == "make/a: it has made no progress\n"


def test_a_long_run_prints_rate_and_time_left_at_intervals(
    plain: tuple[Terminal, io.StringIO], now: list[float]
) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 4, 4, 40)
    terminal.see(MAKE, task("d"), Advanced("d", 0))
    for name, at in (("a", 105.0), ("b", 111.0), ("c", 115.0)):
        now[0] = at
        terminal.see(MAKE, task(name), Committed(name, 10, 10))
    assert out.getvalue() == "make: 2 of 4 partitions, 2 rows/s, 11 s left\n"


def test_a_stage_that_waited_for_a_worker_prints_nothing_at_its_start(
    plain: tuple[Terminal, io.StringIO], now: list[float]
) -> None:
    terminal, out = plain
    terminal.begin(MAKE, 4, 4, 40)
    now[0] += 60
    terminal.see(MAKE, task("a"), Advanced("a", 0))
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    out = io.StringIO()
    terminal = Terminal(Console(file=out, width=120, force_terminal=True))
    terminal.begin(MAKE, 1, 1, 10)
    terminal.begin(SORT, 1, 1, 10)
    terminal.see(MAKE, task("a"), Committed("a", 10, 10))
    terminal.end(MAKE, True)
    terminal.grow(SORT, 1, 10)
    terminal.end(SORT, True)
    assert "partitions" in out.getvalue() and "\x1b" in out.getvalue()


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (300, "5 min"), (9000, "2.5 h")])
def test_durations_have_a_suitable_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_is_given_adds_up_or_is_left_out(plain: tuple[Terminal, io.StringIO]) -> None:
    terminal, out = plain
    reduced = replace(MAKE, name="reduced", grain="reduce")
    for stage in (MAKE, reduced):
        terminal.begin(stage, 1, 1, 3)
        # The first input of a stage may be a list of files, or empty.
        terminal.see(stage, task("a", 105), Committed("a", 38, 105, {"no_url": 8}))
        terminal.end(stage, True)
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "make 46 given 38 kept 8 rejected 0.0 s no_url 8", "reduced 38 kept 8 rejected 0.0 s no_url 8"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "words"), [(1200.4, "1,200 rows/s"), (1, "1 rows/s"), (0.21, "13 rows/min"), (0.01, "0.6 rows/min")]
)
def test_a_slow_rate_is_given_per_minute(rate: float, words: str) -> None:
    assert speed(rate) == words
