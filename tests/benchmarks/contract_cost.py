"""Cost of a partition run by the worker, over the same stage function followed by a plain parquet write."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from flows.ledger.attempt import Attempt
from flows.ledger.ledger import Ledger
from flows.ledger.pieces import Piece, read_input
from flows.ledger.store import Store
from flows.run.executor import InlineExecutor
from flows.run.runner import Runner
from flows.run.toolbox import Toolbox
from flows.run.worker import Task, run_partition
from flows.settings import Settings, load_settings
from schemas.corpora import load_corpora
from schemas.manifests import load_keywords
from schemas.tables import FETCHED
from stages import STAGES
from stages.contract import Context, Inputs, Outcome, Stage, no_rejects
from stages.filter.filtering import filter_source
from stages.filter.stage import FILTER, search_of
from stages.identity import digest_json
from stages.readers.batch import SourceFiles
from stages.screen.stage import SCREEN
from tests.benchmarks.harness import Row, run_pairs, seconds, sized
from tests.benchmarks.silent import Silent

N_CAPTIONS = sized(1_000_000, 20_000)
N_IMAGES = sized(1000, 40)  # the default of download.urls_per_partition, the size of screen's partitions
_PATTERN = "aerial view"
_INSIDE: list[float] = [0.0]  # seconds of the stage function's last call


def _timed(stage: Stage) -> Stage:
    def run(inputs: Inputs, context: Context) -> Outcome:
        started = time.perf_counter()
        outcome = stage.run(inputs, context)
        _INSIDE[0] = time.perf_counter() - started
        return outcome

    return replace(stage, run=run)


TIMED: tuple[Stage, ...] = tuple(_timed(stage) for stage in STAGES)


@dataclass
class Bench:
    """One stage on one partition, run by the worker and called directly.

    Attributes:
        outside_s: seconds outside the stage function, for each run by the worker.
    """

    store: Store
    settings: Settings
    stage: Stage
    pieces: dict[str, list[Piece]]
    partition: str
    sources: Path
    toolbox: Toolbox
    outside_s: list[float] = field(default_factory=list)
    written_s: list[float] = field(default_factory=list)

    def measure(self, case: str, bare: Callable[[], pa.Table], n: int, scale: float) -> list[Row]:
        """Return a case's result rows, in seconds per million source rows or images."""

        def floor(i: int) -> float:
            return seconds(lambda: self.write(bare()))

        pairs = run_pairs(self.through_worker, floor, n)
        outside, written = (statistics.median(s[1:]) * scale for s in (self.outside_s, self.written_s))
        return [
            pairs.row(case, "s per 1 M rows", scale),
            Row(f"{case}: outside the stage function", outside, "s per 1 M rows", written, outside / written),
        ]

    def through_worker(self, i: int) -> float:
        """Return the seconds of `run_partition`; then remove the committed files."""
        fingerprint = digest_json([self.stage.name, i])
        task = self._task(fingerprint)
        spent = seconds(lambda: run_partition(task, self.toolbox, lambda n_rows: None))
        self.outside_s.append(spent - _INSIDE[0])
        shutil.rmtree(self.store.path(self.store.folder(self.stage.writes.name, self.partition, fingerprint)))
        return spent

    def context(self) -> Context:
        """Return a context for a direct call, which commits nothing."""
        params, resources = self.settings.params(self.stage), self.settings.resources(self.stage)
        tools = dict(self.toolbox.tools(self.stage, params, resources))  # open before the call is timed
        attempt = Attempt(self.store, self.stage.writes, self.partition, "0" * 12)
        return Context(self.partition, params, resources, tools, attempt, self.sources)

    def write(self, kept: pa.Table) -> None:
        """Write a table as the store does, with one fsync, and without digests or a receipt."""
        started = time.perf_counter()
        path = self.store.root / "floor.parquet"
        pq.write_table(kept, path, compression="zstd", row_group_size=131_072)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        self.written_s.append(time.perf_counter() - started)

    def _task(self, fingerprint: str) -> Task:
        return Task(
            stage=self.stage.name,
            catalogue="tests.benchmarks.contract_cost:TIMED",
            partition=self.partition,
            fingerprint=fingerprint,
            params=self.settings.params(self.stage).model_dump(mode="json"),
            resources=self.settings.resources(self.stage).model_dump(mode="json"),
            inputs=self.pieces,
            input_digests=dict.fromkeys(self.pieces, "0" * 64),
            tool_identities={},
            n_given=0,
            build=self.store.root,
            sources=self.sources,
        )


def measure_filter(root: Path, case: str, share_matching: float, n: int) -> list[Row]:
    """Return the results of the filter stage on one source file of a million rows."""
    with _emptied(root) as store:
        sources = root / "sources"
        write_captions(sources / "laion2b" / "part-00000-bench.parquet", share_matching)
        settings = load_settings("demo", ["run.reserve_gb=0"], STAGES)
        ledger = Ledger(store, STAGES, settings)
        Runner(ledger, InlineExecutor(), Silent(), "stages:STAGES", sources).run_module("inventory")
        pieces = {reads.name: ledger.pieces(reads, "laion2b-00000") for reads in FILTER.reads}
        bench = Bench(store, settings, FILTER, pieces, "laion2b-00000", sources, Toolbox())
        corpus, search = load_corpora()["laion2b"], search_of(settings.params(FILTER), load_keywords())
        source = SourceFiles(((sources / "laion2b" / "part-00000-bench.parquet", 0),))
        return bench.measure(case, lambda: filter_source(source, corpus, search).candidates, n, 1e6 / N_CAPTIONS)


