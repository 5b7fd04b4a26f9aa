from pathlib import Path

import pytest

from flows.run.events import Poisoned, Retried, Stalled
from flows.run.handle import Message
from flows.run.policy import START_UP_S, Attempt, Job, Policy
from flows.run.worker import Failed, Kind, Task
from flows.settings import RunSettings

GAP_S = 2.0


class FakeWorker:
    """A worker whose memory the test sets."""

    def __init__(self, memory_gb: float = 0.1) -> None:
        self.memory_gb = memory_gb
        self.children_gb = 0.0
        self.cpu = 0.0

    def send(self, task: Task) -> None:
        return

    def receive(self) -> Message | None:
        return None

    def kill(self) -> None:
        return

    def dismiss(self) -> None:
        return

    def is_alive(self) -> bool:
        return True

    def memory_bytes(self) -> int:
        return int(self.memory_gb * 1e9)

    def children_bytes(self) -> int:
        return int(self.children_gb * 1e9)

    def cpu_s(self) -> float:
        return self.cpu

    def last_words(self) -> str:
        return "it was struck by lightning"


def job(name: str, memory_gb: float = 0.0) -> Job:
    return Job(Task("make", "", name, "f", {}, {}, {}, {}, {}, 1, Path(), Path(), 1.0), "cores", memory_gb)


def attempt(policy: Policy, name: str, at: float = 0.0, memory_gb: float = 0.1) -> Attempt:
    begun = policy.begin(job(name), FakeWorker(memory_gb), at)
    begun.started = begun.heard = begun.moved = at  # as when its partition started
    return begun


@pytest.fixture
def policy() -> Policy:
    settings = RunSettings(memory_gb=1.0, deadline_s=100.0, silence_s=20.0, retries=2, backoff_s=3.0)
    return Policy(settings, total_bytes=2e9)


def test_silence_and_the_deadline_stop_a_worker(policy: Policy) -> None:
    one = attempt(policy, "a")
    for now in range(1, 20):
        assert policy.look([one], float(now), GAP_S) == []
    assert policy.look([one], 20.5, GAP_S) == [one]
    assert one.stopped_for == "its worker gave no sign of life for run.silence_s = 20"
    other = attempt(policy, "b")
    for now in range(22, 100):
        other.heard = float(now)
        assert policy.look([other], float(now), GAP_S) == []
    other.heard = 101.0
    assert policy.look([other], 101.0, GAP_S) == [other]
    assert other.stopped_for == "it ran longer than run.deadline_s = 100"


def test_a_worker_that_is_starting_is_given_time(policy: Policy) -> None:
    one = policy.begin(job("a"), FakeWorker(), 0.0)
    assert not any(policy.look([one], float(now), GAP_S) for now in range(int(START_UP_S) + 20))
    assert policy.look([one], START_UP_S + 20.5, GAP_S) == [one]


def test_a_worker_without_progress_is_named_and_later_stopped() -> None:
    settings = RunSettings(memory_gb=1.0, deadline_s=1e6, silence_s=1e6, stall_s=1800.0)
    policy = Policy(settings, total_bytes=2e9)
    one = attempt(policy, "a")
    policy.advance(one, 7, 100.0)
    policy.advance(one, 7, 500.0)  # no further row
    assert policy.find_stalled([one], 690.0) == []
    named = Stalled("a", "it has made no progress and used no CPU time for 10 minutes")
    assert policy.find_stalled([one], 701.0) == [(one, named)]
    assert policy.find_stalled([one], 800.0) == [], "said once"
    assert policy.look([one], 1890.0, 1e6) == []
    assert policy.look([one], 1901.0, 1e6) == [one]
    assert one.stopped_for == f"{named.message.replace('10 m', '30 m')}; run.stall_s = 1800"


def test_a_worker_that_computes_without_progress_is_not_stopped() -> None:
    policy = Policy(RunSettings(memory_gb=1.0, deadline_s=1e6, silence_s=1e6, stall_s=1800.0), total_bytes=2e9)
    busy, idle = attempt(policy, "a"), attempt(policy, "b")
    stopped = []
    for now in range(60, 7200, 60):
        busy.handle.cpu, idle.handle.cpu = now / 50, now / 1e5  # type: ignore[attr-defined]
        stopped += policy.look([busy, idle], float(now), 1e6)
        assert all(a is idle for a, _ in policy.find_stalled([busy, idle], float(now)))
    assert stopped and all(one is idle for one in stopped)


