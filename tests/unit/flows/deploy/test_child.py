import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flows.deploy.child import Child


def child_of(tmp_path: Path, code: str, lines: list[str]) -> Child:
    return Child([sys.executable, "-u", "-c", code], os.environ, tmp_path / "runs" / "log", lines.append)


def run(child: Child) -> int:
    with child.start() as reader:
        return child.wait(reader)


@pytest.mark.parametrize(("code", "expected"), [("print('a')", 0), ("raise SystemExit(3)", 3)])
def test_run_returns_the_exit_code(tmp_path: Path, code: str, expected: int) -> None:
    assert run(child_of(tmp_path, code, [])) == expected


def test_a_signal_is_a_negative_code(tmp_path: Path) -> None:
    assert run(child_of(tmp_path, "import os; os.kill(os.getpid(), 9)", [])) == -signal.SIGKILL


def test_every_line_is_logged_once_and_an_unfinished_line_at_the_end(tmp_path: Path) -> None:
    lines: list[str] = []
    code = (
        "import sys; [print('line', n) for n in range(5000)]; print('é\\x00b', file=sys.stderr); print('end', end='')"
    )
    child = child_of(tmp_path, code, lines)
    assert run(child) == 0
    assert lines == [*(f"line {n}" for n in range(5000)), "é\x00b", "end"] and child.last_line == "end"
    lines.clear()
    assert run(child) == 0
    assert len(lines) == 5002, "a second run logs only its own lines"


def test_the_fault_is_what_follows_the_last_error(tmp_path: Path) -> None:
    lines = ["error: first", "error: filter: 2 of 3 partitions failed:", "  a: it is gone", "mend it"]
    child = child_of(tmp_path, f"print({chr(10).join(lines)!r}); raise SystemExit(1)", [])
    assert run(child) == 1
    assert child.fault == ["error: filter: 2 of 3 partitions failed:", "a: it is gone", "mend it"]


def test_the_child_gets_one_signal_and_has_its_own_session(tmp_path: Path) -> None:
    lines: list[str] = []
    code = (
        "import os, signal, time\n"
        "n = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: n.append(1))\n"
        "print('ready', os.getsid(0) == os.getpid())\n"
        "while not n: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "print('asked', len(n))\n"
    )
    child = child_of(tmp_path, code, lines)
    with child.start() as reader:

        def stop() -> None:
            end = time.monotonic() + 300
            while not lines and time.monotonic() < end:
                time.sleep(0.01)
            for _ in range(3):
                child.stop()

        thread = threading.Thread(target=stop)
        thread.start()
        assert child.wait(reader) == 0
        thread.join()
    assert lines == ["ready True", "asked 1"]


def test_the_child_survives_the_death_of_its_parent(tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    code = (
        "import time, pathlib\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
        f"print('x' * 100_000, flush=True); pathlib.Path({str(done)!r}).touch()"
    )
    starter = (
        "import os, pathlib; from flows.deploy.child import Child\n"
        f"words, log = [{sys.executable!r}, '-c', {code!r}], pathlib.Path({str(tmp_path / 'log')!r})\n"
        "child = Child(words, os.environ, log, print)\n"
        "child.start(); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", starter], cwd=Path(__file__).parents[4], check=False)
    assert ended.returncode == -signal.SIGKILL and not done.exists()
    go.touch()
    end = time.monotonic() + 300
    while not done.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert done.exists() and (tmp_path / "log").stat().st_size == 100_001
