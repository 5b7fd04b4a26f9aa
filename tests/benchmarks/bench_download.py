"""bench-download: the order of hosts, modelled and on loopback; a host that never answers; CPU and memory.

Not for network speed: the server runs on the same machine.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import replace
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path

from stages.download.fetching import FetchLimits, fetch
from stages.download.packing import pack
from stages.plan.urls import fetch_id
from tests.benchmarks.bare_img2dataset import fetch_bare
from tests.benchmarks.harness import Goal, Row, cpu_seconds, report, run_pairs, sized
from tests.benchmarks.host_shares import draw_hosts, one_after_the_other, pass_seconds
from tests.benchmarks.slow_web import BODY, slow_web

# A tenth of a full build, which has 6.1 million URLs in partitions of 1,000.
N_MODELLED, SCALE = sized(610_000, 6_100), sized(10, 1000)
PER_PARTITION, PER_SLICE = 100, 12
N_WORKERS, N_THREADS, MAX_PER_HOST, FETCH_S = 16, 32, 4, 0.3
SLOW_HOSTS = {f"127.0.0.{n + 2}": sized(80 + 40 * n, 8) for n in range(6)}
SLOW_MS = 100
LOOPBACK_WORKERS = 4
N_CPU, N_MEMORY = sized(2000, 100), sized(20_000, 200)
N_SILENT = sized(1000, 60)
SILENT_TIMEOUT_S = sized(2000, 100) / 1000
DEFAULT_TIMEOUT_S = FetchLimits().timeout_s


def modelled_order() -> tuple[list[Row], list[Goal]]:
    """Return the hours of a modelled pass, with hosts' slices spread and in sequence, against its largest host's."""
    hosts = draw_hosts(N_MODELLED)
    spread = pack(hosts, urls_per_partition=PER_PARTITION, urls_per_slice=PER_SLICE, number=0)
    took_h = [
        pass_seconds(
            hosts, names, n_workers=N_WORKERS, n_threads=N_THREADS, max_per_host=MAX_PER_HOST, fetch_s=FETCH_S
        ) * SCALE / 3600
        for names in (spread, one_after_the_other(hosts, PER_PARTITION))
    ]  # fmt: skip
    least_h = max(Counter(hosts).values()) / MAX_PER_HOST * FETCH_S * SCALE / 3600
    rows = [
        Row(f"model, {N_MODELLED * SCALE:,} URLs: spread over slices one after the other", took_h[0], "h", took_h[1],
            took_h[0] / took_h[1]),
        Row("model: spread over the largest host alone", took_h[0], "h", least_h, took_h[0] / least_h),
    ]  # fmt: skip
    return rows, [Goal("model: a pass, x its largest host", took_h[0] / least_h, 1.1)]


def loopback_order(pool: Pool, port: int) -> tuple[list[Row], list[Goal]]:
    """Return the seconds of a pass over six slow loopback hosts in worker processes, in both orders."""
    hosts = [f"{host}:{port}" for host, n in SLOW_HOSTS.items() for _ in range(n)]
    urls = [f"http://{host}/{SLOW_MS}/{n}" for n, host in enumerate(hosts)]
    per_partition = max(SLOW_HOSTS.values()) // 4
    spread = pack(hosts, urls_per_partition=per_partition, urls_per_slice=max(1, per_partition // 8), number=0)
    took_s = [_loopback_seconds(pool, urls, names) for names in (spread, one_after_the_other(hosts, per_partition))]
    row = Row("six slow hosts on loopback: spread over one after the other", took_s[0], "s", took_s[1],
              took_s[0] / took_s[1])  # fmt: skip
    return [row], [Goal("six slow hosts: spread, x one after the other", took_s[0] / took_s[1], 142 / 273)]


def silent_host(pool: Pool, port: int) -> tuple[list[Row], list[Goal]]:
    """Return the seconds that a silent host costs in two passes at the default time-out, against those without a limit.

    Raises:
        RuntimeError: a URL has an unexpected fate.
    """
    urls = [f"http://127.0.0.9:{port}/silent/{n}" for n in range(N_SILENT)]
    names = [f"{n // 125:03d}" for n in range(N_SILENT)]
    limits = FetchLimits(allow_loopback=True, timeout_s=SILENT_TIMEOUT_S)
    with tempfile.TemporaryDirectory() as folder:
        reasons, ended = [], [time.monotonic()]
        for number in range(2):
            reasons.append(_run_pass(pool, urls, names, Path(folder), limits, number))
            ended.append(time.monotonic())
    first_s, took_s = ((end - ended[0]) * DEFAULT_TIMEOUT_S / SILENT_TIMEOUT_S for end in ended[1:])
    if any(found.keys() != {"timeout", "host_silent"} for found in reasons):
        raise RuntimeError(f"a silent host's URLs ended otherwise: {reasons}")
    without_s = N_SILENT * DEFAULT_TIMEOUT_S / limits.max_per_host
    asked = " and ".join(str(found["timeout"]) for found in reasons)
    case = f"silent host of {N_SILENT:,} URLs, two passes ({asked} requests), over all of them"
    row = Row(case, took_s, "s", without_s, took_s / without_s)
    goals = [
        Goal("silent host: wall time of the first pass at the default time-out, s", first_s, 75),
        Goal("silent host: of both passes", took_s, 105),
    ]
    return [row], goals


def cpu_and_memory(port: int) -> tuple[list[Row], list[Goal]]:
    """Return the CPU time per URL against bare img2dataset's, and the peak memory over many URLs."""
    hosts = [f"127.0.0.{n + 10}" for n in range(8)]  # enough hosts to keep all threads busy
    urls = [f"http://{hosts[n % 8]}:{port}/0/{n}" for n in range(N_CPU)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = run_pairs(
            lambda i: cpu_seconds(lambda: _fetch_here(urls, folder / f"ours-{i}")),
            lambda i: cpu_seconds(lambda: _fetch_bare(urls, folder / f"bare-{i}")),
            sized(5, 1),
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for n in range(N_MEMORY // N_CPU):
            _fetch_here(urls, folder / f"memory-{n}")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = [
        pairs.row(f"CPU of a URL of {len(BODY) / 1000:.0f} kB over bare img2dataset", "ms", 1000 / N_CPU),
        Row(f"peak memory after {N_MEMORY:,} URLs more", after / 1024, "MiB", before / 1024, after / before),
    ]
    return rows, [
        Goal("CPU of a URL, x bare img2dataset (.85 of its throughput)", pairs.ratio, 1 / 0.85),
        Goal("peak memory, x the one before", after / before, 1.05),
    ]


def _fetch_here(urls: list[str], work: Path) -> None:
    limits = FetchLimits(allow_loopback=True, host_slots=work.with_name("slots"))
    for start in range(0, len(urls), 1000):
        portion = [(fetch_id(url), url) for url in urls[start : start + 1000]]
        _expect(_fetch_partition((portion, work.with_name(f"{work.name}-{start}"), limits, 0)), len(portion))
    _remove_tars(work.parent)


def _fetch_bare(urls: list[str], folder: Path) -> None:
    n_bytes = fetch_bare(urls, folder, FetchLimits().n_threads, 1000)
    if n_bytes < len(urls) * len(BODY):
        raise RuntimeError(f"img2dataset wrote {n_bytes} bytes for {len(urls)} URLs of {len(BODY)}")
    shutil.rmtree(folder)


def _remove_tars(folder: Path) -> None:
    for tar in folder.glob("*.tar"):
        tar.unlink()


def _expect(reasons: Counter[str | None], n_urls: int) -> None:
    if reasons != {None: n_urls}:
        raise RuntimeError(f"not all of {n_urls} URLs were fetched: {reasons}")


def _loopback_seconds(pool: Pool, urls: list[str], names: list[str]) -> float:
    """Return the seconds of a pass that fetches every URL.

    Raises:
        RuntimeError: a URL was not fetched.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        reasons = _run_pass(pool, urls, names, Path(folder), FetchLimits(allow_loopback=True))
        took_s = time.monotonic() - started
    _expect(reasons, len(urls))
    return took_s


def _run_pass(
    pool: Pool, urls: list[str], names: list[str], folder: Path, limits: FetchLimits, number: int = 0
) -> Counter[str | None]:
    """Fetch the partitions of a pass in the worker processes and count the URLs by reason, None if fetched."""
    partitions = defaultdict(list)
    for url, name in zip(urls, names, strict=True):
        partitions[name].append((fetch_id(url), url))
    shared = replace(limits, host_slots=folder / "slots")
    tasks = [(partitions[name], folder / f"{number}-{name}", shared, number) for name in sorted(partitions)]
    return sum(pool.map(_fetch_partition, tasks, chunksize=1), Counter())


def _fetch_partition(task: tuple[list[tuple[str, str]], Path, FetchLimits, int]) -> Counter[str | None]:
    urls, work, limits, number = task
    attempts = fetch(urls, tar_path=work.with_suffix(".tar"), work=work, limits=limits, pass_number=number)
    return Counter(attempt.reason for attempt in attempts)


def main() -> None:
    """Run all cases."""
    rows, goals = modelled_order()
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(LOOPBACK_WORKERS + 1)
    with slow_web() as port, spawn.Pool(LOOPBACK_WORKERS, _warm_up, (port, ready)) as pool:
        ready.wait()
        for case in (loopback_order, silent_host):
            found = case(pool, port)
            rows, goals = [*rows, *found[0]], [*goals, *found[1]]
        found = cpu_and_memory(port)
        rows, goals = [*rows, *found[0]], [*goals, *found[1]]
    report("download", rows, goals)


def _warm_up(port: int, ready: Barrier) -> None:
    """Import the modules of a fetch, so that no case includes that time."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{port}/0/warm"
        _fetch_partition(([(fetch_id(url), url)], Path(folder) / "warm", FetchLimits(allow_loopback=True), 0))
    ready.wait()


if __name__ == "__main__":
    main()