def test_time_in_which_the_supervisor_was_stopped_does_not_count_as_silence(policy: Policy) -> None:
    one = attempt(policy, "a")
    policy.look([one], 1.0, GAP_S)
    assert policy.look([one], 3600.0, GAP_S) == []
    for now in range(3601, 3620):
        assert policy.look([one], float(now), GAP_S) == []
    assert policy.look([one], 3619.9, GAP_S) == [one]


def test_memory_is_limited_per_worker_and_for_all_together(policy: Policy) -> None:
    greedy = attempt(policy, "a", memory_gb=1.3)
    assert policy.look([greedy], 0.5, GAP_S) == [greedy]
    assert greedy.stopped_for == "it held 1.30 GB; run.memory_gb = 1" and greedy.is_own_fault
    several = [attempt(policy, name, at, 0.8) for name, at in (("b", 0.1), ("c", 0.3), ("d", 0.2))]
    assert policy.look(several, 0.6, GAP_S) == [several[1]], "the youngest is stopped"
    assert several[1].stopped_for == "all workers together held 2.40 GB; run.total_memory_gb = 2"


def test_memory_of_children_counts_for_all_together_and_not_against_their_worker(policy: Policy) -> None:
    decoding = attempt(policy, "a", 0.1, 0.2)
    decoding.handle.children_gb = 1.5  # type: ignore[attr-defined]
    assert policy.look([decoding], 0.5, GAP_S) == []
    other = attempt(policy, "b", 0.2, 0.4)
    assert policy.look([decoding, other], 0.6, GAP_S) == [other]
    assert other.stopped_for == "all workers together held 2.10 GB; run.total_memory_gb = 2"


def test_a_partition_stopped_for_memory_is_not_poisoned_and_starts_again_when_it_fits(policy: Policy) -> None:
    others = [attempt(policy, "b", 0.1, 0.9), attempt(policy, "c", 0.2, 0.9)]
    last = attempt(policy, "d", 0.3, 0.9)
    for _ in range(5):
        assert policy.look([*others, last], 0.6, GAP_S) == [last]
        assert isinstance(policy.after_death(last), Retried)
    assert (last.job.n_deaths, last.job.memory_gb) == (0, 0.9)
    assert not policy.has_memory(last.job.memory_gb, others) and policy.has_memory(last.job.memory_gb, others[:1])
    assert policy.has_memory(50.0, []), "a single partition is always started: no setting may block a run for ever"


def test_declared_memory_is_reserved(policy: Policy) -> None:
    running = policy.begin(job("a", 1.5), FakeWorker(0.1), 0.0)
    assert not policy.has_memory(0.6, [running]) and policy.has_memory(0.4, [running])
    assert not policy.has_memory(0.4, [running], idle_bytes=int(0.2e9))


def test_two_deaths_poison_a_partition(policy: Policy) -> None:
    one = attempt(policy, "a")
    assert policy.after_death(one) == Retried("a", "make/a: it was struck by lightning")
    last = policy.after_death(one)
    assert last == Poisoned("a", "make/a: it was struck by lightning, 2 times; nothing of it was kept")


def test_transient_failures_are_retried_after_growing_waits(policy: Policy) -> None:
    one, failed = job("a"), Failed("a", "transient", "away")
    waits = []
    for _ in range(2):
        assert policy.after_failure(one, failed, 10.0) == Retried("a", "away")
        waits.append(one.not_before - 10.0)
    assert waits == [3.0, 6.0]
    assert policy.after_failure(one, failed, 10.0) == failed


@pytest.mark.parametrize("kind", ["input", "contract", "disk"])
def test_other_failures_are_final(policy: Policy, kind: Kind) -> None:
    failed = Failed("a", kind, "no")
    assert policy.after_failure(job("a"), failed, 10.0) == failed
