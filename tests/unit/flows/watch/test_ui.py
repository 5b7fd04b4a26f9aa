import socket
from pathlib import Path

import pytest

from flows.watch.ui import API_URL, HOST, UI_HOME, URL_FILE, find_api_url, server_environment


@pytest.fixture
def dead_api() -> str:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return f"http://{HOST}:{probe.getsockname()[1]}/api"


def test_a_stale_address_is_ignored_and_reported(
    tmp_path: Path, dead_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(API_URL, raising=False)
    monkeypatch.setenv(UI_HOME, str(tmp_path))
    said: list[str] = []
    assert find_api_url(said.append) == "" and said == []
    (tmp_path / URL_FILE).write_text(dead_api.removesuffix("/api"))
    assert find_api_url(said.append) == ""
    assert len(said) == 1 and "does not answer" in said[0]
    (tmp_path / URL_FILE).write_text("http://elsewhere.example:80")
    assert find_api_url(said.append) == ""


def test_the_environment_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UI_HOME, str(tmp_path))
    (tmp_path / URL_FILE).write_text("http://127.0.0.1:9")
    for url in ("http://127.0.0.1:8/api", ""):
        monkeypatch.setenv(API_URL, url)
        assert find_api_url(pytest.fail) == url


def test_the_server_sends_no_telemetry_and_ignores_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    environment = server_environment(tmp_path, "http://127.0.0.1:4200")
    assert "PREFECT_API_KEY" not in environment
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["PREFECT_HOME"] == str(tmp_path)
    assert environment["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4200/api"
    assert "*" not in environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"]
    assert "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED" not in environment, "schedules need it, and it is on by default"
