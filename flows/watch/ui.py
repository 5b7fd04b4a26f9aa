"""Serve the Prefect UI and its deployments on loopback until Ctrl-C, and find the server that is running.

Not for reporting to it: that is `flows.watch.orchestrate`. Nothing here imports Prefect.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

API_URL = "PREFECT_API_URL"  # Prefect's own; where it is set, empty too, nothing is looked for
FLOW_RUN = "RS5M_FLOW_RUN"  # of a run that a flow started: the flow run's id and the flow's process, id:pid
UI_HOME = "RS5M_UI_HOME"  # the folder that `make ui` keeps its server in; the Makefile says it
URL_FILE = "url"
LOG_FILE = "server.log"
RUNNER_LOG_FILE = "deployments.log"
HOST = "127.0.0.1"
PORT = 4200  # Prefect's own
NO_TELEMETRY = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
ROOT = Path(__file__).parent.parent.parent
# The scheduler and the service that marks late runs stay on. Some of these would end runs that they take for lost.
_IDLE_SERVICES = (
    "CANCELLATION_CLEANUP", "CLEANUP_RECONCILER", "DB_VACUUM", "EVENT_LOGGER", "EVENT_PERSISTER", "FOREMAN",
    "PAUSE_EXPIRATIONS", "REPOSSESSOR", "TASK_RUN_RECORDER", "TRIGGERS",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1
_ANSWER_S = 1.0
_START_S = 90.0  # 10 to 18 s on two idle cores
_STOP_S = 10.0
_POLL_S = 0.1


def find_api_url(say: Callable[[str], None]) -> str:
    """Return the API address of the server to report to: by the environment, else that of `make ui`, else ""."""
    if API_URL in os.environ:
        return os.environ[API_URL]
    home = os.environ.get(UI_HOME)
    if not home:
        return ""
    try:
        url = (Path(home) / URL_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    if not answers(url):
        say(f"{url} does not answer: not shown in Prefect (`make ui` serves it; it leaves {home}/{URL_FILE})")
        return ""
    return f"{url}/api"


def answers(url: str) -> bool:
    """Return True if a Prefect server answers at a loopback address within a second."""
    if not url.startswith(f"http://{HOST}:"):
        return False
    try:
        with urllib.request.build_opener().open(f"{url}/api/health", timeout=_ANSWER_S) as answer:
            return bool(answer.read(16) == b"true")
    except (OSError, ValueError):
        return False


def serve(home: Path, port: int, say: Callable[[str], None]) -> int:
    """Serve until Ctrl-C; return the exit code.

    Args:
        home: folder for the server's database, log and address.
        port: where to listen; another one is used if it is taken.
        say: prints a line.
    """
    home.mkdir(parents=True, exist_ok=True)
    address = home / URL_FILE
    if address.exists() and answers(address.read_text(encoding="utf-8").strip()):
        say(f"running already: {address.read_text(encoding='utf-8').strip()}")
        return 0
    address.unlink(missing_ok=True)  # of one that was killed
    url = f"http://{HOST}:{_free_port(port)}"
    with (home / LOG_FILE).open("w", encoding="utf-8") as log:
        server = start_server(home, url, log.fileno())
    runner = None
    try:
        if not _wait_for(server, url):
            say(f"error: the Prefect server did not start: see {home / LOG_FILE}")
            return 1
        address.write_text(url, encoding="utf-8")
        with (home / RUNNER_LOG_FILE).open("w", encoding="utf-8") as log:
            runner = start_runner(home, url, log.fileno())
        say(f"Prefect: {url}   start, schedule, cancel and retry under Deployments; others are shown too")
        say(f"Ctrl-C ends the server, not the runs; its records stay in {home}")
        _wait_for_end(server, runner, url, home, say)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one would leave the server behind
            signal.signal(number, signal.SIG_IGN)
        address.unlink(missing_ok=True)
        if runner is not None:
            stop_runner(runner)
        stop_server(server)


def start_server(home: Path, url: str, log: int) -> subprocess.Popen[bytes]:
    """Start a Prefect server with its own home folder; Ctrl-C in this terminal does not reach it."""
    port = url.rpartition(":")[2]
    words = [
        sys.executable, "-m", "uvicorn", "--factory", "flows.deploy.guard:create_app", "--host", HOST, "--port", port,
        "--log-level", "warning", "--timeout-keep-alive", "5",
    ]  # fmt: skip
    return _start(words, server_environment(home, url), log)


def start_runner(home: Path, url: str, log: int) -> subprocess.Popen[bytes]:
    """Start the process that serves the deployments: it begins the runs that the server asks for."""
    environment = {**server_environment(home, url), API_URL: f"{url}/api", UI_HOME: str(home.resolve())}
    return _start([sys.executable, "-m", "flows.deploy.serve"], environment, log)


def stop_runner(runner: subprocess.Popen[bytes]) -> None:
    """Kill the runner: if asked to end, it would cancel the runs that it has started."""
    runner.kill()
    runner.wait()


def _start(words: list[str], environment: Mapping[str, str], log: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        preexec_fn=_end_with_parent,
    )  # fmt: skip


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent dies, also if that is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for_end(
    server: subprocess.Popen[bytes], runner: subprocess.Popen[bytes], url: str, home: Path, say: Callable[[str], None]
) -> None:
    """Wait until the server ends by itself; print once if the runner has ended."""
    has_said = False
    while server.poll() is None:
        if runner.poll() is not None and not has_said:
            has_said = True
            say(f"error: deployments are no longer served: see {home / RUNNER_LOG_FILE}; {url} still shows runs")
        time.sleep(_POLL_S)
    say(f"error: the Prefect server ended by itself: see {home / LOG_FILE}")


def server_environment(home: Path, url: str) -> dict[str, str]:
    """Return the server's environment: without the user's own Prefect settings and without telemetry."""
    ours: Mapping[str, str] = {
        **{f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in _IDLE_SERVICES},
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": url.rpartition(":")[2],
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # else the page asks port 4200
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{url},{url.replace(HOST, 'localhost')}",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",  # s; its own 10 s are long for a person who clicked
        **NO_TELEMETRY,
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | dict(ours)


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """End a server that `start_server` started."""
    server.terminate()
    try:
        server.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], url: str) -> bool:
    end = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < end:
        if answers(url):
            return True
        time.sleep(_POLL_S)
    return False


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no port of {HOST} is free")


def main(words: list[str]) -> int:
    """Serve with the folder and port of the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background processes with Ctrl-C ignored
        signal.signal(number, signal.default_int_handler)
    return serve(Path(words[0]), int(words[1]) if len(words) > 1 else PORT, lambda text: print(text, flush=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