def measure_screen(root: Path, case: str, n: int) -> list[Row]:
    """Return the results of the screen stage on one partition of a thousand images."""
    with _emptied(root) as store, Toolbox().stack as stack:
        settings = load_settings("demo", [], STAGES)
        piece = commit_images(store)
        # The inputs of the labelled half are empty.
        pieces = {reads.name: [piece] if reads.table == FETCHED.name else [] for reads in SCREEN.reads}
        bench = Bench(store, settings, SCREEN, pieces, piece.span, root, Toolbox(stack))
        writers = {stage.writes.name: stage for stage in STAGES}
        inputs = {r.name: read_input(store, r, writers[r.table], pieces[r.name]) for r in SCREEN.reads}
        context = bench.context()
        return bench.measure(case, lambda: SCREEN.run(inputs, context).kept, n, 1e6 / N_IMAGES)


def write_captions(path: Path, share_matching: float) -> None:
    """Write a source file with LAION-2B's columns; captions have about 73 bytes, and a share has a keyword."""
    rng = np.random.default_rng(5)
    rows = pa.array(np.arange(N_CAPTIONS).astype(str))
    words = _phrases(rng, 40_000, 21.5)
    text = [words.take(pa.array(rng.integers(0, len(words), N_CAPTIONS))) for _ in range(3)]
    captions = pc.binary_join_element_wise(*text, " ")
    every = round(1 / share_matching)
    is_match = pa.array(np.arange(N_CAPTIONS) % every == 0)
    matching = pc.binary_join_element_wise(pc.utf8_slice_codeunits(captions, 0, 61), _PATTERN, " ")
    host = words.take(pa.array(rng.integers(0, 5000, N_CAPTIONS)))
    urls = pc.binary_join_element_wise("https://www.", pc.replace_substring(host, " ", "-"), ".example/img/", rows,
                                       "-1200x800.jpg", "")  # fmt: skip
    path.parent.mkdir(parents=True)
    columns = {
        "SAMPLE_ID": rng.integers(0, 2**40, N_CAPTIONS),
        "URL": urls,
        "TEXT": pc.if_else(is_match, matching, captions),
        "HEIGHT": rng.integers(100, 4000, N_CAPTIONS).astype(np.int32),
        "WIDTH": rng.integers(100, 4000, N_CAPTIONS).astype(np.int32),
        "LICENSE": pa.repeat("?", N_CAPTIONS),
        "NSFW": pa.repeat("UNLIKELY", N_CAPTIONS),
        "similarity": rng.random(N_CAPTIONS),
    }
    pq.write_table(pa.table(columns), path, row_group_size=131_072)


def commit_images(store: Store) -> Piece:
    """Commit a partition of `fetched` with small JPEGs in one file, and return its piece."""
    rng = np.random.default_rng(6)
    bodies = [draw_jpeg(rng) for _ in range(N_IMAGES)]
    (store.root / "bodies.bin").write_bytes(b"".join(bodies))
    sizes = np.array([len(body) for body in bodies])
    part = "000-00000"
    columns: dict[str, Any] = {
        "fetch_id": [f"{i:032x}" for i in range(N_IMAGES)],
        "pass": pa.array([0] * N_IMAGES, pa.int32()),
        "http_status": pa.array([200] * N_IMAGES, pa.int32()),
        "n_bytes": sizes,
        "body_sha256": [hashlib.sha256(body).hexdigest() for body in bodies],
        "body_file": ["bodies.bin"] * N_IMAGES,
        "body_offset": np.cumsum(sizes) - sizes,
        "partition": [part] * N_IMAGES,
    }
    fetched = pa.table(columns).select(FETCHED.schema.names).cast(FETCHED.schema)
    with Attempt(store, FETCHED, "whole", "0" * 12) as attempt:
        described = {"partition": "whole", "fingerprint": "0" * 64, "run": {"started": time.time()}}
        receipt = attempt.commit(Outcome(fetched, no_rejects(FETCHED)), "partition", described)
    found = receipt.spans[part]
    return Piece(part, receipt.kept_file, found.first_group, found.n_groups, found.n_rows)


def draw_jpeg(rng: np.random.Generator) -> bytes:
    """Return a soft JPEG with sides of 64 to 128 px: small images make the worker's overhead large in relation."""
    width, height = (int(n) for n in rng.integers(64, 129, 2))
    image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def _phrases(rng: np.random.Generator, n: int, mean_bytes: float) -> pa.Array:
    # Syllables that cannot form a keyword by chance.
    syllables = np.array(["ba", "ke", "lo", "mi", "nu", "ra", "se", "to", "vy", "zu", "dra", "sti", "po ", "fe "])
    picks = syllables[rng.integers(0, len(syllables), (n, round(mean_bytes / 2.29)))]
    return pa.array(["".join(row).strip() for row in picks])


@contextmanager
def _emptied(root: Path) -> Iterator[Store]:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    yield Store(root)
    shutil.rmtree(root)
