import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_the_build_and_each_target_have_a_flow_that_starts_their_command(tmp_path: Path) -> None:
    # In a separate process: Prefect reads its settings at import, and other tests must not inherit them.
    code = (
        "import json, sys\n"
        "from flows.deploy import targets\n"
        "from stages import MODULES\n"
        "said = {'PROFILE': 'paper', 'SOURCES': '/a b', 'BUILD': '', 'SET': 'dedup.max_distance=6 run.workers=3',"
        " 'RETRY': 'transient', 'METAFILE': ''}\n"
        "words = {name: targets.command_of(name, said)[3:] for name in targets.FLOWS}\n"
        "schema = sorted(targets.FLOWS['download'].parameters.properties)\n"
        "states = {code: targets._state_of(code, 'error: no').type.value for code in (0, 1, 2, 130, -9)}\n"
        "found = all(getattr(targets, name) is flow and flow._entrypoint.endswith(name)"
        " for name, flow in targets.FLOWS.items())\n"
        "names = []\n"
        "for profile in ('', 'light'):\n"
        "    targets.flow_run.get_parameters = lambda: {'profile': profile}\n"
        "    names.append(targets.FLOWS['filter'].flow_run_name())\n"
        "print(json.dumps([words, schema, states, found, list(MODULES), names]))\n"
    )
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": "", "DO_NOT_TRACK": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    words, schema, states, found, modules, names = json.loads(done.stdout)
    assert list(words) == ["build", *modules] and found
    assert names == ["filter", "light filter"]
    options = ["--profile=paper", "--sources=/a b"]
    settings = ["--set=dedup.max_distance=6", "--set=run.workers=3"]
    assert words["build"] == ["build", *options, "--retry=transient", *settings]
    assert words["download"] == ["stage", "download", *options, "--retry=transient", *settings]
    assert words["inventory"] == ["inventory", *options, *settings]
    assert schema == ["build", "eval", "metafile", "profile", "retry", "set", "sources"]
    assert states == {"0": "COMPLETED", "1": "FAILED", "2": "FAILED", "130": "CANCELLED", "-9": "FAILED"}
