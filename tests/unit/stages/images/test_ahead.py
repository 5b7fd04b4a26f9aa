"""Threads load the next batch while the current one is processed; batches keep their order."""

import threading
from collections.abc import Iterator

import pytest

from stages.images.ahead import load_ahead


@pytest.mark.parametrize("n_threads", [0, 1, 5])
def test_batches_and_items_keep_their_order(n_threads: int) -> None:
    batches = [[1, 2, 3], [4], [], [5, 6]]
    found = list(load_ahead(batches, lambda n: n * n, n_threads))
    assert found == [([1, 2, 3], [1, 4, 9]), ([4], [16]), ([], []), ([5, 6], [25, 36])]
    assert list(load_ahead([], str, n_threads)) == []


def test_the_next_batch_is_loaded_while_the_current_one_is_processed() -> None:
    begun = {n: threading.Event() for n in range(3)}

    def load(n: int) -> int:
        begun[n].set()
        return n

    for batch, _ in load_ahead([[0], [1], [2]], load, 1):
        following = batch[0] + 1
        assert following == 3 or begun[following].wait(timeout=300)
        assert following >= 2 or not begun[following + 1].is_set()


def test_items_of_a_batch_are_loaded_together() -> None:
    meeting = threading.Barrier(3, timeout=300)  # passes once three threads wait
    assert len(list(load_ahead([[0, 1, 2]], lambda n: meeting.wait(), 3))) == 1


def test_an_exception_is_raised_with_its_batch_and_no_more_are_loaded() -> None:
    asked: list[int] = []

    def batches() -> Iterator[list[int]]:
        for n in range(9):
            asked.append(n)
            yield [n]

    def load(n: int) -> int:
        if n == 1:
            raise ValueError("the second")
        return n

    found = load_ahead(batches(), load, 2)
    assert next(found) == ([0], [0])
    with pytest.raises(ValueError, match="the second"):
        next(found)
    assert asked == [0, 1, 2]


def test_no_thread_is_left_when_the_reader_stops() -> None:
    found = load_ahead([[0], [1, 2, 3, 4]], str, 3)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("load")]
