"""Close the flow runs that a build's process left open when it ended, with the figures and lines that it kept back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from flows.watch.memory import Memory

if TYPE_CHECKING:
    from flows.watch.orchestrate import Outcome, Scribe

_WORDS_AFTER_END = "the run has ended; Prefect did not get this stage's last figures in time"
_OPEN = ("RUNNING", "PENDING", "CANCELLING")
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
WORDS_AFTER_KILL = "the process ended without a message; partitions with a receipt are done"
_KILLED = (
    "The process of this run ended without a message: it was killed, or the machine went down. These are its last"
    " figures, of {time:%Y-%m-%d %H:%M} UTC; nothing runs now. Run the same command again, or Retry: partitions with a"
    " receipt are done."
)
_LATE = "The run has ended. These figures, of {time:%Y-%m-%d %H:%M} UTC, are the last that Prefect got of this stage."


@dataclass(frozen=True)
class Shown:
    """An artifact as the server has it: its id, flow run, kind, content, description and last change (UTC)."""

    artifact: str
    run: str
    kind: str
    data: object
    description: str
    updated: datetime


def bury(scribe: Scribe, memory: Memory, ours: str = "", *, only_dead: bool = False, but: Collection[str] = ()) -> None:
    """Close the open runs of a build whose processes have ended, and the runs inside them.

    A flow ends its own run, perhaps before an overloaded server has received all stages: these are closed here.

    Args:
        scribe: for the server that may know the runs.
        memory: the open runs of the build.
        ours: id of a run that goes on.
        only_dead: leave out runs whose process is alive; the holder of the build's lease knows that none is.
        but: ids of further runs to leave out.
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
                has_said_end = bool(entry.outcome) or kind == "COMPLETED"
                mark_figures(scribe, entry.run, _LATE if has_said_end else _KILLED, is_build_too=not has_said_end)
                if kind in _OPEN:
                    scribe.close_inside(entry.run, outcome, message)
                    scribe.close_run(entry.run, outcome, message)
                else:
                    scribe.close_inside(entry.run, cast("Outcome", kind), _WORDS_AFTER_END)
                if entry.lines:  # last: a call that is lost is made again, and these would be there twice
                    scribe.log(entry.run, entry.lines)
        except scribe.gone:
            continue
        memory.remove(entry.run)


def close_earlier_attempt(scribe: Scribe, run: str) -> None:
    """Close what a killed process left open inside a flow run that is tried again."""
    mark_figures(scribe, run, _KILLED, is_build_too=False)
    scribe.close_inside(run, "CRASHED", WORDS_AFTER_KILL)


def mark_figures(scribe: Scribe, run: str, words: str, *, is_build_too: bool) -> None:
    """Say above the figures of a flow run's open stages, and perhaps above its own, that they are not of now.

    Args:
        scribe: for the server that has the figures.
        run: the flow run; its stages are still open.
        words: the sentence; `{time}` is when the figures last changed.
        is_build_too: mark the figures of the flow run itself.
    """
    begin = words.partition("{")[0]
    found = [
        one for one in scribe.shown_inside(run) if not one.description.startswith(begin)
    ]  # a lost call is made again
    time = max((one.updated for one in found), default=None)
    for one in found:
        if is_build_too or one.run != run:
            said = words.format(time=time)
            data = f"**{said}**\n\n{one.data}" if one.kind == "markdown" else one.data
            scribe.change(one.artifact, one.kind, data, f"{said} {one.description}")
