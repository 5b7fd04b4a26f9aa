"""Serve the flows as deployments: start the runs that a person or a schedule requests in the Prefect UI.

It runs until killed. `make ui` runs it beside the server, and ends it by SIGKILL: if asked to end, Prefect's runner
cancels the runs that it started.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.runner import Runner

from flows.deploy.targets import DOES, FLOWS
from flows.watch.closing import bury
from flows.watch.memory import MEMORY, Memory
from flows.watch.orchestrate import TAG, Scribe, connect
from flows.watch.ui import API_URL

AT_ONCE = 16  # flow runs; those on one build wait for each other
_SCHEDULE = ("schedule", "active", "max_scheduled_runs", "parameters", "slug")
_SWEPT_EVERY_S = 30.0


def close_the_dead(scribe: Scribe, suspects: set[str]) -> set[str]:
    """Close the runs that show as open, or have open stages, although the process that worked for them is gone.

    A run is closed when two looks find it so: one that is tried again shows as open before its process begins.

    Args:
        scribe: of the server.
        suspects: the runs that the last look found dead.

    Returns:
        The runs that this look found dead.
    """
    # A flow ends its run when its command ends, which may be before a loaded server was given all stages.
    found = [*scribe.open_runs(), *scribe.ended_runs()]
    shown, dead = {run for run, _ in found}, set()
    for build in {_build_of(parameters) for _, parameters in found}:
        memory = Memory(build / MEMORY)
        gone = {entry.run for entry in memory.read() if entry.run in shown and not entry.is_alive}
        bury(scribe, memory, only_dead=True, but=gone - suspects)
        dead |= gone
    return dead


def _build_of(parameters: Mapping[str, Any]) -> Path:
    profile = str(parameters.get("profile") or "demo")
    return Path(str(parameters.get("build") or Path("build") / Path(profile).stem))


def _sweep() -> None:
    scribe, suspects = connect(os.environ[API_URL]), set[str]()
    while True:
        try:
            suspects = close_the_dead(scribe, suspects)
        except (*scribe.lost, OSError) as error:
            print(f"runs that may be dead were not looked at: {error}", flush=True)
        time.sleep(_SWEPT_EVERY_S)


def main() -> int:
    """Serve the deployments, each under the name of its flow."""
    threading.Thread(target=_sweep, daemon=True).start()
    runner = Runner(pause_on_shutdown=False, limit=AT_ONCE)
    with get_client(sync_client=True) as client:
        for name, flow in FLOWS.items():
            schedules = _schedules_of(client, name)
            runner.add_deployment(
                flow.to_deployment(name=name, description=DOES[name], tags=[TAG], schedules=schedules)  # type: ignore[arg-type]
            )
    asyncio.run(runner.start())
    return 0


def _schedules_of(client: SyncPrefectClient, name: str) -> list[DeploymentScheduleCreate]:
    """Return the schedules that were made in the UI.

    To serve a deployment again drops those that are not given with it; given with it, they change in one transaction
    of the server, so that a server killed in the middle keeps them.
    """
    try:
        names = {"flow_name": name, "deployment_name": name}
        found = client.request("GET", "/deployments/name/{flow_name}/{deployment_name}", path_params=names).json()
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
        return []
    return [
        DeploymentScheduleCreate(**{key: one[key] for key in _SCHEDULE if one.get(key) is not None})
        for one in found["schedules"]
    ]


if __name__ == "__main__":
    sys.exit(main())
