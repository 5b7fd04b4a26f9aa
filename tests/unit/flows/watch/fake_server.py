"""A Prefect server in memory, with the calls of `flows.watch.orchestrate.Scribe`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flows.watch.closing import Shown

NOW = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)  # when all artifacts were changed


class Away(Exception):
    """The server does not answer."""


class Unknown(Exception):
    """The server knows no such run."""


@dataclass
class FakeServer:
    """Stores runs, tasks, artifacts and logs; can fail a number of calls, or write one down and not answer."""

    lost = (Away,)
    gone = (Unknown,)
    runs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)  # of runs that are no subflow runs
    messages: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    task_runs: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[str, str, str], str] = field(default_factory=dict)
    artifacts: dict[str, tuple[str, str, object]] = field(default_factory=dict)
    descriptions: dict[str, tuple[str, str]] = field(default_factory=dict)  # kind and description of artifacts
    logs: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    n_away: int = 0  # number of next calls that fail
    is_away: bool = False
    unanswered: str = ""  # the next call of this name is written down without an answer
    _n: int = 0

    def words_on(self, error: Exception) -> str:
        return str(error).partition(" for url ")[0]

    def _call(self, name: str, *known: str) -> None:
        if self.is_away or self.n_away:
            self.n_away = max(0, self.n_away - 1)
            raise Away("away")
        self.calls[name] += 1
        for one in known:
            if one not in self.runs and one not in self.tasks:
                raise Unknown(one)

    def _answer(self, name: str, made: str) -> str:
        if self.unanswered == name:
            self.unanswered = ""
            raise Away("died before its answer")
        return made

    def _new(self, kind: str) -> str:
        self._n += 1
        return f"00000000-0000-4000-8000-{self._n:012d}" if kind == "run" else f"{kind}-{self._n}"

    def page(self, run: str) -> str:
        return f"page of {run}"

    def open_run(
        self, flow: str, name: str, parameters: Mapping[str, Any], parent_task: str | None = None, deployment: str = ""
    ) -> str:
        self._call("open_run", *([parent_task] if parent_task else []))
        if parent_task and parent_task in self.children:
            return self.children[parent_task]
        run = self._new("run")
        self.runs[run] = "RUNNING"
        if parent_task:
            self.parents[run], self.children[parent_task] = self.task_runs[parent_task], run
        else:
            self.parameters[run] = dict(parameters)
        return self._answer("open_run", run)

    def open_task(self, run: str, task: str, key: str, name: str) -> str:
        self._call("open_task", run)
        if (run, task, key) not in self.keys:
            made = self.keys[run, task, key] = self._new("task")
            self.tasks[made], self.task_runs[made] = "RUNNING", run
        return self._answer("open_task", self.keys[run, task, key])

    def close_task(self, task: str, outcome: str, message: str, child: str | None = None) -> None:
        self._call("close_task", task)
        self.tasks[task] = outcome

    def state(self, run: str) -> tuple[str, str]:
        self._call("state", run)
        return self.runs[run], self.messages.get(run, "")

    def reopen(self, run: str) -> None:
        self._call("reopen", run)
        self.runs[run] = "RUNNING"

    def close_run(self, run: str, outcome: str, message: str) -> None:
        self._call("close_run", run)
        self.runs[run], self.messages[run] = outcome, message

    def close_inside(self, run: str, outcome: str, message: str) -> None:
        self._call("close_inside", run)
        inside = [child for child, parent in self.parents.items() if parent == run]
        for child in inside:
            if self.runs[child] == "RUNNING":
                self.runs[child] = outcome
        for task, owner in self.task_runs.items():
            if owner in (run, *inside) and self.tasks[task] == "RUNNING":
                self.tasks[task] = outcome

    def open_runs(self) -> list[tuple[str, dict[str, Any]]]:
        return [(run, self.parameters[run]) for run in self.parameters if self.runs[run] == "RUNNING"]

    def ended_runs(self) -> list[tuple[str, dict[str, Any]]]:
        return [(run, self.parameters[run]) for run in self.parameters if self.runs[run] != "RUNNING"]

    def show(self, run: str, key: str, kind: str, data: object, description: str) -> str:
        self._call("show", run)
        known = [artifact for artifact, (owner, name, _) in self.artifacts.items() if (owner, name) == (run, key)]
        artifact = known[0] if known else self._new("artifact")
        self.artifacts[artifact], self.descriptions[artifact] = (run, key, data), (kind, description)
        return self._answer("show", artifact)

    def change(self, artifact: str, kind: str, data: object, description: str) -> None:
        self._call("change")
        if artifact not in self.artifacts:
            raise Unknown(artifact)
        run, key, _ = self.artifacts[artifact]
        self.artifacts[artifact], self.descriptions[artifact] = (run, key, data), (kind, description)

    def shown_inside(self, run: str) -> list[Shown]:
        self._call("shown_inside", run)
        wanted = [run, *(one for one, parent in self.parents.items() if parent == run and self.runs[one] == "RUNNING")]
        return [
            Shown(artifact, owner, kind, data, description, NOW)
            for artifact, (owner, _, data) in self.artifacts.items()
            for kind, description in [self.descriptions[artifact]]
            if owner in wanted
        ]

    def log(self, run: str, lines: Sequence[str]) -> None:
        self._call("log", run)
        self.logs += lines

    def lose_everything(self) -> None:
        """Empty the database."""
        for held in (
            self.runs,
            self.parameters,
            self.tasks,
            self.task_runs,
            self.parents,
            self.children,
            self.keys,
            self.artifacts,
        ):
            held.clear()

    def shown(self, key: str) -> object:
        """Return the content of an artifact that exists exactly once."""
        (data,) = [data for _, known, data in self.artifacts.values() if known == key]
        return data
