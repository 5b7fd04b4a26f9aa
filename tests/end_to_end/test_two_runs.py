"""Of two runs on one build the second waits and finds everything done, so nothing is damaged or done twice.

What they make is what another run made in another place, with other workers.
"""

import json
import subprocess
from pathlib import Path

from tests.end_to_end.runs import ENVIRONMENT, ROOT, assert_identical, command, copy_world, run


def test_the_second_of_two_runs_waits_and_the_rebuild_is_identical(
    small_world: Path, small_build: Path, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    copy_world(small_world, build)
    words = ("--set", "run.workers=1", "--set", "run.model_workers=1", "--set", "download.n_threads=9")
    runs = [
        subprocess.Popen(
            command("build", "--build", build, *words), cwd=ROOT, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    reported = [process.communicate(timeout=600)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], reported
    waited = [text for text in reported if "waiting for another run" in text]
    assert len(waited) == 1
    assert "nothing to do" in waited[0]
    assert len(list(build.glob("image/*/*/*.kept.parquet"))) == len(list(build.glob("image/*/*/receipt.json")))
    assert_identical(build, small_build)
    ids = [json.loads((one / "dataset/build.json").read_text())["build_id"] for one in (build, small_build)]
    assert ids[0] == ids[1] and len(ids[0]) == 64
    assert run("verify", "--build", build).returncode == 0
