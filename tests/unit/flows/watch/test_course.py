from dataclasses import replace

import pytest

from flows.run.events import Advanced
from flows.run.worker import Committed, Failed
from flows.watch import pace as pace_module
from flows.watch.course import Course
from tests.contract.broken import MAKE
from tests.unit.flows.watch.test_progress import task

SORT, LAST = replace(MAKE, name="sort"), replace(MAKE, name="last")


def rows_of(course: Course) -> dict[str, list[str]]:
    """Return the cells of each stage's row."""
    lines = [line.replace("\\", "") for line in course.markdown().splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in ([c.strip() for c in line.split("|")[1:-1]] for line in lines[1:])}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(pace_module.time, "monotonic", lambda: now[0])
    return now


def test_stages_that_interleave_are_done_running_and_to_come(now: list[float]) -> None:
    course = Course([MAKE, SORT, LAST])
    course.begin(MAKE, 3, 2, 20)
    course.begin(SORT, 1, 1, 10)
    for name in ("a", "b"):
        course.see(MAKE, task(name), Advanced(name, 0))
    course.see(SORT, task("a"), Advanced("a", 5))
    now[0] += 20
    for name in ("a", "b"):
        course.see(MAKE, task(name), Committed(name, 9, 10, {"no_url": 1}))
    course.end(MAKE, True)
    found = rows_of(course)
    assert found["make"] == ["done", "3 of 3", "20", "18", "2", "1", ""]
    assert found["sort"] == ["running", "0 of 1", "5", "0", "0", "0.25", "20 s"]
    assert found["last"][0] == "to come"
    assert course.summary() == "1 of 3 stages done, 20 s so far; running: sort 50%"
    assert course.left() == "at least 20 s: stages to come, without a rate yet: 1"
    assert course.share == 0.5


def test_rows_that_wait_longer_than_the_estimate_have_no_time_left(now: list[float]) -> None:
    course = Course([MAKE])
    course.begin(MAKE, 1, 1, 100)
    course.see(MAKE, task("a"), Advanced("a", 1))
    now[0] += 20
    course.see(MAKE, task("a"), Advanced("a", 80))
    assert rows_of(course)["make"][6] == "5 s"
    now[0] += 30
    assert rows_of(course)["make"][6] == ""


def test_a_stage_without_a_free_worker_waits_and_one_that_is_switched_off_is_off(now: list[float]) -> None:
    course = Course([MAKE, SORT, LAST], is_done={"last"}, is_off={"last"})
    for stage in (MAKE, SORT):
        course.begin(stage, 1, 1, 10)
    assert course.summary() == "1 of 3 stages done, 0 s so far; 2 more wait for a worker"
    course.see(MAKE, task("a"), Advanced("a", 5))
    now[0] += 20
    assert course.summary() == "1 of 3 stages done, 20 s so far; running: make 50%; 1 more wait for a worker"
    assert [rows_of(course)[name][0] for name in ("make", "sort", "last")] == ["running", "waits", "off"]
    assert course.left() == "at least 20 s: stages to come, without a rate yet: 1"


def test_a_run_that_ended_well_leaves_no_stage_to_come(now: list[float]) -> None:
    course = Course([MAKE, SORT, LAST], is_done={"sort"})
    course.begin(MAKE, 1, 1, 10)
    course.see(MAKE, task("a"), Committed("a", 10, 10))
    course.end(MAKE, True)
    assert course.summary() == "2 of 3 stages done, 0 s so far"
    course.conclude()
    assert course.summary() == "3 of 3 stages done, 0 s so far" and (course.left(), course.share) == ("nothing", 1.0)
    assert [rows_of(course)[name][0] for name in ("make", "sort", "last")] == ["done", "done before", "nothing to do"]


def test_there_is_no_time_left_before_there_is_a_basis(now: list[float]) -> None:
    course = Course([MAKE])
    course.begin(MAKE, 100, 100, 1000)
    now[0] += 3600  # no worker is free
    for name in ("a", "b", "c"):
        course.see(MAKE, task(name), Advanced(name, 0))
    now[0] += 9  # models are loaded
    course.see(MAKE, task("a"), Committed("a", 10, 10))
    assert course.left() == "not known yet" and rows_of(course)["make"][-1] != "15 min"
    now[0] += 9
    assert course.left() == "not known yet", "one partition of a hundred is no rate"
    for name in ("b", "c"):
        course.see(MAKE, task(name), Committed(name, 10, 10))
    assert course.left() == "10 min"


def test_stages_without_a_rate_use_the_forecast(now: list[float]) -> None:
    fetch, score = replace(SORT, name="fetch", has_network=True), replace(LAST, name="score", has_model=True)
    course = Course([MAKE, SORT, fetch, score], expected_s={"make": 7200, "sort": 3600, "fetch": 36000, "score": 18000})
    assert course.left() == "10.0 h to 18.0 h, by the forecast of `make preflight`"
    course.begin(MAKE, 4, 4, 40)
    course.see(MAKE, task("a"), Committed("a", 10, 10))
    course.see(MAKE, task("b"), Advanced("b", 0))
    assert course.left() == "10.0 h to 17.5 h, by the forecast of `make preflight`", "a quarter of its rows are read"
    now[0] += 20
    assert course.left() == "10.0 h to 16.0 h, by the forecast of `make preflight`", "60 s by its own rate"
    for name in "bcd":
        course.see(MAKE, task(name), Committed(name, 10, 10))
    course.end(MAKE, True)
    for stage in (SORT, score):
        course.is_done.add(stage.name)
    assert course.left() == "10.0 h, by the forecast of `make preflight`"
    course.is_done.add("fetch")
    assert course.left() == "nothing"


