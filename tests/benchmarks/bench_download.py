"""Download: the order of hosts, in a model with LAION's shares and on loopback.

Not for the network: the server is on the same machine.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path

from stages.download.fetching import FetchLimits, fetch
from stages.download.packing import pack
from stages.plan.urls import fetch_id
from tests.benchmarks.harness import Goal, Row, report, sized
from tests.benchmarks.host_shares import draw_hosts, one_after_the_other, pass_seconds
from tests.benchmarks.slow_web import slow_web

# A full build at a tenth of its size: 6.1 million URLs in partitions of 1,000.
N_MODELLED, SCALE = sized(610_000, 6_100), sized(10, 1000)
PER_PARTITION, PER_SLICE = 100, 12
N_WORKERS, N_THREADS, MAX_PER_HOST, FETCH_S = 16, 32, 4, 0.3
SLOW_HOSTS = {f"127.0.0.{n + 2}": sized(80 + 40 * n, 8) for n in range(6)}
SLOW_MS = 100
LOOPBACK_WORKERS = 4


def modelled_order() -> tuple[list[Row], list[Goal]]:
    """Return the hours of a pass in the model, slices spread and one after the other, beside its largest host's."""
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
    """Return the seconds of a pass over six slow hosts on loopback in worker processes, in both orders."""
    hosts = [f"{host}:{port}" for host, n in SLOW_HOSTS.items() for _ in range(n)]
    urls = [f"http://{host}/{SLOW_MS}/{n}" for n, host in enumerate(hosts)]
    per_partition = max(SLOW_HOSTS.values()) // 4
    spread = pack(hosts, urls_per_partition=per_partition, urls_per_slice=max(1, per_partition // 8), number=0)
    took_s = [
        _timed(lambda names=names: _run_pass(pool, urls, names))  # type: ignore[misc]
        for names in (spread, one_after_the_other(hosts, per_partition))
    ]
    row = Row("six slow hosts on loopback: spread over one after the other", took_s[0], "s", took_s[1],
              took_s[0] / took_s[1])  # fmt: skip
    return [row], [Goal("six slow hosts: spread, x one after the other", took_s[0] / took_s[1], 142 / 273)]


def _timed(run: Callable[[], object]) -> float:
    started = time.monotonic()
    run()
    return time.monotonic() - started


def _run_pass(pool: Pool, urls: list[str], names: list[str]) -> None:
    partitions = defaultdict(list)
    for url, name in zip(urls, names, strict=True):
        partitions[name].append((fetch_id(url), url))
    with tempfile.TemporaryDirectory() as folder:
        tasks = [(partitions[name], Path(folder), name) for name in sorted(partitions)]
        pool.map(_fetch_partition, tasks, chunksize=1)


def _fetch_partition(task: tuple[list[tuple[str, str]], Path, str]) -> None:
    """Fetch a partition in a worker process.

    Raises:
        RuntimeError: a URL was not fetched.
    """
    urls, folder, name = task
    limits = FetchLimits(allow_loopback=True, host_slots=folder / "slots")
    attempts = fetch(urls, tar_path=folder / f"{name}.tar", work=folder / name, limits=limits)
    if failed := [a for a in attempts if not a.is_fetched]:
        raise RuntimeError(f"{len(failed)} of {len(attempts)} URLs failed, the first: {failed[0]}")


def main() -> None:
    """Run all cases."""
    rows, goals = modelled_order()
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(LOOPBACK_WORKERS + 1)
    with slow_web() as port, spawn.Pool(LOOPBACK_WORKERS, _warm_up, (port, ready)) as pool:
        ready.wait()
        more_rows, more_goals = loopback_order(pool, port)
    report("download", [*rows, *more_rows], [*goals, *more_goals])


def _warm_up(port: int, ready: Barrier) -> None:
    """Import what a fetch imports, so that no case pays for it."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{port}/0/warm"
        _fetch_partition(([(fetch_id(url), url)], Path(folder), "warm"))
    ready.wait()


if __name__ == "__main__":
    main()
