"""Runs the command line on a generated world, and compares builds."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.fields import FIELD
from stages import STAGES

ROOT = Path(__file__).parent.parent.parent
PATIENT_S = 20  # on busy cores a sound answer may take seconds, and two builds are compared row by row
_BUILDING = ("build", "demo", "stage")
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class TwoRuns:
    """A build that two runs were started to make, with their exit codes and what they printed."""

    build: Path
    codes: list[int]
    printed: list[str]


def command(*words: object) -> list[str]:
    """Return a command line of the program; a build's fetches wait PATIENT_S, longer than in `make demo`."""
    patient = [f"download.{name}={PATIENT_S}" for name in ("timeout_s", "max_fetch_s")]
    settings = [word for setting in patient for word in ("--set", setting)] if words[0] in _BUILDING else []
    return [sys.executable, "-m", "flows.cli", str(words[0]), *settings, *map(str, words[1:])]


def run(*words: object, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """Run the program until it ends."""
    return subprocess.run(
        command(*words), cwd=ROOT, env=ENVIRONMENT, text=True, capture_output=True, timeout=timeout_s, check=False
    )


def start(*words: object) -> subprocess.Popen[str]:
    """Start the program; what it prints, on both streams, is to be read."""
    return subprocess.Popen(
        command(*words), cwd=ROOT, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return the lines that a program prints up to the one with these words, or all of them."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            break
    return read


def run_killed(after_s: float, *words: object) -> bool:
    """Start the program in its own process group and SIGKILL the group after a time; False if it had ended before."""
    process = subprocess.Popen(
        command(*words), cwd=ROOT, env=ENVIRONMENT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def cpu_s_of_children() -> float:
    """Return the CPU seconds of all processes that this one has started and that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def receipts(build: Path) -> dict[str, str]:
    """Return the attempt named by each receipt of a build, by the receipt's path."""
    found = {}
    for path in sorted(build.glob("*/*/*/receipt.json")):
        found[str(path.relative_to(build))] = json.loads(path.read_text())["attempt"]
    return found


def rows(build: Path) -> dict[str, pa.Table]:
    """Return all tables of a build, read by its receipts: only value columns, sorted by key."""
    found = {}
    for stage in STAGES:
        table = stage.writes
        values = [f.name for f in table.fields if FIELD[f.name].kind == "value"]
        for section, names in (("kept", values), ("rejects", table.reject_schema.names)):
            parts = [_read(path, section, names) for path in sorted(build.glob(f"{table.name}/*/*/receipt.json"))]
            parts = [part for part in parts if part is not None]
            whole = pa.concat_tables(parts) if parts else pa.table({name: [] for name in names})
            found[f"{table.name}/{section}"] = whole.sort_by([(name, "ascending") for name in table.key])
    return found


def _read(receipt: Path, section: str, names: list[str]) -> pa.Table | None:
    file = json.loads(receipt.read_text())[section]["file"]
    return pq.read_table(receipt.parent / file, columns=names) if file else None


def tar_digests(build: Path) -> dict[str, str]:
    """Return the sha256 of each published tar."""
    dataset = (build / "dataset").resolve()
    tars = sorted(dataset.rglob("*.tar"))
    return {tar.relative_to(dataset).as_posix(): hashlib.sha256(tar.read_bytes()).hexdigest() for tar in tars}


def assert_identical(one: Path, other: Path) -> None:
    """Fail if two builds differ in any table's rows or any tar's bytes."""
    ours, theirs = rows(one), rows(other)
    assert ours.keys() == theirs.keys()
    for name, table in ours.items():
        assert table.equals(theirs[name]), f"{name} differs: {table.num_rows} rows against {theirs[name].num_rows}"
    assert tar_digests(one) == tar_digests(other) != {}


def copy_world(world: Path, build: Path) -> None:
    """Copy a generated world to where the demo profile expects it, so that it is not made again."""
    build.mkdir(parents=True)
    shutil.copytree(world, build / "world")


def wait_until(condition: "object", timeout_s: float = 30, every_s: float = 0.02) -> None:
    """Wait until a condition holds; fail after timeout_s."""
    end = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(every_s)
