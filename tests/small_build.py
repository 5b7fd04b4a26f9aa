"""A build of about sixty rows: its SOURCES folder, its web server, and how to run and read it.

It contains every kind of fate; `FATES` lists rows with theirs. Not the generated world of the end-to-end tests.
"""

import io
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from flows.ledger.digests import digest_file
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.events import Event
from flows.run.executor import Executor, LocalExecutor
from flows.run.runner import Runner
from flows.run.worker import Task
from flows.settings import Settings, check_settings
from schemas.fields import FIELD
from stages import MODULES, STAGES
from stages.contract import Reads, Stage
from tests.evaluation_files import write_evaluation_files
from tests.further_texts import write_texts
from tests.labelled_files import write_labelled_files

HOSTS = ("127.0.0.1", "127.0.0.2")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "run": {"workers": 2, "model_workers": 2, "backoff_s": 0.0, "reserve_gb": 0.0},
    "download": {"allow_loopback": True, "urls_per_partition": 20, "timeout_s": 120.0, "max_fetch_s": 120.0},
    "embed": {"model": "demo-clip", "batch_size": 8},
    "dedup": {
        "method": "keypoints",
        "candidates": "keypoints",
        "n_summary_neighbours": 2,
        "min_summary_cos": -1.0,
        "min_near_codes": 0,
    },
    "outliers": {"detector": "demo-yolo", "top_share_vlm": 0.95, "top_share_detector": 0.95},
    "caption": {"captioner": "demo-blip2", "first_scorer": "demo-clip", "second_scorer": "demo-clip-2"},
    "gpe": {"n_partitions": 2},
    "shard": {"n_shards": 2, "val_share": 0.2, "contaminated": "mark", "layouts": ["rs5m", "pairs"]},
}
FATES = {
    "laion2b_0_0": ("drop_duplicates", "url_duplicate"),
    "laion2b_0_6": ("plan", "unsupported_scheme"),
    "laion2b_0_7": ("plan", "not_a_url"),
    "laion2b_0_8": ("reduce_attempts", "http_not_found"),
    "laion2b_0_9": ("reduce_attempts", "http_server_error"),
    "laion2b_0_10": ("screen", "not_an_image"),
    "laion2b_0_11": ("screen", "truncated_image"),
    "coyo700m_0_0": ("drop_duplicates", "pixel_duplicate"),
    "coyo700m_0_1": ("drop_duplicates", "near_duplicate"),
    "cc3m_0_0": ("write_shards", ""),
    "cc3m_0_11": ("drop_duplicates", "url_duplicate"),
}
_KEYED = "aerial view {}"


@lru_cache
def draw(seed: int, kind: str) -> bytes:
    """Return a picture of coarse coloured patches; png and bmp have equal pixels, jpg nearly equal ones."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    picture.save(out, {"jpg": "JPEG"}.get(kind, kind.upper()))
    return out.getvalue()


def body_of(path: str) -> tuple[int, bytes]:
    """Return status and body of a path; they depend only on the path."""
    _, kind, *rest = path.split("/")
    if kind == "pic":
        seed, _, suffix = rest[0].partition(".")
        return 200, draw(int(seed), suffix)
    if kind == "flat":
        out = io.BytesIO()
        Image.new("RGB", (32, 32), (int(rest[0]) * 40, 90, 90)).save(out, "PNG")
        return 200, out.getvalue()
    if kind == "cut":
        return 200, draw(int(rest[0]), "png")[:-900]
    if kind == "text":
        return 200, b"<html>no picture</html>"
    return (503, b"later") if kind == "broken" else (404, b"gone")


class Web:
    """Serves `body_of` on two loopback hosts; `requests` counts requests by path."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.asked = threading.Condition()
        self.hold = threading.Event()  # answers wait while it is clear
        self.hold.set()
        first = ThreadingHTTPServer((HOSTS[0], 0), self._handler())
        self.port = first.server_address[1]
        self._servers = [first, ThreadingHTTPServer((HOSTS[1], self.port), self._handler())]

    def __enter__(self) -> "Web":
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.hold.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def url(self, path: str, host: int = 0) -> str:
        return f"http://{HOSTS[host]}:{self.port}{path}"

    def wait_for_request(self, n_before: int, timeout_s: float) -> bool:
        """Wait until there are more requests than n_before; return whether there are."""
        with self.asked:
            return self.asked.wait_for(lambda: self.requests.total() > n_before, timeout_s)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with web.asked:
                    web.requests[self.path] += 1
                    web.asked.notify_all()
                web.hold.wait(300)
                status, body = body_of(self.path)
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    return  # some tests kill the client

            def log_message(self, *words: object) -> None:
                return

        return Handler


