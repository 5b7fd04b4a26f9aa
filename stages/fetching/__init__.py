"""Fetching of foreign URLs: a guarded opener, per-host limits, and img2dataset's downloader between them.

Importing this package does not import img2dataset; the first fetch does.
"""

from stages.fetching.attempts import Attempt, fetch
from stages.fetching.limits import FetchLimits

__all__ = ["Attempt", "FetchLimits", "fetch"]
