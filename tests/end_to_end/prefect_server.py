"""Runs `make ui` in a test and queries its server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.watch.ui import API_URL, HOST, URL_FILE, answers
from tests.end_to_end.runs import ENVIRONMENT, ROOT, wait_until

FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


@dataclass
class Ui:
    """A running `make ui`."""

    home: Path
    process: subprocess.Popen[bytes]
    url: str

    def call(self, method: str, path: str, body: object = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(
            f"{self.url}/api{path}", data, {"Content-Type": "application/json"}, method=method
        )
        for n_left in reversed(range(5)):
            try:
                with urllib.request.build_opener().open(request, timeout=30) as answer:
                    text = answer.read()
                break
            except urllib.error.HTTPError as error:  # 503 means that its database is locked for a moment
                if error.code != 503 or not n_left:
                    raise
                time.sleep(0.5)
        return json.loads(text) if text else None

    def find(self, kind: str, **filters: object) -> list[dict[str, Any]]:
        """Return the server's objects of a kind."""
        found: list[dict[str, Any]] = self.call("POST", f"/{kind}/filter", {"limit": 200, **filters})
        return found

    def run(self, run_id: str) -> dict[str, Any]:
        run: dict[str, Any] = self.call("GET", f"/flow_runs/{run_id}")
        return run

    def run_of(self, build: Path) -> dict[str, Any] | None:
        """Return the last flow run of a build that was started in a terminal."""
        runs = [r for r in self.find("flow_runs", sort="START_TIME_DESC") if r["parameters"].get("build") == str(build)]
        return next((run for run in runs if run["parent_task_run_id"] is None), None)

    def children(self, run_id: str) -> list[dict[str, Any]]:
        return self.find("flow_runs", flow_runs={"parent_flow_run_id": {"any_": [run_id]}})

    def start(self, target: str, **parameters: str) -> str:
        """Start a deployment like the browser; return the flow run's id."""
        deployment = self.call("GET", f"/deployments/name/{target}/{target}")
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"])

    def set_state(self, run_id: str, kind: str, name: str) -> None:
        """Cancel (CANCELLING) or retry (SCHEDULED, AwaitingRetry) like the browser."""
        self.call("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": kind, "name": name}})

    def suspend(self, run_id: str) -> None:
        """Suspend a run like the browser."""
        details = {"pause_timeout": "2100-01-01T00:00:00Z", "pause_reschedule": True}
        state = {"type": "PAUSED", "name": "Suspended", "state_details": details}
        self.call("POST", f"/flow_runs/{run_id}/set_state", {"state": state})

    def wait_for(self, run_id: str, kind: str, timeout_s: float = 300) -> None:
        """Wait until a flow run is in a state; fail at once if it ended in another one."""

        def is_there() -> bool:
            run = self.run(run_id)
            assert run["state_type"] == kind or run["state_type"] not in FINAL, f"{run['state']} {self.logs(run_id)}"
            return bool(run["state_type"] == kind)

        wait_until(is_there, timeout_s, 0.25)  # a call costs the server 20 ms of a core

    def logs(self, run_id: str) -> list[str]:
        return [log["message"] for log in self.find("logs", logs={"flow_run_id": {"any_": [run_id]}})]

    def artifacts(self, run_id: str) -> dict[str, dict[str, Any]]:
        found = self.find("artifacts", flow_runs={"id": {"any_": [run_id]}})
        by_key = {artifact["key"]: artifact for artifact in found}
        assert len(by_key) == len(found), "a key is shown once"
        return by_key

    def has_wave(self, run_id: str, stage: str) -> bool:
        """Return whether a wave of a stage is shown."""
        stages = [child["id"] for child in self.children(run_id) if child["name"] == stage]
        return bool(stages and self.find("task_runs", task_runs={"flow_run_id": {"any_": stages}}))

    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, API_URL: f"{self.url}/api", "PREFECT_HOME": str(self.home)}

    def end(self, number: int) -> None:
        """Send `make ui` a signal and wait until it and its server have ended."""
        self.process.send_signal(number)
        self.process.wait(60)
        wait_until(lambda: not answers(self.url), 60)


def begin_ui(home: Path, port: int = 0) -> Ui:
    """Start `make ui` and wait until its deployments are served."""
    if not port:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
    home.mkdir(parents=True, exist_ok=True)
    (home / URL_FILE).unlink(missing_ok=True)  # left by a killed one
    words = [sys.executable, "-m", "flows.watch.ui", str(home), str(port)]
    process = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: process.poll() is not None or (home / URL_FILE).exists(), 300)
    ui = Ui(home, process, (home / URL_FILE).read_text())
    assert ui.url.endswith(f":{port}")
    return ui


def wait_for_deployments(ui: Ui) -> None:
    wait_until(lambda: any(d["status"] == "READY" and d["name"] == "stats" for d in ui.find("deployments")), 300, 0.25)


def end_quietly(ui: Ui) -> None:
    """End a server that a failed test may have left."""
    if ui.process.poll() is None:
        ui.process.send_signal(signal.SIGINT)
        try:
            ui.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(ui.process.pid, signal.SIGKILL)
            ui.process.wait()


def status(ui: Ui, path: str = "/api/health", method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    """Return status and headers of the answer to a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{ui.url}{path}", b"{}" if method == "POST" else None, named, method=method)
    try:
        with urllib.request.build_opener().open(request, timeout=20) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}