def write_sources(folder: Path, web: Web, row_group_size: int = 1000) -> Path:
    """Write the SOURCES folder of the small build and return it."""
    pic = lambda seed, kind="png", host=0: web.url(f"/pic/{seed}.{kind}", host)
    first = [
        (_KEYED.format(0), pic(1)),
        (_KEYED.format(1), pic(2)),
        (_KEYED.format(2), pic(1)),
        ("a cat", pic(3)),
        (None, pic(4)),
        (_KEYED.format(5), ""),
        (_KEYED.format(6), "ftp://host/a.png"),
        (_KEYED.format(7), "no url at all"),
        (_KEYED.format(8), web.url("/gone")),
        (_KEYED.format(9), web.url("/broken")),
        (_KEYED.format(10), web.url("/text")),
        (_KEYED.format(11), web.url("/cut/3")),
        *((_KEYED.format(n), pic(n)) for n in range(12, 24)),
    ]
    second = [
        *((_KEYED.format(n), pic(n, host=1)) for n in range(30, 38)),
        ("a dog", pic(5)),
        ("satellite map", pic(12, "bmp")),
    ]
    coyo = [
        (_KEYED.format(0), pic(1, "bmp")),
        (_KEYED.format(1), pic(2, "jpg")),
        (_KEYED.format(2), pic(13)),
        *((_KEYED.format(n), pic(n, host=n % 2)) for n in range(50, 60)),
        ("a bird", pic(6)),
        ("flat aerial view", web.url("/flat/1")),
        ("flat Landsat", web.url("/flat/2")),
    ]
    lines = [f"Google Earth {n}\t{pic(n)}".encode() for n in range(70, 78)]
    lines += [b"a horse\tx", b"aerial \xff view\thttp://x/y", b"one field", f"aerial photo\t{pic(14)}".encode()]
    _write_parquet(folder / "laion2b/part-00000-a.parquet", _laion(first), row_group_size)
    _write_parquet(folder / "laion2b/part-00001-a.parquet", _laion(second), row_group_size)
    (folder / "laion2b/README.txt").write_text("not rows")
    _write_parquet(folder / "coyo700m/part-00000-b.parquet", _coyo(coyo), row_group_size)
    (folder / "cc3m").mkdir()
    (folder / "cc3m/GCC-training.tsv").write_bytes(b"\n".join(lines) + b"\n")
    (folder / "unheardof").mkdir()
    write_labelled_files(folder, draw(20, "jpg"))
    evaluation = write_evaluation_files(folder.parent / "evaluation", draw)
    shape = "POLYGON ((0.4998 0.4998, 0.5002 0.4998, 0.5002 0.5002, 0.4998 0.5002))"  # around FMoW's first image
    for name in ("alpha/train/twelve.json", "beta/fifteen.json"):
        (evaluation / name).write_text(json.dumps({"raw_location": shape}))
    write_texts(folder.parent / "texts")
    return folder


def _laion(rows: Sequence[tuple[str | None, str]]) -> pa.Table:
    captions, urls = zip(*rows, strict=True)
    n = len(rows)
    return pa.table(
        {
            "SAMPLE_ID": pa.array(range(n), pa.int64()),
            "URL": pa.array(urls),
            "TEXT": pa.array(captions),
            "HEIGHT": pa.array([640] * n, pa.int32()),
            "WIDTH": pa.array([480] * n, pa.int32()),
            "LICENSE": pa.array(["?"] * n),
            "NSFW": pa.array(["UNLIKELY"] * n),
            "similarity": pa.array([0.3] * n, pa.float64()),
        }
    )


def _coyo(rows: Sequence[tuple[str, str]]) -> pa.Table:
    captions, urls = zip(*rows, strict=True)
    n = len(rows)
    return pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "url": pa.array(urls),
            "text": pa.array(captions),
            "width": pa.array([64] * n, pa.int64()),
            "height": pa.array([64] * n, pa.int64()),
            "clip_similarity_vitb32": pa.array([0.2] * n, pa.float32()),
            "nsfw_score_opennsfw2": pa.array([0.1] * n, pa.float32()),
            "watermark_score": pa.array([0.5] * n, pa.float32()),
        }
    )


def _write_parquet(path: Path, table: pa.Table, row_group_size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group_size)


@dataclass
class Recorder:
    """A watcher that records all calls."""

    begun: list[tuple[str, int, int]] = field(default_factory=list)
    grown: list[tuple[str, int]] = field(default_factory=list)
    events: list[tuple[str, Event]] = field(default_factory=list)

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        self.begun.append((stage.name, n_partitions, n_due))

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        self.grown.append((stage.name, n_due))

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        self.events.append((stage.name, event))

    def end(self, stage: Stage, is_whole: bool) -> None:
        return

    def n_due(self, stage: str) -> int:
        """Return how many partitions of a stage were due."""
        return sum(n for name, _, n in self.begun if name == stage) + sum(n for name, n in self.grown if name == stage)

    def of(self, kind: type[Event]) -> list[Event]:
        """Return the events of a kind."""
        return [event for _, event in self.events if isinstance(event, kind)]


