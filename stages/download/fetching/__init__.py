"""Fetching of foreign URLs: a guarded opener, per-host limits, and img2dataset's downloader between them.

Importing this package does not import img2dataset; the first fetch does.
"""

from stages.download.fetching.attempts import Attempt, fetch
from stages.download.fetching.limits import FetchLimits

__all__ = ["Attempt", "FetchLimits", "fetch"]
