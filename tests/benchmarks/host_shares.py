"""Lists of hosts with LAION's shares, and a model of a download pass over them with limited slots per host.

Not for CPU or bytes: every fetch takes the same time, and everything else takes none.
"""

import hashlib
import heapq
import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

# Measured on 22,002 rows of LAION-2B with 4,480 hosts: the largest has 6.5 %, the n-th after it 2.1 % / n^0.83.
_LARGEST_SHARE, _SECOND_SHARE, _EXPONENT = 0.065, 0.021, 0.83
_N_HOSTS = 287_780  # with so many the shares sum to 1


def draw_hosts(n_urls: int, seed: int = 0) -> list[str]:
    """Return the hosts of n_urls URLs with LAION-2B's shares, in random order."""
    shares = [_LARGEST_SHARE, *(_SECOND_SHARE * n**-_EXPONENT for n in range(1, _N_HOSTS))]
    return [f"host{n}.test" for n in random.Random(seed).choices(range(_N_HOSTS), shares, k=n_urls)]


def one_after_the_other(hosts: Sequence[str], urls_per_partition: int) -> list[str]:
    """Return partition names in which a large host's slices are consecutive, the baseline for `pack`."""
    rows: dict[str, list[int]] = {}
    for row, host in enumerate(hosts):
        rows.setdefault(host, []).append(row)
    names = [""] * len(hosts)
    n_partitions, n_filled = 0, 0
    for host in sorted(rows, key=lambda h: hashlib.sha256(h.encode()).digest()):
        for start in range(0, len(rows[host]), urls_per_partition):
            portion = rows[host][start : start + urls_per_partition]
            if n_filled + len(portion) > urls_per_partition:
                n_partitions, n_filled = n_partitions + 1, 0
            n_filled += len(portion)
            for row in portion:
                names[row] = f"000-{n_partitions:05d}"
    return names


def pass_seconds(
    hosts: Sequence[str], names: Sequence[str], *, n_workers: int, n_threads: int, max_per_host: int, fetch_s: float
) -> float:
    """Return the seconds of a modelled pass: workers take partitions in turn, threads take URLs, hosts have slots.

    Args:
        hosts: host of each URL.
        names: partition of each URL.
        n_workers: number of partitions in progress at once.
        n_threads: threads per worker; a thread that waits for a slot is blocked.
        max_per_host: slots per host over all workers.
        fetch_s: seconds of one fetch.
    """
    grouped = defaultdict(list)
    for host, name in zip(hosts, names, strict=True):
        grouped[name].append(host)
    model = _Pass([grouped[name] for name in sorted(grouped)], n_threads, max_per_host, fetch_s)
    return model.run(n_workers)


class _Pass:
    def __init__(self, partitions: list[list[str]], n_threads: int, max_per_host: int, fetch_s: float) -> None:
        self._partitions = deque(partitions)
        self._n_threads, self._fetch_s = n_threads, fetch_s
        self._free: dict[str, int] = defaultdict(lambda: max_per_host)
        self._waiting: dict[str, deque[int]] = defaultdict(deque)
        self._ends: list[tuple[float, int, str]] = []
        self._left: dict[int, deque[str]] = {}
        self._busy: Counter[int] = Counter()
        self._now = 0.0

    def run(self, n_workers: int) -> float:
        for worker in range(n_workers):
            self._take(worker)
        while self._ends:
            self._now, worker, host = heapq.heappop(self._ends)
            self._busy[worker] -= 1
            if self._waiting[host]:
                self._ask(self._waiting[host].popleft(), host)
            else:
                self._free[host] += 1
            self._next(worker)
        return self._now

    def _take(self, worker: int) -> None:
        if not self._partitions:
            return
        self._left[worker] = _turns(self._partitions.popleft())
        for _ in range(min(self._n_threads, len(self._left[worker]))):
            self._next(worker)

    def _next(self, worker: int) -> None:
        if not self._left[worker]:
            if not self._busy[worker]:
                self._take(worker)
            return
        host = self._left[worker].popleft()
        self._busy[worker] += 1
        if self._free[host]:
            self._free[host] -= 1
            self._ask(worker, host)
        else:
            self._waiting[host].append(worker)

    def _ask(self, worker: int, host: str) -> None:
        heapq.heappush(self._ends, (self._now + self._fetch_s, worker, host))


def _turns(hosts: list[str]) -> deque[str]:
    """Return the hosts in the order in which a worker fetches: the first URL of each host, then the second."""
    n_before: Counter[str] = Counter()
    turns = []
    for host in hosts:
        turns.append((n_before[host], host))
        n_before[host] += 1
    return deque(host for _, host in sorted(turns))
