import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
CODE = """
import threading
from multiprocessing import Pipe
from flows.run.child import _Line
ours, theirs = Pipe()
line = _Line(theirs, 60.0)
ours.close()
{act}
"""


@pytest.mark.parametrize("act", ["line.send(0)", "line.busy.set(); threading.Event().wait(60)"])
def test_a_worker_whose_supervisor_is_gone_ends_without_a_word(act: str) -> None:
    code = CODE.format(act=act)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
