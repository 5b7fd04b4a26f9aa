"""A real Prefect server shows, starts, cancels and retries runs; its death changes no row."""

import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flows.watch.memory import MEMORY
from flows.watch.ui import API_URL, HOST
from flows.watch.waves import MOST_WAVES
from tests.end_to_end.prefect_server import (
    FINAL,
    Ui,
    begin_ui,
    end_quietly,
    status,
    wait_for_deployments,
)
from tests.end_to_end.runs import ENVIRONMENT, ROOT, command, copy_world, rows
from tests.end_to_end.runs import wait_until as wait_often

BEFORE = ("inventory", "filter", "plan")
TABLES = ("candidate", "planned", "fetched")
EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    ui = begin_ui(tmp_path_factory.mktemp("prefect") / "home")
    yield ui
    end_quietly(ui)


# Each request waits for its answer, so that a held world (see `held`) changes no row.
PATIENT = ("download.timeout_s=600", "download.max_fetch_s=600")

# A condition is up to three calls of 20 ms of the server: asked every 0.1 s, they can take a third of its core.
wait_until = partial(wait_often, timeout_s=300, every_s=0.4)


def begin(build: Path, environment: dict[str, str], *modules: str) -> subprocess.Popen[str]:
    words = command("stage", *modules, "--build", build, *(word for setting in PATIENT for word in ("--set", setting)))
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(run: subprocess.Popen[str], code: int = 0) -> str:
    printed = run.communicate(timeout=240)[0]
    assert run.returncode == code, printed
    return printed


