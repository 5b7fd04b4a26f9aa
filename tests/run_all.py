"""Run mypy, the tests and the end-to-end tests beside each other, for `make test`.

The end-to-end tests wait for servers and processes a third of their time, so together all end a sixth earlier than one
after the other (measured on 2 cores). What runs in the background is printed when it has ended.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
Command = tuple[str, tuple[str, ...]]  # its name, and the module with its arguments
IN_FRONT: Command = (
    "unit and contract tests, benchmarks at toy size",
    ("pytest", "-n", "3", "tests/unit", "tests/contract", "tests/benchmarks"),
)
BEHIND: Sequence[Command] = (
    ("mypy", ("mypy",)),
    # In three groups, see tests/end_to_end/conftest.py: the server's tests wait more than they compute.
    ("end-to-end tests", ("pytest", "-n", "3", "tests/end_to_end", "--durations=10")),
)
# The tests start hundreds of processes; without bytecode each compiles this project, a third of its start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_LONGEST_END_S = 30
_NICENESS = 5  # of the tests in front: the end-to-end tests have servers and time-outs of seconds


@dataclass
class Check:
    """One of the commands, started when it is made."""

    name: str
    words: tuple[str, ...]
    out: IO[bytes] | None = None
    niceness: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            ["nice", "-n", str(self.niceness), sys.executable, "-m", *self.words],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=self.out,
            stderr=subprocess.STDOUT,
        )

    def finish(self) -> bool:
        """Wait for its end, print what it wrote to its file, and return whether it was right."""
        code = self.process.wait()
        if self.out is not None:
            self.out.seek(0)
            sys.stdout.buffer.write(self.out.read())
        seconds = time.monotonic() - self.started
        print(f"{self.name}: {'passed' if code == 0 else 'FAILED'}, ended by {seconds:.0f} s", flush=True)
        return code == 0


@contextmanager
def started(name: str, words: tuple[str, ...], is_in_front: bool = False) -> Iterator[Check]:
    """Yield a running command; it is ended with the block, for example after Ctrl-C."""
    with tempfile.TemporaryFile() as file:
        check = Check(name, words, None, _NICENESS) if is_in_front else Check(name, words, file)
        try:
            yield check
        finally:
            check.process.terminate()
            check.process.wait(_LONGEST_END_S)


def main(in_front: Command = IN_FRONT, behind: Sequence[Command] = BEHIND) -> int:
    """Return 0 if all passed, else 1."""
    with ExitStack() as stack:
        others = [stack.enter_context(started(*command)) for command in behind]
        first = stack.enter_context(started(*in_front, is_in_front=True))
        results = [check.finish() for check in (first, *others)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
