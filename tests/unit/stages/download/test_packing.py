"""Partitions of a pass: every URL is in one, and large hosts are spread over all."""

import random
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from stages.download.packing import pack
from tests.benchmarks.host_shares import pass_seconds


def test_small_hosts_stay_together_and_large_ones_are_sliced() -> None:
    hosts = ["big"] * 25 + ["small"] * 3 + ["tiny"] * 2
    names = pack(hosts, urls_per_partition=10, urls_per_slice=5, number=7)
    by_host = defaultdict(set)
    for host, name in zip(hosts, names, strict=True):
        by_host[host].add(name)
    assert [len(by_host[host]) for host in ("big", "small", "tiny")] == [3, 1, 1]
    assert all(name.startswith("007-") for name in names)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(1, 9), st.integers(1, 12))
def test_packing_assigns_every_url_within_the_limits_and_divides_no_small_host(
    hosts: list[str], limit: int, slice_limit: int
) -> None:
    names = pack(hosts, urls_per_partition=limit, urls_per_slice=slice_limit, number=0)
    assert len(names) == len(hosts) and all(names)
    assert max(Counter(names).values(), default=0) <= limit
    for host, n in Counter(hosts).items():
        n_partitions = len({name for h, name in zip(hosts, names, strict=True) if h == host})
        assert n_partitions <= -(-n // min(limit, slice_limit))
    order = sorted(set(names))
    first = int(order[0][4:]) if order else 0
    assert order == [f"000-{first + n:05d}" for n in range(len(order))]
    assert pack(hosts, urls_per_partition=limit, urls_per_slice=slice_limit, number=0) == names


def test_requests_to_a_large_host_are_spread_over_the_whole_pass() -> None:
    draw = random.Random(0)
    hosts = [f"small{draw.randrange(3000)}" for _ in range(16_000)] + ["big"] * 3000 + ["bigger"] * 5000
    names = pack(hosts, urls_per_partition=1000, urls_per_slice=125, number=0)
    n_partitions = len(set(names))
    for host, n in (("big", 3000), ("bigger", 5000)):
        held = Counter(name for h, name in zip(hosts, names, strict=True) if h == host)
        assert len(held) > 0.8 * n_partitions
        assert max(held.values()) <= 2 * n / n_partitions + 125


def test_a_pass_takes_little_longer_than_its_largest_host() -> None:
    draw = random.Random(0)
    sites = [f"{n}.test" for n in range(900)]
    hosts = draw.choices(sites, [1 / (n + 2) for n in range(900)], k=6000)
    names = pack(hosts, urls_per_partition=100, urls_per_slice=12, number=0)
    took_s = pass_seconds(hosts, names, n_workers=4, n_threads=16, max_per_host=2, fetch_s=1.0)
    largest_s = max(Counter(hosts).values()) / 2
    assert largest_s <= took_s < 1.1 * largest_s
