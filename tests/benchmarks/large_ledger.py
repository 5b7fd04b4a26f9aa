"""A real build with more than 10,000 receipts: many tiny source files through all stages, without downloads."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.ask.dataset import publish_dataset
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.executor import InlineExecutor
from flows.run.runner import Runner, StageFailure
from flows.settings import load_settings
from schemas.fields import FIELD
from schemas.tables import FETCH_ATTEMPT
from stages import MODULES, STAGES
from stages.contract import Context, InputError, Inputs, Outcome, Stage, no_rejects
from tests.benchmarks.contract_cost import draw_jpeg
from tests.benchmarks.harness import sized
from tests.benchmarks.silent import Silent

N_SOURCE_FILES = sized(2000, 8)  # five stages have a partition per file: inventory, filter, plan, download, screen
SETTINGS = ("download.urls_per_partition=1", "run.reserve_gb=0")


def store_pictures(inputs: Inputs, context: Context) -> Outcome:
    """Return one successful attempt per URL, with a small picture; replaces the download."""
    rows = inputs["fetch_pass"]
    ids = rows["fetch_id"].to_pylist()
    bodies = [draw_jpeg(np.random.default_rng(int(fetch_id, 16))) for fetch_id in ids]
    path = context.files.new_file("bodies.bin")
    path.write_bytes(b"".join(bodies))
    sizes = np.array([len(body) for body in bodies])
    columns = {name: pa.nulls(len(ids), FIELD[name].type) for name in FETCH_ATTEMPT.schema.names} | {
        "fetch_id": rows["fetch_id"],
        "pass": rows["pass"],
        "is_fetched": pa.array([True] * len(ids)),
        "http_status": pa.array([200] * len(ids), pa.int32()),
        "n_bytes": pa.array(sizes),
        "body_sha256": pa.array([hashlib.sha256(body).hexdigest() for body in bodies]),
        "body_file": pa.array([context.files.address(path)] * len(ids)),
        "body_offset": pa.array(np.cumsum(sizes) - sizes),
    }
    return Outcome(pa.table(columns).cast(FETCH_ATTEMPT.schema), no_rejects(FETCH_ATTEMPT), files=(path,))


# Fingerprints do not depend on the stage function, so these receipts are current for the real stages.
WITHOUT_WEB: tuple[Stage, ...] = tuple(
    replace(stage, run=store_pictures) if stage.name == "download" else stage for stage in STAGES
)


def make_large_ledger(root: Path) -> tuple[Path, Path, int]:
    """Make or update the build; return its folder, its SOURCES and the number of current receipts."""
    if not (root / "sources.made").exists():
        shutil.rmtree(root, ignore_errors=True)
        _write_sources(root / "sources" / "laion2b")
        (root / "sources.made").touch()
    try:
        return _bring_up_to_date(root / "build", root / "sources")
    except (InputError, StageFailure):  # made by another version of the program: start again
        shutil.rmtree(root / "build")
        return _bring_up_to_date(root / "build", root / "sources")


def _bring_up_to_date(build: Path, sources: Path) -> tuple[Path, Path, int]:
    ledger = Ledger(Store(build), STAGES, load_settings("demo", SETTINGS, STAGES))
    runner = Runner(ledger, InlineExecutor(), Silent(), "tests.benchmarks.large_ledger:WITHOUT_WEB", sources)
    runner.run(MODULES)
    ledger.refresh()
    publish_dataset(ledger)
    return build, sources, sum(len(ledger.state(stage).receipts) for stage in STAGES)


def _write_sources(folder: Path) -> None:
    folder.mkdir(parents=True)
    captions = ["an aerial view of field {i}", "a cat on a chair", None]
    for i in range(N_SOURCE_FILES):
        columns = {
            "URL": [f"http://host-{i}.example/{n}.jpg" for n in range(len(captions))],
            "TEXT": [text and text.format(i=i) for text in captions],
            "WIDTH": pa.array([640] * len(captions), pa.int32()),
            "HEIGHT": pa.array([480] * len(captions), pa.int32()),
        }
        pq.write_table(pa.table(columns), folder / f"part-{i:05d}-bench.parquet")
