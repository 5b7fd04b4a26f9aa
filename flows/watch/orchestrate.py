"""Write a build into Prefect: a flow run, a subflow run per stage, task runs, artifacts.

The only file that imports Prefect; `flows.watch.mirror` imports it only when a server is named. It decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect import Flow, Task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY
from prefect.states import Running

Outcome = Literal["COMPLETED", "FAILED", "CANCELLED", "CRASHED"]
_CALL_S = 10.0  # a loaded server is slow; nobody waits for it but a thread
_REMEMBERED = 20  # builds that were killed while their server was away
_OPEN = (StateType.RUNNING, StateType.PENDING)
_WORDS_AFTER_KILL = "the process ended without a word; what has its receipt is done"


class Scribe:
    """Writes one build; for one thread.

    Attributes:
        refusals: errors of calls that the server did not take and that may be made again.
        build_run_id: the flow run of the build.
        stages_open: the runs of stages that have begun and not ended.
    """

    refusals = (httpx.ConnectError,)

    def __init__(self, client: SyncPrefectClient, memory: Path) -> None:
        self._client = client
        self._memory = memory  # runs that are not known to have ended
        self.build_run_id = UUID(int=0)
        self._placeholders: dict[int, UUID] = {}
        self._stage_runs: dict[int, UUID] = {}
        self.stages_open: set[int] = set()
        self._waves: dict[tuple[int, int], UUID] = {}
        self._artifacts: dict[str, str] = {}

    @property
    def page(self) -> str:
        """The address of the build's page."""
        return f"{str(self._client.api_url).rstrip('/').removesuffix('/api')}/runs/flow-run/{self.build_run_id}"

    def open_build(self, name: str, parameters: Mapping[str, str | int]) -> None:
        """Begin the flow run; those that a killed process left open are closed first."""
        self._bury_the_killed()
        run = self._client.create_flow_run(_flow("build"), name=name, parameters=dict(parameters), state=Running())
        self.build_run_id = run.id
        self._remember([*self._recall(), str(run.id)])

    def open_stage(self, number: int, stage: str, parameters: Mapping[str, str | int]) -> None:
        """Begin the subflow run of a stage, under a task run that represents it in the build."""
        task = self._client.create_task_run(
            _task(stage), self.build_run_id, dynamic_key=str(number), name=stage, state=Running()
        )
        run = self._client.create_flow_run(
            _flow(stage), name=stage, parameters=dict(parameters), parent_task_run_id=task.id, state=Running()
        )
        self._placeholders[number], self._stage_runs[number] = task.id, run.id
        self.stages_open.add(number)

    def open_wave(self, number: int, stage: str, wave: int, name: str) -> None:
        """Begin a task run of a stage."""
        run = self._client.create_task_run(
            _task(f"{stage} wave"), self._stage_runs[number], dynamic_key=str(wave), name=name, state=Running()
        )
        self._waves[number, wave] = run.id

    def close_wave(self, number: int, wave: int, outcome: Outcome, message: str) -> None:
        """End a task run."""
        self._client.set_task_run_state(self._waves.pop((number, wave)), _state(outcome, message), force=True)

    def close_stage(self, number: int, outcome: Outcome, message: str) -> None:
        """End a subflow run, and the task run that represents it."""
        self.stages_open.discard(number)
        run_id = self._stage_runs[number]
        self._client.set_flow_run_state(run_id, _state(outcome, message), force=True)
        placeholder = _state(outcome, message)
        placeholder.state_details.child_flow_run_id = run_id
        self._client.set_task_run_state(self._placeholders.pop(number), placeholder, force=True)

    def close_build(self, outcome: Outcome, message: str) -> None:
        """End the flow run and all that is still open in it."""
        self._close_run(self.build_run_id, outcome, message)
        self._remember([run for run in self._recall() if run != str(self.build_run_id)])

    def show_progress(self, number: int, key: str, percent: float, description: str) -> None:
        """Show how far a stage is."""
        self._show(number, key, "progress", round(percent, 1), description)

    def show_markdown(self, number: int, key: str, text: str, description: str) -> None:
        """Show a text; it must be safe to render."""
        self._show(number, key, "markdown", text, description)

    def show_table(self, number: int, key: str, rows: Sequence[Mapping[str, object]], description: str) -> None:
        """Show a table, each row by column."""
        self._show(number, key, "table", json.dumps(list(rows)), description)

    def _show(self, number: int, key: str, kind: str, data: object, description: str) -> None:
        # Not by the client's own methods: those also send events, in a thread that outlives a dead server.
        known = f"{number}/{key}"
        body: dict[str, Any] = {"data": data, "description": description}
        if known in self._artifacts:
            path = {"id": self._artifacts[known]}
            self._client.request("PATCH", "/artifacts/{id}", json=body, path_params=path)
            return
        body |= {"key": key, "type": kind, "flow_run_id": str(self._stage_runs[number])}
        self._artifacts[known] = self._client.request("POST", "/artifacts/", json=body).json()["id"]

    def _close_run(self, run_id: UUID, outcome: Outcome, message: str) -> None:
        children = self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
        )
        for child in children:
            if child.state_type in _OPEN:
                self._client.set_flow_run_state(child.id, _state(outcome, message), force=True)
        for run in [run_id, *(child.id for child in children)]:
            for task in self._client.read_task_runs(task_run_filter=_open_tasks(run)):
                self._client.set_task_run_state(task.id, _state(outcome, message), force=True)
        self._client.set_flow_run_state(run_id, _state(outcome, message), force=True)

    def _bury_the_killed(self) -> None:
        left = []
        for run in self._recall():  # the lease on the build says that none of them is alive
            try:
                if self._client.read_flow_run(UUID(run)).state_type in _OPEN:
                    self._close_run(UUID(run), "CRASHED", _WORDS_AFTER_KILL)
            except ObjectNotFound:
                left.append(run)  # of another server
        self._remember(left)

    def _recall(self) -> list[str]:
        try:
            return [str(UUID(run)) for run in json.loads(self._memory.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            return []  # never written, or not by us: a convenience, not a record

    def _remember(self, runs: Sequence[str]) -> None:
        draft = self._memory.with_suffix(".draft")
        draft.write_text(json.dumps(list(runs)[-_REMEMBERED:]), encoding="utf-8")
        draft.replace(self._memory)


def connect(api_url: str, memory: Path) -> Scribe:
    """Return a scribe for a server; a call that fails raises at once or after some seconds."""
    client = SyncPrefectClient(
        api_url, api_key=PREFECT_API_KEY.value(), auth_string=PREFECT_API_AUTH_STRING.value(),
        httpx_settings={"timeout": _CALL_S},
    )  # fmt: skip
    client.__enter__()  # the scribe lives as long as its thread
    return Scribe(client, memory)


def _flow(name: str) -> Flow[..., Any]:
    return Flow(_nothing, name=name)


def _task(name: str) -> Task[..., Any]:
    return Task(_nothing, name=name, cache_policy=NO_CACHE)


def _nothing() -> None:
    """Do nothing: what a flow run shows is done elsewhere."""


def _state(outcome: Outcome, message: str) -> State[None]:
    return State(type=StateType(outcome), name=outcome.capitalize(), message=message or None)


def _open_tasks(run: UUID) -> TaskRunFilter:
    return TaskRunFilter(
        flow_run_id=TaskRunFilterFlowRunId(any_=[run]),
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(_OPEN))),
    )
