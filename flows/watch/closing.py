"""Close the flow runs of a build whose process ended without closing what it had opened, with what it left to show."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from flows.watch.memory import Memory

if TYPE_CHECKING:
    from flows.watch.orchestrate import Outcome, Scribe

_WORDS_AFTER_END = "the run has ended; Prefect did not get this stage's last figures in time"
_OPEN = ("RUNNING", "PENDING", "CANCELLING")
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
WORDS_AFTER_KILL = "the process ended without a word; what has its receipt is done"


def bury(scribe: Scribe, memory: Memory, ours: str = "", *, only_dead: bool = False, but: Collection[str] = ()) -> None:
    """Close the runs of a build that ended without closing what they had opened.

    A flow ends its own run, perhaps before a loaded server was given all stages: then these are closed.

    Args:
        scribe: of the server that may know them.
        memory: of the build.
        ours: a run that goes on.
        only_dead: leave out runs whose process lives; the holder of the build's lease knows that none does.
        but: further runs to leave out.
    """
    for entry in memory.read():
        if entry.run in but or (only_dead and entry.is_alive):
            continue
        outcome: Outcome = entry.outcome or "CRASHED"  # type: ignore[assignment]
        message = entry.message if entry.outcome else WORDS_AFTER_KILL
        try:
            kind, _ = scribe.state(entry.run)
            if entry not in memory.read():
                continue  # taken back meanwhile: the flow run is tried again
            if entry.run != ours and kind in (*_OPEN, *_ENDED):
                for figure in entry.figures:
                    scribe.show(entry.run, *figure)
                if kind in _OPEN:
                    scribe.close_inside(entry.run, outcome, message)
                    scribe.close_run(entry.run, outcome, message)
                else:
                    scribe.close_inside(entry.run, cast("Outcome", kind), _WORDS_AFTER_END)
        except scribe.gone:
            continue
        memory.remove(entry.run)
