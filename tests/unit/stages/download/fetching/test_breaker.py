"""Hosts that do not answer are given up for a pass in all processes, and start the next with few requests."""

import multiprocessing
from pathlib import Path

import pytest

from stages.download.fetching.breaker import Breaker
from stages.download.fetching.faults import Refused

HOST = "silent.test:8080"


def breaker(folder: Path, pass_number: int = 0, max_in_row: int = 5) -> Breaker:
    return Breaker(folder, pass_number=pass_number, max_in_row=max_in_row)


def fail(one: Breaker, n: int, authority: str = HOST, reason: str = "host_silent") -> None:
    for _ in range(n):
        one.note_failure(authority, reason)


def is_given_up(one: Breaker, authority: str = HOST) -> bool:
    try:
        one.check(authority)
    except Refused as refused:
        assert refused.reason in ("host_silent", "host_refuses", "host_busy")
        return True
    return False


def test_a_host_is_given_up_after_consecutive_failures_but_not_its_other_port(tmp_path: Path) -> None:
    one = breaker(tmp_path)
    fail(one, 4)
    assert not is_given_up(one)
    one.note_answer(HOST)
    fail(one, 4)
    assert not is_given_up(one)
    fail(one, 1, reason="host_refuses")
    with pytest.raises(Refused, match=r"host_refuses: silent.test:8080 gave no answer 5 times in a row"):
        one.check(HOST)
    assert not is_given_up(one, "silent.test")
    assert not is_given_up(one, "silent.test:8081")


def test_a_failure_in_one_process_counts_in_all(tmp_path: Path) -> None:
    children = [
        multiprocessing.get_context("spawn").Process(target=_fail_in_child, args=(tmp_path, 50)) for _ in range(2)
    ]
    for child in children:
        child.start()
    one = breaker(tmp_path, max_in_row=100)
    assert not is_given_up(one)
    for child in children:
        child.join(60)
    assert is_given_up(one)
    assert is_given_up(breaker(tmp_path, max_in_row=100))


def _fail_in_child(folder: Path, n: int) -> None:
    fail(breaker(folder, max_in_row=100), n)


def test_in_the_next_pass_a_host_that_never_answered_is_given_up_after_a_few_requests(tmp_path: Path) -> None:
    fail(breaker(tmp_path), 5)
    later = breaker(tmp_path, 1)
    assert not is_given_up(later)
    assert later.is_probing(HOST)
    fail(later, 2)
    assert not is_given_up(later)
    fail(later, 1)
    assert is_given_up(later)
    recovered = breaker(tmp_path, 2)
    assert recovered.is_probing(HOST)
    recovered.note_answer(HOST)
    assert not recovered.is_probing(HOST)
    fail(recovered, 4)
    assert not is_given_up(recovered)


def test_a_host_that_has_answered_is_given_up_later_each_time(tmp_path: Path) -> None:
    n_asked = []
    for number in range(3):
        one = breaker(tmp_path, number)
        one.note_answer(HOST)
        assert not one.is_probing(HOST)
        n_failures = 0
        while not is_given_up(one):
            fail(one, 1)
            n_failures += 1
        n_asked.append(n_failures)
    assert n_asked == [5, 10, 20]


def test_failures_of_an_earlier_pass_do_not_count(tmp_path: Path) -> None:
    fail(breaker(tmp_path), 4)
    later = breaker(tmp_path, 1)
    fail(later, 4)
    assert not is_given_up(later)
    fail(later, 1)
    assert is_given_up(later)


def test_a_host_that_was_busy_gets_one_request_at_a_time_until_it_answers(tmp_path: Path) -> None:
    one = breaker(tmp_path)
    one.note_answer(HOST)
    fail(one, 5, reason="host_busy")
    with pytest.raises(Refused, match=r"host_busy: .* gave no answer but 429 or 503 5 times in a row; not asked"):
        one.check(HOST)
    later = breaker(tmp_path, 1)
    assert not is_given_up(later) and later.is_probing(HOST)
    later.note_answer(HOST)
    assert not later.is_probing(HOST)
    fail(later, 1, reason="host_busy")
    assert later.is_probing(HOST)


def test_a_host_rests_only_while_its_failures_in_a_row_are_few(tmp_path: Path) -> None:
    one, never = breaker(tmp_path), breaker(tmp_path, max_in_row=0)
    one.note_answer(HOST)
    assert one.may_rest(HOST) and never.may_rest(HOST)
    fail(one, 5, reason="host_busy")
    assert not one.may_rest(HOST)
    later = breaker(tmp_path, 1)
    fail(later, 5, reason="host_busy")
    assert later.may_rest(HOST)
    fail(later, 1, reason="host_busy")
    assert not later.may_rest(HOST) and not is_given_up(later)


def test_an_answer_after_the_host_was_given_up_only_counts_for_the_next_pass(tmp_path: Path) -> None:
    one = breaker(tmp_path)
    fail(one, 5)
    one.note_answer(HOST)
    assert is_given_up(one)
    assert not breaker(tmp_path, 1).is_probing(HOST)


def test_many_hosts_share_few_files_and_hosts_without_failures_write_none(tmp_path: Path) -> None:
    one = breaker(tmp_path, max_in_row=1)
    for n in range(200):
        one.note_answer(f"good{n}.test")
    assert list(tmp_path.iterdir()) == []
    for n in range(200):
        fail(one, 1, f"bad{n}.test")
    assert all(is_given_up(one, f"bad{n}.test") for n in range(200))
    assert not any(is_given_up(one, f"good{n}.test") for n in range(200))


@pytest.mark.parametrize("max_in_row", [0, 5])
def test_without_a_limit_or_a_folder_no_host_is_given_up(tmp_path: Path, max_in_row: int) -> None:
    one = Breaker(None if max_in_row else tmp_path, pass_number=0, max_in_row=max_in_row)
    fail(one, 99)
    assert not is_given_up(one)


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b'{"silent.test', b"\xff\xfe"])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    fail(breaker(tmp_path), 5)
    (damaged,) = (path for path in tmp_path.iterdir() if not path.suffix)
    damaged.write_bytes(content)
    one = breaker(tmp_path)
    assert not is_given_up(one) and not is_given_up(one)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{damaged} is damaged (")
    fail(one, 5)
    assert is_given_up(one) and is_given_up(breaker(tmp_path))