@pytest.fixture(scope="module")
def planned(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build that is finished up to its download."""
    build = tmp_path_factory.mktemp("planned") / "build"
    copy_world(small_world, build)
    finish(begin(build, {**ENVIRONMENT, API_URL: ""}, *BEFORE))
    return build


@pytest.fixture(scope="module")
def silent(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same build with its download, neither shown in Prefect nor interrupted."""
    build = copied(planned, tmp_path_factory.mktemp("silent"))
    finish(begin(build, {**ENVIRONMENT, API_URL: ""}, "download"))
    return build


def copied(build: Path, folder: Path) -> Path:
    subprocess.run(["cp", "-r", str(build), str(folder / "build")], check=True)
    return folder / "build"


@contextmanager
def held(build: Path) -> Iterator[None]:
    """Let the web server of a build's world answer nothing, so that its download does not end, however slow we are."""
    hold = build / "world" / "hold"
    hold.touch()
    yield
    hold.unlink()


def assert_same_rows(build: Path, silent: Path) -> None:
    ours, theirs = rows(build), rows(silent)
    assert sum(ours[f"{table}/kept"].num_rows for table in TABLES) > 200
    for name, table in ours.items():
        compared = [column for column in table.column_names if column != "detail"]  # may contain the build's path
        assert table.select(compared).equals(theirs[name].select(compared)), name


def all_inside(ui: Ui, run_id: str) -> list[dict[str, Any]]:
    """Return a flow run, its subflow runs and all their task runs."""
    runs = [ui.run(run_id), *ui.children(run_id)]
    return [*runs, *ui.find("task_runs", task_runs={"flow_run_id": {"any_": [run["id"] for run in runs]}})]


def child_of(ui: Ui, run_id: str) -> int:
    """Return the id of the child process that works for a flow run."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"RS5M_FLOW_RUN={run_id}:".encode() in environment and b"flows.cli" in words:
            return int(folder.name)
    raise AssertionError(f"found no process for flow run {run_id}")


def flow_of(child: int) -> int:
    return int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_started_in_a_terminal_shows_its_stages_and_refusals(
    planned: Path, ui: Ui, silent: Path, tmp_path: Path
) -> None:
    build = copied(planned, tmp_path)
    printed = finish(begin(build, ui.environment(), "download"))
    run = ui.run_of(build)
    assert run is not None and run["state_type"] == "COMPLETED" and f"/runs/flow-run/{run['id']}" in printed
    stages = ui.children(run["id"])
    assert {"open_pass", "download", "reduce_attempts"} == {stage["name"] for stage in stages}
    assert {one["state_type"] for one in all_inside(ui, run["id"])} == {"COMPLETED"}
    for stage in stages:
        waves = ui.find("task_runs", task_runs={"flow_run_id": {"any_": [stage["id"]]}})
        assert 0 < len(waves) <= MOST_WAVES
        shown = ui.artifacts(stage["id"])
        assert Counter(a["type"] for a in shown.values()) == {"progress": 1, "table": 1, "markdown": 1}, stage["name"]
    shown = ui.artifacts(run["id"])
    assert set(shown) == {"build-progress", "build-stages", "build-corpora", "download-attempts"}
    assert shown["build-progress"]["data"] == 100
    refused = Counter(reason for reason in last_reasons(silent).values() if reason is not None)
    text = shown["download-attempts"]["data"].replace("\\", "")
    for reason, n in refused.items():
        assert f"| {reason} | {n:,} |" in text
    assert "URLs fetched" in printed and f"http_not_found {refused['http_not_found']}" in printed
    assert any(line.startswith("download: ") for line in ui.logs(run["id"]))
    assert json.loads((build / MEMORY).read_text()) == []
    assert_same_rows(build, silent)


def last_reasons(silent: Path) -> dict[str, str | None]:
    """Return why each URL was not fetched in the last pass that tried it; None if it was."""
    import pyarrow.parquet as pq

    found: dict[str, str | None] = {}
    for receipt in sorted(silent.glob("fetch_attempt/*/*/receipt.json")):  # in the order of the passes
        rows = pq.read_table(receipt.parent / json.loads(receipt.read_text())["kept"]["file"])
        found.update(zip(rows["fetch_id"].to_pylist(), rows["fetch_reason"].to_pylist(), strict=True))
    return found


def test_a_run_of_a_terminal_is_cancelled_and_retried_in_the_browser_and_the_next_run_closes_a_killed_one(
    planned: Path, ui: Ui, silent: Path, tmp_path: Path
) -> None:
    wait_for_deployments(ui)
    build = copied(planned, tmp_path)
    with held(build):
        killed = begin(build, ui.environment(), "download")
        wait_until(lambda: (run := ui.run_of(build)) is not None and ui.has_wave(run["id"], "download"))
        first = ui.run_of(build)
        assert first is not None
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        stopped = begin(build, {**ui.environment(), "PYTHONWARNINGS": "default"}, "download")
        wait_until(lambda: (run := ui.run_of(build)) is not None and run["id"] != first["id"])
        assert ui.run(first["id"])["state_type"] == "CRASHED"
        pages = [
            ui.artifacts(run["id"]) for run in (first, *ui.children(first["id"])) if run["state_type"] != "COMPLETED"
        ]
        assert len(pages) > 1 and all("the machine went down" in a["description"] for p in pages for a in p.values())
        second = ui.run_of(build)
        assert second is not None
        wait_until(lambda: ui.has_wave(second["id"], "download"))
        assert second["deployment_id"], "the page's Cancel is disabled for a run without a deployment"
        ui.set_state(second["id"], "CANCELLING", "Cancelling")
        printed = finish(stopped, 130)
        assert "cancelled in Prefect" in printed and "leaked semaphore" not in printed
        ui.wait_for(second["id"], "CANCELLED")
        assert any(
            line.startswith(f"$ make stage-download PROFILE=demo BUILD={build}") for line in ui.logs(second["id"])
        )
    for run in (first, second):
        inside = all_inside(ui, run["id"])
        assert len(inside) > 3 and {one["state_type"] for one in inside} <= FINAL
    ui.set_state(second["id"], "SCHEDULED", "AwaitingRetry")
    wait_until(lambda: ui.run(second["id"])["state_type"] != "CANCELLED")
    ui.wait_for(second["id"], "COMPLETED")
    assert_same_rows(build, silent)


def held_download(ui: Ui, build: Path) -> tuple[str, int]:
    """Start a download of a held build by its deployment; return its run and its child once it is under way."""
    run_id = ui.start("download", build=str(build), set=" ".join(PATIENT))
    wait_until(lambda: ui.has_wave(run_id, "download"))
    return run_id, child_of(ui, run_id)


def test_a_deployment_starts_a_run_that_is_cancelled_and_retried(
    planned: Path, ui: Ui, silent: Path, tmp_path: Path
) -> None:
    wait_for_deployments(ui)
    build = copied(planned, tmp_path)
    with held(build):
        run_id, child = held_download(ui, build)
        assert os.getsid(child) == child, "the child has its own session"
        ui.set_state(run_id, "CANCELLING", "Cancelling")
        ui.wait_for(run_id, "CANCELLED")
        wait_until(lambda: not is_alive(child))
    assert {one["state_type"] for one in all_inside(ui, run_id)} <= FINAL
    wait_until(lambda: any("stopped. Finished partitions are kept" in line for line in ui.logs(run_id)))

    ui.set_state(run_id, "SCHEDULED", "AwaitingRetry")
    wait_until(lambda: ui.run(run_id)["state_type"] != "CANCELLED")
    ui.wait_for(run_id, "COMPLETED")
    assert ui.run(run_id)["run_count"] == 2
    assert {"reduce_attempts", "download"} <= {stage["name"] for stage in ui.children(run_id)}
    assert ui.artifacts(run_id)["build-progress"]["data"] == 100, "shown once, not once for each attempt"
    assert_same_rows(build, silent)


def test_a_suspended_run_goes_on_and_can_be_cancelled(planned: Path, ui: Ui, tmp_path: Path) -> None:
    wait_for_deployments(ui)
    build = copied(planned, tmp_path)
    with held(build):
        run_id, child = held_download(ui, build)
        ui.suspend(run_id)
        wait_until(lambda: ui.run(run_id)["state_type"] == "RUNNING")
        wait_until(lambda: any("a run cannot be suspended" in line for line in ui.logs(run_id)))
        assert is_alive(child)
        ui.suspend(run_id)
        ui.set_state(run_id, "CANCELLING", "Cancelling")  # from Suspended a server makes it Cancelled at once
        ui.wait_for(run_id, "CANCELLED")
        wait_until(lambda: not is_alive(child))
    wait_until(lambda: {one["state_type"] for one in all_inside(ui, run_id)} == {"COMPLETED", "CANCELLED"})
    assert ui.run(run_id)["state_type"] == "CANCELLED"


def test_a_run_that_fails_says_why_and_retries_are_a_parameter(planned: Path, ui: Ui, tmp_path: Path) -> None:
    wait_for_deployments(ui)
    run_id = ui.start("download", build=str(tmp_path / "none"), set="download.n_threads=zero")
    ui.wait_for(run_id, "FAILED")
    message = ui.run(run_id)["state"]["message"]
    assert message.startswith("exit code 2 (wrong input or use): error: download.n_threads = 'zero'")
    assert not any("Traceback" in line for line in ui.logs(run_id))
    named = {deployment["name"]: deployment for deployment in ui.find("deployments")}
    schema = named["download"]["parameter_openapi_schema"]["properties"]
    assert {"profile", "sources", "build", "set", "retry"} <= set(schema)
    assert {"build", *BEFORE, "download", "stats"} <= set(named)


def test_a_schedule_creates_runs(ui: Ui, tmp_path: Path) -> None:
    wait_for_deployments(ui)
    deployment = ui.call("GET", "/deployments/name/inventory/inventory")["id"]
    hourly = {"active": True, "schedule": {"interval": 3600}, "parameters": {"build": str(tmp_path / "build")}}
    (schedule,) = ui.call("POST", f"/deployments/{deployment}/schedules", [hourly])
    of_schedule = {"deployments": {"id": {"any_": [deployment]}}}
    wait_until(lambda: ui.find("flow_runs", **of_schedule))
    builds = {run["parameters"].get("build") for run in ui.find("flow_runs", **of_schedule)}
    assert builds == {str(tmp_path / "build")}, "the runs of the schedule, with its parameters"
    ui.call("DELETE", f"/deployments/{deployment}/schedules/{schedule['id']}")


def test_a_run_survives_the_death_of_server_and_flow_and_is_shown_completely_afterwards(
    planned: Path, silent: Path, tmp_path: Path
) -> None:
    ui = begin_ui(tmp_path / "home")
    try:
        wait_for_deployments(ui)
        build = copied(planned, tmp_path)
        deployment = ui.call("GET", "/deployments/name/inventory/inventory")["id"]
        ui.call("POST", f"/deployments/{deployment}/schedules", [{"active": True, "schedule": {"cron": "0 4 1 1 *"}}])
        with held(build):
            run_id = ui.start("download", build=str(build), set=" ".join(PATIENT))
            wait_until(lambda: ui.has_wave(run_id, "download"))
            child = child_of(ui, run_id)
            flow = flow_of(child)
            ui.end(signal.SIGKILL)  # the kernel then ends the server and the runner too
            assert is_alive(child) and is_alive(flow)
            os.kill(flow, signal.SIGKILL)
        ui = begin_ui(tmp_path / "home", int(ui.url.rpartition(":")[2]))
        ui.wait_for(run_id, "COMPLETED")
        wait_until(lambda: not is_alive(child))
        inside = all_inside(ui, run_id)
        assert len(inside) > 5 and {one["state_type"] for one in inside} == {"COMPLETED"}
        assert ui.artifacts(run_id)["build-progress"]["data"] == 100
        wait_for_deployments(ui)
        schedules = ui.call("GET", f"/deployments/{deployment}/schedules")
        assert [one["schedule"]["cron"] for one in schedules] == ["0 4 1 1 *"], "a schedule made in the browser stays"
        printed = (tmp_path / "home" / "runs" / f"{run_id}.log").read_text()
        # The first is printed after three failed calls in a row, so not at all if the server is back earlier.
        # The second if it is back before the run has ended.
        assert printed.count("Prefect answers again") <= printed.count("Prefect does not answer") <= 1
        # Logged although the flow has ended; if the run ended before the server was back, the server's sweep logs it.
        wait_until(lambda: any(line.startswith("reduce_attempts: ") for line in ui.logs(run_id)))
    finally:
        end_quietly(ui)
    assert_same_rows(build, silent)


def test_the_server_answers_only_its_own_host_and_origin(ui: Ui) -> None:
    own = ui.url.removeprefix("http://")
    port = own.rpartition(":")[2]
    post = {"path": "/api/flows/filter", "method": "POST", "Content_Type": "application/json"}
    assert status(ui)[0] == 200 and status(ui, **post)[0] == 200
    assert status(ui, Origin=ui.url, **post)[0] == 200
    assert status(ui, Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0] == 200
    assert status(ui, path="/", Sec_Fetch_Site="cross-site")[0] == 200, "a link may lead to the page"
    for headers in (
        {"Host": f"evil.example:{port}"}, {"Host": "evil.example"}, {"Host": HOST}, {"Host": f"{HOST}:1"},
        {"Origin": EVIL}, {"Origin": "null"}, {"Origin": f"http://{HOST}:1"}, {"Origin": f"https://{own}"},
        {"Origin": f"{ui.url}.evil.example"}, {"Sec_Fetch_Site": "cross-site"},
    ):  # fmt: skip
        for request in ({}, post):
            code, answered = status(ui, **request, **headers)  # type: ignore[arg-type]
            assert code == 403 and "access-control-allow-origin" not in answered, headers
    code, answered = status(ui, "/api/flows/filter", "OPTIONS", Origin=EVIL, Access_Control_Request_Method="POST")
    assert code == 403 and "access-control-allow-origin" not in answered
    assert websocket_answer(ui, EVIL).startswith("HTTP/1.1 403")
    assert websocket_answer(ui, ui.url).startswith("HTTP/1.1 101")


def websocket_answer(ui: Ui, origin: str) -> str:
    """Return the first line of the answer to a WebSocket's opening request."""
    own = ui.url.removeprefix("http://")
    host, _, port = own.partition(":")
    lines = [
        "GET /api/events/out HTTP/1.1", f"Host: {own}", f"Origin: {origin}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: prefect", "", "",
    ]  # fmt: skip
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(4096).decode().split("\r\n")[0]
