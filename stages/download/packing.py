"""Pack the URLs of a pass into partitions: each host's URLs in slices that are spread over the pass.

Limits per host are applied elsewhere: they hold over all workers and partitions.
"""

import hashlib
from collections.abc import Iterator


def pack(hosts: list[str], *, urls_per_partition: int, urls_per_slice: int, number: int) -> list[str]:
    """Return a partition name per URL: small hosts whole, large ones in slices at even distances over the pass.

    If one host's slices followed each other, all workers would wait for that host's few slots, and its last URL would
    not be requested sooner: a pass takes as long as its largest host, if that host is busy from beginning to end.
    Hosts are ordered by their digest, so that neighbours in a list (a site's numbered image servers) are not all
    contacted at the same time.

    Args:
        hosts: one per URL.
        urls_per_partition: maximum number of URLs in a partition.
        urls_per_slice: maximum number of URLs of one host that stay together.
        number: number of the pass; partition names begin with it.
    """
    rows: dict[str, list[int]] = {}
    for row, host in enumerate(hosts):
        rows.setdefault(host, []).append(row)
    names = [""] * len(hosts)
    n_partitions, n_filled = 0, 0
    for portion in _in_order(rows, min(urls_per_slice, urls_per_partition)):
        if n_filled + len(portion) > urls_per_partition:
            n_partitions, n_filled = n_partitions + 1, 0
        n_filled += len(portion)
        for row in portion:
            names[row] = f"{number:03d}-{n_partitions:05d}"
    return names


def _in_order(rows: dict[str, list[int]], urls_per_slice: int) -> Iterator[list[int]]:
    """Yield the slices of all hosts in the order of the pass."""
    slices = []
    for host, own in rows.items():
        digest = hashlib.sha256(host.encode()).digest()
        # Between 0 and 1: where in the pass the host begins, as a share of the distance between two of its slices.
        phase = int.from_bytes(digest[:8], "big") / 2**64
        n_slices = -(-len(own) // urls_per_slice)
        for n in range(n_slices):
            # Equal slices, not full ones and a remainder: the partition of the last would wait just as long.
            begin, end = n * len(own) // n_slices, (n + 1) * len(own) // n_slices
            slices.append(((n + phase) / n_slices, digest, own[begin:end]))
    for _, _, portion in sorted(slices, key=lambda one: one[:2]):
        yield portion
