"""Pack the URLs of a pass into partitions: each host's URLs in slices that are spread over the pass.

Limits per host are applied elsewhere: they hold over all workers and partitions.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def pack(hosts: list[str], *, urls_per_partition: int, urls_per_slice: int, number: int) -> list[str]:
    """Return a partition name per URL, as `pack_encoded` numbers them.

    Args:
        hosts: one per URL.
        urls_per_partition: maximum number of URLs in a partition.
        urls_per_slice: maximum number of URLs of one host that stay together.
        number: number of the pass; partition names begin with it.
    """
    encoded = pa.array(hosts, pa.string()).dictionary_encode()
    limits = {"urls_per_partition": urls_per_partition, "urls_per_slice": urls_per_slice}
    packed = pack_encoded(encoded.dictionary.to_pylist(), encoded.indices.to_numpy(), **limits)
    return [f"{number:03d}-{n:05d}" for n in packed]


def pack_encoded(
    names: Sequence[str], host: NDArray[np.int32], *, urls_per_partition: int, urls_per_slice: int
) -> NDArray[np.int64]:
    """Return a partition number per URL: small hosts whole, large ones in slices at even distances over the pass.

    If one host's slices followed each other, all workers would wait for that host's few slots, and its last URL would
    not be requested sooner: a pass takes as long as its largest host, if that host is busy from beginning to end.
    Hosts are ordered by their digest, so that neighbours in a list (a site's numbered image servers) are not all
    contacted at the same time.

    Args:
        names: distinct hosts.
        host: int32 [n], index of each URL's host among the names; each host has a URL.
        urls_per_partition: maximum number of URLs in a partition.
        urls_per_slice: maximum number of URLs of one host that stay together.
    """
    n_urls = np.bincount(host, minlength=len(names))
    n_slices = -(-n_urls // min(urls_per_slice, urls_per_partition))
    of_host = np.repeat(np.arange(len(names)), n_slices)
    n = np.arange(len(of_host)) - np.repeat(np.cumsum(n_slices) - n_slices, n_slices)
    # Equal slices, not full ones and a remainder: the partition of the last would wait just as long.
    begins, ends = (k * n_urls[of_host] // n_slices[of_host] for k in (n, n + 1))
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=digests.__getitem__)] = np.arange(len(names))
    # Between 0 and 1: where in the pass the host begins, as a share of the distance between two of its slices.
    phase = np.frombuffer(b"".join(digest[:8] for digest in digests), ">u8").astype(np.float64) / 2.0**64
    order = np.lexsort((rank[of_host], (n + phase[of_host]) / n_slices[of_host]))
    sizes = ends - begins
    partition = np.empty(len(of_host), np.int64)
    partition[order] = _fill(sizes[order].tolist(), urls_per_partition)
    packed = np.empty(len(host), np.int64)
    packed[np.argsort(host, kind="stable")] = np.repeat(partition, sizes)
    return packed


def _fill(sizes: list[int], urls_per_partition: int) -> list[int]:
    """Return the partition of each slice; a partition ends before the slice that it has no room for."""
    partitions = []
    n_partitions, n_filled = 0, 0
    for size in sizes:
        if n_filled + size > urls_per_partition:
            n_partitions, n_filled = n_partitions + 1, 0
        n_filled += size
        partitions.append(n_partitions)
    return partitions
