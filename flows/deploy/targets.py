"""The flows of the Prefect UI: each starts the same command as its make target, `make build` or `make stage-NAME`.

A flow decides nothing and holds nothing: its body starts the command as a child, passes on its lines, and ends as it
ends. The child owns the loop over the stages and records them under this flow's run (`flows.watch.mirror`); it goes on
when the server, this process or `make ui` is gone.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from prefect import Flow, flow, get_client, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from flows.deploy.child import Child
from flows.make import arguments
from flows.watch.memory import MEMORY, Memory
from flows.watch.orchestrate import level_of
from flows.watch.ui import API_URL, FLOW_RUN, UI_HOME
from stages import MODULES, STAGES

_STOPPED = 130
_MEANINGS = {1: "a fault or a failed partition", 2: "wrong input or use"}


def _flow(target: str, does: str) -> Flow[..., Any]:
    """Return the flow of a make target."""

    def run(
        profile: str = "demo",
        sources: str = "",
        build: str = "",
        set: str = "",
        retry: Literal["", "transient"] = "",
        metafile: str = "",
        eval: str = "",
    ) -> State[None]:
        said = {"PROFILE": profile, "SOURCES": sources, "BUILD": build, "SET": set, "METAFILE": metafile}
        return run_target(target, {**said, "RETRY": retry, "EVAL": eval})

    run.__name__ = run.__qualname__ = target  # Prefect finds the flow in this module by this name
    run.__doc__ = f"""{does}

    Args:
        profile: demo, light, paper, workstation, from-metafile, from-release, or a TOML file of your own
        sources: the folder with one folder per corpus; the demo makes its own
        build: the build folder; empty: the folder of that profile under build
        set: further settings, such as dedup.max_distance=6 run.workers=4
        retry: transient: fetch URLs again that failed for a transient reason
        metafile: a list of RS5M that the build is made from, instead of sources
        eval: evaluation sets that the pictures are compared with: a folder, a TOML manifest or a file of hashes
    """
    return flow(name=target, flow_run_name=lambda: run_name(target), persist_result=False)(run)


def run_name(target: str) -> str:
    """Return the name of the flow run that begins: its profile, unless that is left empty, and the target."""
    return f"{flow_run.get_parameters().get('profile') or ''} {target}".strip()


def command_of(target: str, said: dict[str, str]) -> list[str]:
    """Return the command that a make target starts."""
    words = [target] if target in ("build", "inventory") else ["stage", target]
    return [sys.executable, "-m", "flows.cli", *arguments(words, said)]


def run_target(target: str, said: dict[str, str]) -> State[None]:
    """Run a target in a child and return the state that its exit code means."""
    run_id = str(flow_run.get_id())
    logger = get_run_logger()
    words = command_of(target, said)
    logger.info(" ".join(["$ python", *words[1:]]))
    _forget_earlier_attempt(run_id, said)
    log = Path(os.environ[UI_HOME]) / "runs" / f"{run_id}.log"
    child = Child(words, _environment(run_id), log, lambda line: logger.log(level_of(line), line))
    try:
        with child.start() as reader:
            try:
                code = child.wait(reader)
            except TerminationSignal:
                # Also sent when the runner ends or a person kills this process: then the child goes on alone.
                if not is_being_cancelled(run_id):
                    logger.warning("this process was ended; the run goes on and is still shown")
                    raise
                logger.info("cancelled: running partitions are finished or abandoned as a whole")
                child.stop()
                child.wait(reader)
                _leave_out(lambda record: "Finished in state" in record.getMessage())  # it says Running()
                raise
    except OSError as error:
        return Failed(message=f"the command could not be started: {error}")
    return _state_of(code, " ".join(child.fault) or child.last_line)


def _forget_earlier_attempt(run_id: str, said: dict[str, str]) -> None:
    """Remove an earlier attempt's note on its end: this run is under way again."""
    memory = Memory(Path(said["BUILD"] or Path("build") / Path(said["PROFILE"]).stem) / MEMORY)
    if any(entry.run == run_id for entry in memory.read()):
        memory.remove(run_id)


def _state_of(code: int, last_words: str) -> State[None]:
    if code == 0:
        return Completed(message="every partition has its receipt")
    if code == _STOPPED:
        return Cancelled(message="stopped; finished partitions are kept")
    _leave_out(lambda record: bool(record.exc_info))  # a traceback says nothing more
    if code < 0:
        return Failed(message=f"the process of the run was killed by signal {-code}; run it again to go on")
    return Failed(message=f"exit code {code} ({_MEANINGS.get(code, 'unknown')}): {last_words}"[:1000])


def _leave_out(is_needless: Callable[[logging.LogRecord], bool]) -> None:
    """Keep some of the lines that Prefect's engine adds out of the run's logs."""
    logging.getLogger("prefect.flow_runs").addFilter(lambda record: not is_needless(record))


def is_being_cancelled(run_id: str) -> bool:
    """Return True where the server says so; False where it does not answer."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run_id).state  # type: ignore[arg-type]
    except Exception:  # any failure to answer: nobody has cancelled the run
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def _environment(run_id: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
    return {**own, FLOW_RUN: f"{run_id}:{os.getpid()}", "PYTHONUNBUFFERED": "1", API_URL: os.environ[API_URL]}


DOES: dict[str, str] = {
    "build": "Brings all stages up to date and publishes the dataset.",
    **{module: " ".join(stage.does for stage in STAGES if stage.module == module) for module in MODULES},
}
FLOWS: dict[str, Flow[..., Any]] = {target: _flow(target, does) for target, does in DOES.items()}
globals().update(FLOWS)  # the process that runs one imports it from here by its name
