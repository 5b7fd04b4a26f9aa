import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows.ledger.lease import hold_lease
from tests.end_to_end.runs import PATIENT_S, ROOT, TwoRuns, copy_world, read_until, run, start


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_world(out: Path, n_rows: int, slow_s: float) -> Path:
    """Make a world whose slow answers take slow_s: more than PATIENT_S are too late, fewer end without an answer."""
    words = [
        sys.executable,
        "-m",
        "flows.demo.world",
        "make",
        str(out),
        "--rows",
        str(n_rows),
        "--port",
        str(_free_port()),
    ]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    about = out / "world.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "slow_s": slow_s}))
    return out


@pytest.fixture(scope="session")
def large_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world of `make demo`."""
    return _make_world(tmp_path_factory.mktemp("worlds") / "large", 3000, slow_s=2 * PATIENT_S)


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make_world(tmp_path_factory.mktemp("worlds") / "small", 400, slow_s=0.5)


@pytest.fixture(scope="session")
def demo(large_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build of the world of `make demo`, which tests must not change."""
    build = tmp_path_factory.mktemp("builds") / "demo"
    copy_world(large_world, build)
    done = run("demo", "--build", build)
    assert done.returncode == 0, done.stdout + done.stderr
    (build.parent / "demo.log").write_text(done.stdout)
    return build


@pytest.fixture(scope="session")
def two_runs(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> TwoRuns:
    """Two runs on one build of the small world: both wait for the lease of this process, one makes the build."""
    build = tmp_path_factory.mktemp("builds") / "small"
    copy_world(small_world, build)
    with hold_lease(build, "the test", print):
        runs = [start("build", "--build", build) for _ in range(2)]
        printed = [read_until(process, "waiting for another run") for process in runs]
    printed = [text + process.communicate()[0] for text, process in zip(printed, runs, strict=True)]
    return TwoRuns(build, [process.returncode for process in runs], printed)


@pytest.fixture(scope="session")
def small_build(two_runs: TwoRuns) -> Path:
    """A finished, never interrupted build of the small world, which tests must not change."""
    assert two_runs.codes == [0, 0], two_runs.printed
    return two_runs.build
