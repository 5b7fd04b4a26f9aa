from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flows.run.events import Advanced
from flows.run.executor import LocalExecutor
from flows.run.handle import Handle, Message
from flows.run.worker import Committed, Task
from flows.settings import RunSettings
from stages.contract import Uses
from tests.unit.flows.run.test_policy import FakeWorker, job


class Worker(FakeWorker):
    """A worker that commits its partition when its next event is read."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[tuple[str, str]] = []

    def send(self, task: Task) -> None:
        self.tasks.append((task.stage, task.partition))

    def receive(self) -> Message | None:
        return Committed(self.tasks[-1][1], 1, 1)


class Workers:
    """Starts such workers, all of which have events."""

    def __init__(self) -> None:
        self.started: list[Worker] = []

    def start(self, device: str) -> Handle:
        self.started.append(Worker())
        return self.started[-1]

    def wait(self, handles: Sequence[Handle], timeout_s: float) -> Sequence[Handle]:
        return handles


def give(executor: LocalExecutor, stage: str, partition: str, uses: Uses = "cores") -> None:
    executor.start(replace(job(partition).task, stage=stage, build=Path()), uses, 0.0)


def test_a_partition_goes_to_the_worker_that_has_its_stages_model_open() -> None:
    workers = Workers()
    executor = LocalExecutor(RunSettings(workers=2), workers)
    for stage, partition in (("screen", "a"), ("caption", "a")):
        give(executor, stage, partition)
    assert sum(not isinstance(event, Advanced) for _, event in executor.listen()) == 2
    give(executor, "caption", "b")
    assert [worker.tasks for worker in workers.started] == [[("screen", "a")], [("caption", "a"), ("caption", "b")]]
    give(executor, "caption", "c")
    assert workers.started[0].tasks[-1] == ("caption", "c"), "the other worker is busy"
    list(executor.listen())
    give(executor, "embed", "a")
    assert workers.started[0].tasks[-1] == ("embed", "a"), "no worker has it open, so the first is chosen"
    assert len(workers.started) == 2


def test_models_run_in_workers_that_run_nothing_else_though_there_is_no_gpu() -> None:
    workers = Workers()
    executor = LocalExecutor(RunSettings(workers=2, model_workers=1), workers)
    jobs: list[tuple[str, Uses]] = [("screen", "cores"), ("embed", "gpu"), ("plan", "cores"), ("caption", "gpu")]
    for stage, uses in jobs:
        give(executor, stage, "a", uses)
        list(executor.listen())
    assert [worker.tasks for worker in workers.started] == [
        [("screen", "a"), ("plan", "a")],
        [("embed", "a"), ("caption", "a")],
    ]
