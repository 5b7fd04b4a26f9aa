"""The calls to a Prefect server: flow runs, subflow runs, task runs, artifacts, logs. Decisions are made in sync.py.

The only file of the run itself that imports Prefect; `flows.watch.mirror` imports it only when a server is named.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from prefect import Flow, Task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY
from prefect.states import Running

from flows.watch.closing import Shown
from flows.watch.pace import first_line

Given = ParamSpec("Given")
Found = TypeVar("Found")
Outcome = Literal["COMPLETED", "FAILED", "CANCELLED", "CRASHED"]
_CALL_S = 10.0  # a loaded server is slow; nobody waits for it but a thread
_OPEN = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
_ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED)
_N_ENDED = 20
TAG = "rs5m"  # of our deployments; another's server may have one with the same name


def level_of(line: str) -> int:
    """Return the level of a line of a run, by which the Logs tab filters."""
    if line.startswith("error: ") or " failed: " in line:
        return logging.ERROR
    return logging.WARNING if " is tried again: " in line else logging.INFO


class NotPrefectError(Exception):
    """Something answered that is no Prefect server, such as a proxy with a page of its own, which may be JSON."""


def _asks(
    call: Callable[Concatenate[Scribe, Given], Found],
) -> Callable[Concatenate[Scribe, Given], Found]:
    """Return a call that raises NotPrefectError for an answer that no Prefect server gives."""

    @functools.wraps(call)
    def checked(scribe: Scribe, /, *words: Given.args, **more: Given.kwargs) -> Found:
        try:
            return call(scribe, *words, **more)
        except ObjectNotFound:
            if scribe.is_prefect():
                raise
            raise NotPrefectError from None  # it knows no run at all: none has to be recreated
        # What the client raises where an answer is no JSON, or has not the expected keys, types or values.
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise NotPrefectError from error

    return checked


class Scribe:
    """Makes the calls, for one thread.

    Calls are safe to repeat: a server that died may have stored the first one without answering.

    Attributes:
        lost: errors of a server that cannot be reached or is overloaded; the call may be repeated.
        gone: the error for a run that the server does not know, because its database is another one.
    """

    lost = (httpx.HTTPError, NotPrefectError)
    gone = (ObjectNotFound,)

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def words_on(self, error: Exception) -> str:
        """Return in a line why a call was lost."""
        url = str(self._client.api_url)
        if isinstance(error, NotPrefectError):
            words = f"{urlsplit(url).netloc} answered, but not as a Prefect server"
        else:
            # httpx names the address and adds the answer's body, which is JSON that is cut anywhere.
            words = first_line(str(error)).partition(" for url ")[0]
        is_answer = isinstance(error, NotPrefectError | httpx.HTTPStatusError)
        has_no_api = is_answer and not url.rstrip("/").endswith("/api")
        return words + "; PREFECT_API_URL usually ends in /api" * has_no_api

    def is_prefect(self) -> bool:
        """Return whether a Prefect server answers; raises the errors of `lost` if nothing does."""
        try:
            return self._client.request("GET", "/health").json() is True
        except json.JSONDecodeError:
            return False

    def page(self, run: str) -> str:
        """Return the address of a flow run's page."""
        return f"{str(self._client.api_url).rstrip('/').removesuffix('/api')}/runs/flow-run/{run}"

    @_asks
    def open_run(
        self, flow: str, name: str, parameters: Mapping[str, Any], parent_task: str | None = None, deployment: str = ""
    ) -> str:
        """Begin a flow run, or the subflow run of a task run unless it has one; return its id.

        Args:
            flow: its flow.
            name: its name.
            parameters: its parameters.
            parent_task: the task run that it is the subflow run of.
            deployment: one that starts the same; the page cancels and retries only runs that have one.
        """
        if parent_task and (known := self._child_of(parent_task)):
            return known
        if deployment and (served := self._deployment(deployment, parameters)):
            # Running from the first: the process that serves the deployment starts only scheduled runs.
            made = self._client.create_flow_run_from_deployment(
                served, name=name, parameters=dict(parameters), state=Running()
            )
            return str(made.id)
        run = self._client.create_flow_run(
            _flow(flow), name=name, parameters=dict(parameters), state=Running(),
            parent_task_run_id=UUID(parent_task) if parent_task else None,
        )  # fmt: skip
        return str(run.id)

    @_asks
    def open_task(self, run: str, task: str, key: str, name: str) -> str:
        """Begin a task run of a flow run and return its id; the same key leads to the same task run."""
        made = self._client.create_task_run(_task(task), UUID(run), dynamic_key=key, name=name, state=Running())
        return str(made.id)

    @_asks
    def close_task(self, task: str, outcome: Outcome, message: str, child: str | None = None) -> None:
        """End a task run; `child` is its subflow run."""
        state = _state(outcome, message)
        state.state_details.child_flow_run_id = UUID(child) if child else None
        self._client.set_task_run_state(UUID(task), state, force=True)

    @_asks
    def state(self, run: str) -> tuple[str, str]:
        """Return the type and the message of a flow run's state."""
        state = self._client.read_flow_run(UUID(run)).state
        return (state.type.value, state.message or "") if state is not None else ("", "")

    @_asks
    def reopen(self, run: str) -> None:
        """Set a flow run to Running again."""
        self._client.set_flow_run_state(UUID(run), Running(), force=True)

    @_asks
    def close_run(self, run: str, outcome: Outcome, message: str) -> None:
        """End a flow run."""
        self._client.set_flow_run_state(UUID(run), _state(outcome, message), force=True)

    @_asks
    def close_inside(self, run: str, outcome: Outcome, message: str) -> None:
        """End the open runs inside a flow run: its subflow runs and the task runs of all of them."""
        parent = FlowRunFilterParentFlowRunId(any_=[UUID(run)])
        children = self._client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent))
        for child in children:
            if child.state_type in _OPEN:
                self._client.set_flow_run_state(child.id, _state(outcome, message), force=True)
        for inside in (UUID(run), *(child.id for child in children)):
            for task in self._client.read_task_runs(task_run_filter=_open_tasks(inside)):
                self._client.set_task_run_state(task.id, _state(outcome, message), force=True)

    @_asks
    def open_runs(self) -> list[tuple[str, dict[str, Any]]]:
        """Return id and parameters of the open flow runs, without subflow runs."""
        is_open = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_OPEN)))
        found = self._client.read_flow_runs(flow_run_filter=FlowRunFilter(state=is_open))
        return [(str(run.id), run.parameters) for run in found if run.parent_task_run_id is None]

    @_asks
    def ended_runs(self) -> list[tuple[str, dict[str, Any]]]:
        """Return id and parameters of the flow runs that ended last, without subflow runs."""
        is_ended = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_ENDED)))
        is_top = FlowRunFilterParentTaskRunId(is_null_=True)
        found = self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=is_ended, parent_task_run_id=is_top),
            sort=FlowRunSort.END_TIME_DESC,
            limit=_N_ENDED,
        )
        return [(str(run.id), run.parameters) for run in found]

    @_asks
    def show(self, run: str, key: str, kind: str, data: object, description: str) -> str:
        """Show an artifact of a flow run, one for each key, and return its id; Markdown must be safe to render."""
        # Not by the client's own methods: those also send events, in a thread that outlives a dead server.
        wanted = {"artifacts": {"key": {"any_": [key]}}, "flow_runs": {"id": {"any_": [run]}}}
        if known := self._client.request("POST", "/artifacts/filter", json=wanted).json():
            self.change(known[0]["id"], kind, data, description)
            return str(known[0]["id"])
        body = {"key": key, "type": kind, "flow_run_id": run, "data": _data(kind, data), "description": description}
        return str(self._client.request("POST", "/artifacts/", json=body).json()["id"])

    @_asks
    def shown_inside(self, run: str) -> list[Shown]:
        """Return the artifacts of a flow run and of its open subflow runs."""
        parent, is_open = FlowRunFilterParentFlowRunId(any_=[UUID(run)]), FlowRunFilterStateType(any_=list(_OPEN))
        inside = FlowRunFilter(parent_flow_run_id=parent, state=FlowRunFilterState(type=is_open))
        runs = [run, *(str(child.id) for child in self._client.read_flow_runs(flow_run_filter=inside))]
        wanted = {"flow_runs": {"id": {"any_": runs}}}
        found = self._client.request("POST", "/artifacts/filter", json=wanted).json()
        return [
            Shown(
                one["id"], one["flow_run_id"], one["type"],
                json.loads(one["data"]) if one["type"] == "table" else one["data"],
                one["description"] or "", datetime.fromisoformat(one["updated"]).astimezone(UTC),
            )
            for one in found
        ]  # fmt: skip

    @_asks
    def change(self, artifact: str, kind: str, data: object, description: str) -> None:
        """Replace the content of an artifact."""
        body = {"data": _data(kind, data), "description": description}
        self._client.request("PATCH", "/artifacts/{id}", json=body, path_params={"id": artifact})

    def _deployment(self, name: str, parameters: Mapping[str, Any]) -> UUID | None:
        """Return the id of a deployment of ours that takes these parameters, or None if the server has none."""
        try:
            found = self._client.read_deployment_by_name(f"{name}/{name}")
        except ObjectNotFound:
            return None
        taken = (found.parameter_openapi_schema or {}).get("properties", {})
        return found.id if TAG in found.tags and set(parameters) <= set(taken) else None

    def _child_of(self, task: str) -> str:
        """Return the id of a task run's subflow run, or an empty text."""
        of_task = FlowRunFilter(parent_task_run_id=FlowRunFilterParentTaskRunId(any_=[UUID(task)]))
        found = self._client.read_flow_runs(flow_run_filter=of_task)
        return str(found[0].id) if found else ""

    @_asks
    def log(self, run: str, lines: Sequence[str]) -> None:
        """Add lines to a flow run's logs."""
        now = cast(Any, datetime.now(UTC))
        logs = [
            LogCreate(name="rs5m", level=level_of(m), message=m, timestamp=now, flow_run_id=UUID(run)) for m in lines
        ]
        self._client.create_logs(logs)


def connect(api_url: str) -> Scribe:
    """Return a scribe for a server; a call that fails raises at once or after some seconds."""
    client = SyncPrefectClient(
        api_url, api_key=PREFECT_API_KEY.value(), auth_string=PREFECT_API_AUTH_STRING.value(),
        httpx_settings={"timeout": _CALL_S},
    )  # fmt: skip
    client.__enter__()  # the scribe lives as long as its thread
    return Scribe(client)


def _data(kind: str, data: object) -> object:
    return json.dumps(data) if kind == "table" else data


def _flow(name: str) -> Flow[..., Any]:
    return Flow(_nothing, name=name)


def _task(name: str) -> Task[..., Any]:
    return Task(_nothing, name=name, cache_policy=NO_CACHE)


def _nothing() -> None:
    """Do nothing: the body of a flow run, whose work is done elsewhere."""


def _state(outcome: Outcome, message: str) -> State[None]:
    return State(type=StateType(outcome), name=outcome.capitalize(), message=message or None)


def _open_tasks(run: UUID) -> TaskRunFilter:
    return TaskRunFilter(
        flow_run_id=TaskRunFilterFlowRunId(any_=[run]),
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(_OPEN))),
    )