def test_stages_of_earlier_runs_are_done_and_a_failure_shows(now: list[float]) -> None:
    course = Course([MAKE, SORT])
    course.begin(SORT, 4, 0, 0)
    course.end(SORT, True)
    course.begin(MAKE, 2, 2, 20)
    course.see(MAKE, task("a"), Failed("a", "input", "it is gone\nmore"))
    course.see(MAKE, task("b"), Committed("b", 10, 10))
    course.end(MAKE, True)
    assert rows_of(course)["sort"][0] == "done before"
    assert rows_of(course)["make"][0] == "**1 failed**"
    assert course.lines[0] == "make/a failed: it is gone" and course.share == 0.5


def test_a_run_that_was_stopped_has_nothing_to_come(now: list[float]) -> None:
    course = Course([MAKE, SORT])
    course.begin(MAKE, 2, 2, 20)
    course.see(MAKE, task("a"), Failed("a", "input", "it is gone"))
    course.end(MAKE, True)
    assert rows_of(course)["sort"][0] == "to come"
    course.stop()
    assert rows_of(course)["sort"][0] == "not done" and course.left() == "none, the run has ended"


def test_time_in_which_nothing_of_a_stage_runs_does_not_count(now: list[float]) -> None:
    course = Course([MAKE])
    course.begin(MAKE, 1, 1, 2_000)
    course.see(MAKE, task("rs3"), Advanced("rs3", 0))
    now[0] += 20
    course.see(MAKE, task("rs3"), Committed("rs3", 2_000, 2_000))
    now[0] += 3600  # the download goes on
    course.grow(MAKE, 2, 4_000)
    course.see(MAKE, task("a"), Advanced("a", 0))
    now[0] += 20
    course.see(MAKE, task("a"), Advanced("a", 1_000))
    assert rows_of(course)["make"][-2:] == ["75", "40 s"]
    for name in ("a", "b"):
        course.see(MAKE, task(name), Committed(name, 2_000, 2_000))
    course.end(MAKE, True)
    assert course.lines[-1] == "make: 3 of 3 partitions, 40.0 s, 150 rows/s"


def test_a_stage_that_a_stopped_run_leaves_idle_is_not_done(now: list[float]) -> None:
    course = Course([MAKE, SORT])
    course.begin(MAKE, 2, 2, 20)
    for name in ("a", "b"):
        course.see(MAKE, task(name), Committed(name, 10, 10))
    course.end(MAKE, False)
    course.stop()
    assert rows_of(course)["make"][0] == "stopped" and course.summary() == "0 of 2 stages done, 0 s so far"
    assert course.lines == ["make: stopped: 2 of 2 partitions so far, 0.0 s"]


def test_a_stage_that_was_cut_off_is_logged_so_and_one_of_which_nothing_ran_is_not(now: list[float]) -> None:
    course = Course([MAKE, SORT])
    course.begin(MAKE, 2, 2, 20)
    course.begin(SORT, 2, 2, 20)
    course.see(MAKE, task("a"), Committed("a", 10, 10))
    course.see(MAKE, task("b"), Advanced("b", 5))
    for stage in (MAKE, SORT):
        course.end(stage, False)
    course.stop()
    assert course.lines == ["make: stopped: 1 of 2 partitions, 0.0 s"]
    assert [rows_of(course)[name][0] for name in ("make", "sort")] == ["stopped", "not run"]


def test_rows_of_this_run_are_not_those_of_the_build(now: list[float]) -> None:
    words = "Rows are those of this run"
    for n_partitions, is_again in ((2, False), (5, True)):
        course = Course([MAKE])
        course.begin(MAKE, n_partitions, 2, 20)
        assert (words in course.markdown()) == is_again
    assert words in Course([MAKE], is_done={"make"}).markdown()


def test_a_look_at_the_world_has_no_number_of_partitions(now: list[float]) -> None:
    look = replace(MAKE, name="look", keeps="latest", grain="observe")
    course = Course([look])
    for n in ("000", "001"):
        course.begin(look, 1, 1, 0) if n == "000" else course.grow(look, 1, 0)
        course.see(look, task(n), Committed(n, 4, 4))
    assert rows_of(course)["look"][:2] == ["waits", "looked 2 times"]
    course.end(look, True)
    assert course.lines == ["look: looked 2 times, 0.0 s"]


def test_a_stage_between_two_download_passes_waits(now: list[float]) -> None:
    course = Course([MAKE])
    course.begin(MAKE, 1, 1, 10)
    course.see(MAKE, task("a"), Committed("a", 10, 10))
    assert rows_of(course)["make"][0] == "waits" and course.summary() == "0 of 1 stages done, 0 s so far"
    course.grow(MAKE, 1, 10)
    assert rows_of(course)["make"][0] == "running"


def test_a_stage_that_grows_from_nothing_begins_then(now: list[float]) -> None:
    course = Course([MAKE])
    course.begin(MAKE, 1, 0, 0)
    course.grow(MAKE, 2, 20)
    course.grow(MAKE, 1, 10)
    course.see(MAKE, task("a"), Committed("a", 10, 10))
    assert rows_of(course)["make"][:3] == ["running", "1 of 3", "10"]


def test_corpora_show_what_their_module_leads_to() -> None:
    course = Course([MAKE, replace(SORT, module=MAKE.module), replace(LAST, module="other")])
    course.corpora = {"make": {"cc3m": 9}, "sort": {"cc3m": 5, "wit": 7}, "last": {"wit": 6}}
    assert course.corpora_rows() == [
        {"corpus": "cc3m", "sort kept": 5, "last kept": ""}, {"corpus": "wit", "sort kept": 7, "last kept": 6}
    ]  # fmt: skip
