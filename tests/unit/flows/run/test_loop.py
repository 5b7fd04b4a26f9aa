"""Which partitions run concurrently, with toy stages of two halves; real workers if a signal is needed."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.events import Advanced, Event, Retried
from flows.run.executor import Happened, InlineExecutor, LocalExecutor
from flows.run.interrupts import Interrupted
from flows.run.runner import Runner, StageFailure
from flows.run.toolbox import Toolbox
from flows.run.worker import Committed, Failed, Task, try_partition
from stages.contract import ContractError, InputError, Stage, Uses
from tests.contract import overlap_toys
from tests.contract.overlap_toys import LABELLED, WEB
from tests.small_build import SETTINGS, Build, Recorder, assert_same_contents, contents
from tests.stopwatch import Stopwatch

MODULES = ("give", "toy")


def toy(name: str, folder: Path, **run: float) -> Build:
    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    settings = {"backoff_s": 0.0, "reserve_gb": 0.0, "workers": 1, **run}
    stages = getattr(overlap_toys, name)
    return Build(folder / "build", sources, {"run": settings}, stages, f"tests.contract.overlap_toys:{name}")


def committed(watcher: Recorder) -> list[str]:
    return [f"{name}/{e.partition}" for name, e in watcher.events if isinstance(e, Committed)]


@dataclass
class SlowNetwork:
    """Runs partitions in this process; those that use the network end last."""

    look: Callable[[], None] = lambda: None
    held: list[Task] = field(default_factory=list)
    ready: list[Task] = field(default_factory=list)

    def has_room(self, uses: Uses, memory_gb: float) -> bool:
        return uses == "network" or not self.ready

    def start(self, task: Task, uses: Uses, memory_gb: float) -> None:
        (self.held if uses == "network" else self.ready).append(task)

    def is_busy(self) -> bool:
        return bool(self.held or self.ready)

    def listen(self) -> Iterator[Happened]:
        self.look()
        task = (self.ready or self.held).pop(0)
        yield task, try_partition(task, Toolbox(), lambda n_rows: None)

    def wind_down(self, end: float) -> Iterator[Happened]:
        return iter(())

    def abandon(self) -> None:
        return


def test_stages_that_do_not_read_the_download_run_beside_it_and_global_stages_wait(tmp_path: Path) -> None:
    watcher = toy("SOUND", tmp_path).run(SlowNetwork(), MODULES)
    order = committed(watcher)
    of_rs3 = [f"{name}/{part}" for part in LABELLED for name in ("join", "look")]
    assert order[0] == "list/whole" and sorted(order[1:5]) == sorted(of_rs3)
    assert order[5] == f"fetch/{WEB[0]}" and order[-1] == "tally/whole"
    assert len(order) == len(set(order)) == 10
    assert watcher.begun == [("list", 1, 1), ("fetch", 2, 2), ("join", 2, 2), ("look", 1, 1), ("tally", 1, 1)]
    assert watcher.grown == [("look", 1), ("join", 1), ("join", 1)]


def test_rows_do_not_depend_on_concurrency(tmp_path: Path) -> None:
    overlapping, one_by_one = toy("SOUND", tmp_path / "a"), toy("SOUND", tmp_path / "b")
    overlapping.run(SlowNetwork(), MODULES)
    for module in MODULES:
        one_by_one.run(InlineExecutor(), [module])
    assert_same_contents(contents(overlapping), contents(one_by_one))


def test_the_state_updated_by_commits_equals_the_state_read_from_receipts(tmp_path: Path) -> None:
    build = toy("SOUND", tmp_path)
    ledger = build.ledger()
    seen: list[int] = []

    def compare() -> None:
        fresh = Ledger(Store(build.root), build.stages, build.settings)
        for stage in build.stages:
            grown, expected = ledger.state(stage), fresh.state(stage)
            assert [(p.name, p.fingerprint, p.receipt is None) for p in grown.partitions] == [
                (p.name, p.fingerprint, p.receipt is None) for p in expected.partitions
            ]
            assert (grown.lacks, grown.n_due, sorted(grown.spans)) == (
                expected.lacks, len(expected.due), sorted(expected.spans)
            )  # fmt: skip
            seen.append(len(grown.receipts))

    runner = Runner(ledger, SlowNetwork(compare), Recorder(), build.catalogue, build.sources)
    runner.run(MODULES)
    compare()
    assert len(seen) == 55 and sum(seen[-5:]) == 10


def test_a_second_run_does_nothing_and_only_a_lost_partition_is_done_again(tmp_path: Path) -> None:
    build = toy("SOUND", tmp_path)
    build.run(SlowNetwork(), MODULES)
    assert build.run(SlowNetwork(), MODULES).events == []
    receipt = next((build.root / "looked" / LABELLED[1]).glob("*/receipt.json"))
    receipt.unlink()
    assert committed(build.run(SlowNetwork(), MODULES)) == [
        f"look/{LABELLED[1]}"
    ]  # with the same rows, so tally is current


def test_a_single_module_refuses_to_run_without_its_inputs(tmp_path: Path) -> None:
    build = toy("SOUND", tmp_path)
    with pytest.raises(InputError, match=r"fetch cannot start: (.|\n)*listed are missing: run `make stage-give` first"):
        build.run(SlowNetwork(), ["toy"])


def test_stages_independent_of_a_failure_continue_and_the_others_are_named(tmp_path: Path) -> None:
    build = toy("FAILS", tmp_path)
    with pytest.raises(StageFailure) as caught:
        build.run(InlineExecutor(), MODULES)
    assert [failure.partition for failure in caught.value.failures] == [WEB[0]]
    assert "not finished, because they wait for these: join, look, tally" in str(caught.value)
    ledger = build.ledger()
    assert ledger.state(build.stage("look")).n_due == 0 and len(ledger.state(build.stage("join")).receipts) == 3


def test_a_fault_of_the_code_stops_everything(tmp_path: Path) -> None:
    build = toy("FAILS", tmp_path)
    (build.sources / "wrong-code").touch()
    with pytest.raises(ContractError):
        build.run(InlineExecutor(), MODULES)
    assert not build.ledger().state(build.stage("tally")).receipts
    assert len(build.ledger().state(build.stage("fetch")).receipts) == 0


def test_a_full_disk_is_named_before_anything_runs(tmp_path: Path) -> None:
    build = toy("SOUND", tmp_path, reserve_gb=10**9)
    with pytest.raises(InputError, match=r"run\.reserve_gb"):
        build.run(InlineExecutor(), MODULES)
    assert not list(build.root.rglob("receipt.json"))


class Interrupting(Recorder):
    """Interrupts once partitions of both halves are running; then lets them end, or interrupts again."""

    def __init__(self, sources: Path, n_times: int, watch: Stopwatch) -> None:
        super().__init__()
        self.sources, self.n_times, self.watch = sources, n_times, watch
        self.asked_at_s: float | None = None

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        super().see(stage, task, event)
        under_way = {name for name, event in self.events if isinstance(event, Advanced)} >= {"fetch", "look"}
        if under_way and self.asked_at_s is None:
            self.asked_at_s = self.watch.seconds
            for _ in range(self.n_times):
                signal.raise_signal(signal.SIGINT)
            if self.n_times == 1:
                (self.sources / "go").touch()


@pytest.mark.parametrize("n_times", [1, 2])
def test_after_ctrl_c_overlapping_partitions_are_either_completed_or_abandoned(tmp_path: Path, n_times: int) -> None:
    build = toy("WAITS", tmp_path, workers=2, download_workers=1, grace_s=60.0)
    with Stopwatch() as watch:
        watcher = Interrupting(build.sources, n_times, watch)
        with LocalExecutor(build.settings.run) as executor, pytest.raises(Interrupted):
            Runner(build.ledger(), executor, watcher, build.catalogue, build.sources).run(MODULES)
    assert watcher.asked_at_s is not None and watch.seconds - watcher.asked_at_s < 25
    n_done = {stage.name: len(build.ledger().state(stage).receipts) for stage in build.stages}
    assert (n_done["fetch"], n_done["look"]) == ((1, 1) if n_times == 1 else (0, 0))
    left = [path for path in build.root.rglob("*.parquet") if not (path.parent / "receipt.json").exists()]
    assert n_times == 2 or not left
    (build.sources / "go").touch()
    again = build.run(InlineExecutor(), MODULES)
    assert not set(committed(again)) & set(committed(watcher))
    other = toy("SOUND", tmp_path / "other")
    other.run(InlineExecutor(), MODULES)
    assert_same_contents(contents(build), contents(other))


def run_local(build: Build, watcher: Recorder) -> None:
    with LocalExecutor(build.settings.run) as executor:
        Runner(build.ledger(), executor, watcher, build.catalogue, build.sources).run(MODULES)


def test_a_stopped_worker_is_found_by_its_silence_and_another_does_its_partition(tmp_path: Path) -> None:
    watcher = Recorder()
    run_local(toy("STOPS_ONCE", tmp_path, silence_s=2.0), watcher)
    assert f"fetch/{WEB[0]}: its worker gave no sign of life for run.silence_s = 2" in messages(watcher)
    assert f"fetch/{WEB[0]}" in committed(watcher) and "tally/whole" in committed(watcher)


class LetsGo(Recorder):
    """Lets the waiting partitions continue once one was stopped to free memory."""

    def __init__(self, sources: Path) -> None:
        super().__init__()
        self.sources = sources

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        super().see(stage, task, event)
        if isinstance(event, Retried):
            (self.sources / "go").touch()


def messages(watcher: Recorder) -> list[str]:
    return [event.message for _, event in watcher.events if isinstance(event, Retried)]


def test_if_workers_exceed_the_memory_together_the_oldest_continues(tmp_path: Path) -> None:
    build = toy("EATS", tmp_path, workers=2, memory_gb=1.5, total_memory_gb=1.2)
    watcher = LetsGo(build.sources)
    run_local(build, watcher)
    said = messages(watcher)
    assert said and all("all workers together held 1." in message for message in said)
    assert "run.total_memory_gb = 1.2; it begins again when there is room for it" in said[0]
    assert "tally/whole" in committed(watcher)


def test_an_observation_that_fails_is_made_once_however_many_partitions_end_after_it(tmp_path: Path) -> None:
    build = Build(tmp_path / "build", tmp_path / "gone", SETTINGS)
    watcher = Recorder()
    runner = Runner(build.ledger(), InlineExecutor(), watcher, build.catalogue, build.sources)
    with pytest.raises(
        StageFailure, match=r"list_sources: 1 of 1 partitions failed:\n  000: SOURCES=.* is not a folder"
    ):
        runner.run(["inventory", "withdraw", "safety"])
    ended = [name for name, event in watcher.events if isinstance(event, Committed | Failed)]
    assert ended.count("list_sources") == 1 and len(ended) > 2
