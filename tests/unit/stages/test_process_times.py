import os
import subprocess
import sys

from stages.process_times import process_times


def test_times_grow_with_work_and_a_process_that_is_gone_has_none() -> None:
    before = process_times(os.getpid())
    while sum(process_times(os.getpid())) <= sum(before):
        sum(range(100_000))
    assert len(before) == 4
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_times(child.pid) == []