@dataclass
class Build:
    """A build folder with its sources and settings."""

    root: Path
    sources: Path
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: SETTINGS)
    stages: tuple[Stage, ...] = STAGES
    catalogue: str = "stages:STAGES"

    @property
    def settings(self) -> Settings:
        return check_settings("small", self._said(), self.stages)

    def _said(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the sections, with the evaluation sets and further texts beside SOURCES unless they are set."""
        sections, manifest = dict(self.sections), self.sources.parent / "texts" / "texts.toml"
        caption = sections.get("caption", {})
        if any(stage.name == "join_texts" for stage in self.stages) and manifest.is_file():
            further = {"further_texts": ["alt-texts", "patch-texts"], "further_manifest": str(manifest)}
            sections["caption"] = {**further, **caption}
        evaluation = self.sources.parent / "evaluation"
        is_known = any(stage.module == "contamination" for stage in self.stages)
        if not is_known or not evaluation.is_dir() or "contamination" in sections:
            return sections
        return {**sections, "contamination": {"evaluation": str(evaluation), "min_summary_cos": -1.0}}

    def ledger(self, settings: Settings | None = None) -> Ledger:
        """Return a new ledger, which has read nothing yet."""
        return Ledger(Store(self.root), self.stages, settings or self.settings)

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def with_settings(self, **sections: Mapping[str, Any]) -> "Build":
        """Return the same build with other settings."""
        said = self._said()
        merged = {**said, **{name: {**said.get(name, {}), **s} for name, s in sections.items()}}
        return Build(self.root, self.sources, merged, self.stages, self.catalogue)

    def run(self, executor: Executor | None = None, modules: Sequence[str] = MODULES) -> Recorder:
        """Bring modules up to date, by default in two spawned workers."""
        watcher = Recorder()
        with _given_or_local(executor, self.settings) as chosen:
            runner = Runner(self.ledger(), chosen, watcher, self.catalogue, self.sources)
            runner.run(modules)
        return watcher

    def arguments(self, folder: Path) -> list[str]:
        """Return this build's command-line options; its profile is written to the folder."""
        lines = []
        for name, values in self._said().items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        profile = folder / "small.toml"
        profile.write_text("\n".join(lines))
        return ["--profile", str(profile), "--sources", str(self.sources), "--build", str(self.root)]

    def copy_to(self, root: Path) -> "Build":
        """Return a copy that a test may change."""
        shutil.copytree(self.root, root, symlinks=True)
        return Build(root, self.sources, self.sections, self.stages, self.catalogue)

    def rows(self, table: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a table, sorted by key."""
        ledger = self.ledger()
        schema = ledger.writer[table].writes.schema
        reads = Reads(table, tuple(columns or schema.names), is_whole=True)
        return ledger.read(reads).to_pylist()


@contextmanager
def _given_or_local(executor: Executor | None, settings: Settings) -> Iterator[Executor]:
    if executor is not None:
        yield executor
        return
    with LocalExecutor(settings.run) as local:
        yield local


def contents(build: Build) -> dict[str, Any]:
    """Return all content that identical builds share: value columns by key, rejects, counts, and digests of tars."""
    ledger = build.ledger()
    found: dict[str, Any] = {}
    for stage in build.stages:
        table, state = stage.writes, ledger.state(stage)
        assert state.is_complete, state.blocked or state.due
        values = tuple(f.name for f in table.fields if FIELD[f.name].kind == "value")
        found[table.name] = _sorted(ledger.read(Reads(table.name, values, is_whole=True)), table.key)
        reject_names = tuple(table.reject_schema.names)
        rejects = ledger.read(Reads(table.name, reject_names, is_whole=True, section="rejects"))
        found[f"{table.name}_rejects"] = _sorted(rejects, (*table.key, "reason"))
        if stage.grain == "count":
            found[f"{table.name}_counts"] = sorted((r.partition, sorted(r.counts.items())) for r in state.receipts)
        if table.name in ("shard", "pair"):
            found[f"{table.name}_tars"] = {
                r.partition: [digest_file(ledger.store.path(f"{r.folder}/{f['file']}")) for f in r.body["files"]]
                for r in state.receipts
            }
    return found


def assert_same_contents(one: Mapping[str, Any], other: Mapping[str, Any], but: Sequence[str] = ()) -> None:
    """Fail if two builds differ, naming the table."""
    assert one.keys() == other.keys()
    compared = [name for name in one if name.removesuffix("_rejects").removesuffix("_counts") not in but]
    assert len(compared) > len(one) // 2
    for name in compared:
        equal = one[name].equals(other[name]) if isinstance(one[name], pa.Table) else one[name] == other[name]
        assert equal, f"{name} differs:\n{one[name]}\n{other[name]}"


def _sorted(table: pa.Table, names: Sequence[str]) -> pa.Table:
    keys = [(name, "ascending") for name in names if name in table.column_names]
    return table.take(pc.sort_indices(table, keys)).combine_chunks() if table.num_rows else table.combine_chunks()
