"""A run shows in a real Prefect server, and a server that dies changes nothing but what is shown."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.watch.mirror import MEMORY
from flows.watch.ui import API_URL, HOST, answers, start_server
from flows.watch.waves import MOST_WAVES
from tests.end_to_end.runs import ENVIRONMENT, ROOT, command, copy_world, rows, wait_until

MODULES = ("inventory", "filter", "plan", "download", "labelled", "screen")
TABLES = ("candidate", "planned", "fetched", "image")
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


@dataclass
class Server:
    home: Path
    process: subprocess.Popen[bytes]
    url: str

    def find(self, kind: str, **filters: object) -> list[dict[str, Any]]:
        """Return what the server knows of a kind."""
        body = json.dumps({"limit": 200, **filters}).encode()
        request = urllib.request.Request(f"{self.url}/api/{kind}/filter", body, {"Content-Type": "application/json"})
        with urllib.request.build_opener().open(request, timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found

    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, API_URL: f"{self.url}/api", "PREFECT_HOME": str(self.home)}


def start(home: Path) -> Server:
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        url = f"http://{HOST}:{probe.getsockname()[1]}"
    with (home / "log").open("w") as log:
        server = Server(home, start_server(home, url, log.fileno()), url)
    wait_until(lambda: answers(url), 90)
    return server


def kill(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("prefect") / "home")
    yield server
    kill(server)


def begin(world: Path, build: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    if not build.exists():
        copy_world(world, build)
    words = command("stage", *MODULES, "--build", build)
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(run: subprocess.Popen[str]) -> str:
    told = run.communicate(timeout=240)[0]
    assert run.returncode == 0, told
    return told


@pytest.fixture(scope="module")
def silent(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, without a server."""
    build = tmp_path_factory.mktemp("silent") / "build"
    finish(begin(small_world, build, {**ENVIRONMENT, API_URL: ""}))
    return build


def assert_same_rows(build: Path, silent: Path) -> None:
    ours, theirs = rows(build), rows(silent)
    assert sum(ours[f"{table}/kept"].num_rows for table in TABLES) > 200
    for name, table in ours.items():
        compared = [column for column in table.column_names if column != "detail"]  # it may name the build's folder
        assert table.select(compared).equals(theirs[name].select(compared)), name


def only_build(server: Server, build: Path) -> dict[str, Any]:
    return next(r for r in server.find("flow_runs") if r["parameters"].get("build") == str(build))


def children(server: Server, run: dict[str, Any]) -> list[dict[str, Any]]:
    return server.find("flow_runs", flow_runs={"parent_flow_run_id": {"any_": [run["id"]]}})


def test_a_run_shows_as_a_flow_with_a_subflow_per_stage_and_three_artifacts_each(
    small_world: Path, server: Server, silent: Path, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    told = finish(begin(small_world, build, server.environment()))
    run = only_build(server, build)
    assert run["state_type"] == "COMPLETED" and run["name"] == "demo build"
    assert f"/runs/flow-run/{run['id']}" in told
    stages = children(server, run)
    assert {"filter", "plan", "download", "settle", "screen"} <= {stage["name"] for stage in stages}
    assert {stage["state_type"] for stage in stages} == {"COMPLETED"}
    for stage in stages:
        waves = server.find("task_runs", task_runs={"flow_run_id": {"any_": [stage["id"]]}})
        assert 0 < len(waves) <= MOST_WAVES and {wave["state_type"] for wave in waves} == {"COMPLETED"}
        shown = server.find("artifacts", flow_runs={"id": {"any_": [stage["id"]]}})
        assert Counter(a["type"] for a in shown) == {"progress": 1, "table": 1, "markdown": 1}, stage["name"]
        assert next(a["data"] for a in shown if a["type"] == "progress") == 100
    assert json.loads((build / MEMORY).read_text()) == []
    assert_same_rows(build, silent)


def stop_when_shown(run: subprocess.Popen[str], server: Server, memory: Path, number: int) -> str:
    """Send a signal once a task run shows; return the flow run."""
    before = json.loads(memory.read_text()) if memory.exists() else []
    wait_until(lambda: memory.exists() and json.loads(memory.read_text()) not in ([], before), 60)
    known: str = json.loads(memory.read_text())[-1]
    wait_until(lambda: server.find("task_runs", flow_runs={"parent_flow_run_id": {"any_": [known]}}), 60)
    os.killpg(run.pid, number)
    run.communicate(timeout=60)
    return known


def test_a_killed_run_is_shown_as_crashed_by_the_next_and_a_stopped_one_as_cancelled(
    small_world: Path, server: Server, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    killed, stopped = (
        stop_when_shown(begin(small_world, build, server.environment()), server, build / MEMORY, number)
        for number in (signal.SIGKILL, signal.SIGINT)
    )
    found = {run["id"]: run for run in server.find("flow_runs")}
    assert (found[killed]["state_type"], found[stopped]["state_type"]) == ("CRASHED", "CANCELLED")
    for run in (killed, stopped):
        inside = [found[run], *children(server, found[run])]
        tasks = server.find("task_runs", task_runs={"flow_run_id": {"any_": [r["id"] for r in inside]}})
        assert len(tasks) > 1
        assert {r["state_type"] for r in (*inside, *tasks)} <= FINAL


def test_a_server_killed_in_the_middle_of_a_stage_changes_nothing(
    small_world: Path, silent: Path, tmp_path: Path
) -> None:
    server = start(tmp_path / "home")
    try:
        build = tmp_path / "build"
        run = begin(small_world, build, server.environment())
        in_download = {"flow_runs": {"name": {"any_": ["download"]}, "state": {"type": {"any_": ["RUNNING"]}}}}
        wait_until(lambda: server.find("flow_runs", **in_download), 90)
    finally:
        kill(server)
    told = finish(run)
    assert told.count("Prefect gets no further updates") == 1
    assert_same_rows(build, silent)
