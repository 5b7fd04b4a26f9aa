import subprocess
import sys

from flows.ledger.cpu import _READ_BYTES, _read, cpu_seconds

BURN = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"


def test_a_child_counts_while_it_runs_and_only_once_after_it_ended() -> None:
    before = cpu_seconds()
    child = subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    child.stdout.readline()
    running = cpu_seconds() - before
    child.stdin.close()
    child.wait()
    ended = cpu_seconds() - before
    assert 0.25 < running < 2
    assert running - 0.05 <= ended < running + 0.2


def test_a_file_of_proc_is_read_to_its_end() -> None:
    assert len(_read("/proc/self/smaps")) > 4 * _READ_BYTES
