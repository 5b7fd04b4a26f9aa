"""Of two runs on one build the second waits and finds everything done, so nothing is damaged or done twice."""

import subprocess
from pathlib import Path

from tests.end_to_end.runs import ENVIRONMENT, ROOT, assert_identical, command, copy_world, run


def test_the_second_of_two_runs_waits_and_has_nothing_to_do(
    small_world: Path, small_build: Path, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    copy_world(small_world, build)
    runs = [
        subprocess.Popen(
            command("build", "--build", build), cwd=ROOT, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], told
    waited = [text for text in told if "waiting for another run" in text]
    assert len(waited) == 1
    assert "nothing to do" in waited[0]
    assert len(list(build.glob("image/*/*/*.kept.parquet"))) == len(list(build.glob("image/*/*/receipt.json")))
    assert_identical(build, small_build)
    assert run("verify", "--build", build).returncode == 0
