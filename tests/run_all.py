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


def _tests(name: str, *paths: str, but: Sequence[str] = ()) -> Command:
    """Return a command that runs the tests of some paths in one process."""
    return name, ("pytest", *paths, *(f"--ignore={path}" for path in but), "--durations=10")


# One process for each group makes its builds, worlds and models once, and imports only what its own tests need. With
# pytest-xdist each process imports all test modules, 25 CPU s for the unit tests, and makes the fixtures once more.
_MODELS = (
    "tests/unit/stages/models",
    "tests/unit/flows/demo",
    "tests/unit/flows/deploy",
    "tests/unit/flows/detector",
)
# Of the other unit tests only these need the finished build, 30 CPU s: they run in the process of the contract tests.
_FINISHED_BUILD = (
    *(f"tests/unit/stages/{name}" for name in ("download", "inventory", "match", "shard", "stats")),
    "tests/unit/stages/caption/test_further_texts.py",
    "tests/unit/test_readme_commands.py",
)
_SMALL_BUILD = tuple(f"tests/end_to_end/test_{name}.py" for name in ("bad_input", "kills", "two_runs", "withdraw"))
_SERVER = ("tests/end_to_end/test_prefect.py",)  # it waits more than it computes
IN_FRONT: Command = _tests("unit tests of flows", "tests/unit/flows", but=_MODELS)
BEHIND: Sequence[Command] = (
    ("mypy", ("mypy",)),
    _tests("contract tests, unit tests of the finished build", "tests/contract", *_FINISHED_BUILD),
    _tests("other unit tests", "tests/unit", but=("tests/unit/flows", *_MODELS, *_FINISHED_BUILD)),
    _tests("tests of models, benchmarks at toy size", *_MODELS, "tests/benchmarks"),
    _tests("end-to-end tests of a small build", *_SMALL_BUILD),
    _tests("end-to-end tests of the server", *_SERVER),
    _tests("other end-to-end tests", "tests/end_to_end", but=(*_SMALL_BUILD, *_SERVER)),
)
# The tests start hundreds of processes; without bytecode each compiles this project, a third of its start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_LONGEST_END_S = 30
_NICENESS = 5  # of all but the end-to-end tests, which have servers and time-outs of seconds


@dataclass
class Check:
    """One of the commands, started when it is made."""

    name: str
    words: tuple[str, ...]
    out: IO[bytes] | None = None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        niceness = 0 if any("end_to_end" in word for word in self.words) else _NICENESS
        self.process = subprocess.Popen(
            ["nice", "-n", str(niceness), sys.executable, "-m", *self.words],
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
        check = Check(name, words, None if is_in_front else file)
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
