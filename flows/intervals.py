"""A share with its 95 % interval, by E. B. Wilson, Probable Inference, JASA 22, 1927."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054  # two-sided 95 %


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % limits."""

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """The longer side of the interval."""
        return max(self.high - self.value, self.value - self.low)


def wilson(n_yes: int, n: int, z: float = Z_95) -> Estimate:
    """Return a share with its Wilson score interval.

    Raises:
        ValueError: n is 0, or n_yes is not between 0 and n.
    """
    if not 0 <= n_yes <= n or n == 0:
        raise ValueError(f"expected 0 <= n_yes <= n and n > 0, found {n_yes} of {n}")
    share = n_yes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the limit is exact; rounding would put it slightly outside.
    return Estimate(share, 0.0 if n_yes == 0 else centre - half, 1.0 if n_yes == n else centre + half)
