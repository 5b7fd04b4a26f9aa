"""Limits of a fetch in cost and reach: times, bytes, redirects, concurrency. Not for choosing URLs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FetchLimits:
    """The limits of a fetch; all are resources: none changes which row belongs to which URL.

    Attributes:
        timeout_s: for one socket operation, a whole TLS handshake, or one name look-up.
        max_fetch_s: for everything one URL needs, redirects included; waiting for a host slot is not counted.
        max_bytes: of a body; announced or counted.
        max_redirects: hops after the first request.
        max_partition_s: for all URLs of one call together, from the first; URLs not requested by then are deferred.
        n_threads: fetches at once in this process.
        max_per_host: requests at once to one host, over all processes that share `host_slots`.
        max_failures_in_row: of one host and port, with 429 and 503, over all that share `host_slots`; 0: any number.
        allow_loopback: permits loopback addresses, and no other private ones (for tests and the generated world).
        user_agent: sent as it is; the text before the first "/" is our name.
        ask_robots: request robots.txt of each origin first, and obey it.
        heed_opt_outs: obey X-Robots-Tag.
        host_slots: folder of lock files and of hosts that do not answer; None limits hosts inside this process alone,
            and gives up no host.
    """

    timeout_s: float = 10.0
    max_fetch_s: float = 30.0
    max_bytes: int = 50_000_000
    max_redirects: int = 5
    max_partition_s: float = 900.0
    n_threads: int = 32
    max_per_host: int = 4
    max_failures_in_row: int = 20
    allow_loopback: bool = False
    user_agent: str = "rs5m-rebuild/0.1 (+research dataset; see README)"
    ask_robots: bool = False
    heed_opt_outs: bool = True
    host_slots: Path | None = None

    def __post_init__(self) -> None:
        """Refuse limits with which no fetch could end well.

        Raises:
            ValueError: a limit is not positive, or the user agent is not one printable line.
        """
        for name in ("timeout_s", "max_fetch_s", "max_bytes", "max_partition_s", "n_threads", "max_per_host"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.max_redirects < 0:
            raise ValueError(f"max_redirects must not be negative, found {self.max_redirects}")
        if not (self.user_agent.isascii() and self.user_agent.isprintable()):
            raise ValueError(f"user_agent must be printable ASCII, found {self.user_agent!r}")

    @property
    def token(self) -> str:
        """The name by which robots.txt and X-Robots-Tag address us, in lower case."""
        return self.user_agent.split("/")[0].strip().lower()

    @property
    def max_slot_wait_s(self) -> float:
        """Longest wait for a host slot: every thread of this process ahead of us, one after another."""
        return self.n_threads * self.max_fetch_s
