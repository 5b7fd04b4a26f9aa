"""The settings, the build and the sources that a command works on. Not for running anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from flows.demo.generated import GeneratedWorld
from flows.ledger.lease import LEASE
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.options import build_folder, given_sources, is_generated, settings_of
from flows.settings import Settings
from stages import STAGES
from stages.contract import InputError


def open_build(options: argparse.Namespace, store: Store | None = None) -> tuple[Settings, Ledger]:
    """Return the settings and the state of the build that the options name; its folder need not exist.

    Args:
        options: of the command line.
        store: of the same build, if some of its receipts were read before.
    """
    settings = settings_of(options)
    return settings, Ledger(store or Store(build_folder(options)), STAGES, settings)


def open_existing(options: argparse.Namespace) -> tuple[Settings, Ledger]:
    """Return the same for an existing build. Raises InputError if there is none."""
    build = build_folder(options)
    if not any((build / mark).exists() for mark in (LEASE, STAGES[0].writes.name)):
        raise InputError(f"{build} is not a build folder: run `make build` first, or say which with BUILD=…")
    return open_build(options)


def world_of(options: argparse.Namespace, ledger: Ledger) -> GeneratedWorld | None:
    """Return the generated world if the build is made from it."""
    return GeneratedWorld(ledger.store.root / "world") if is_generated(options) else None


def sources_of(options: argparse.Namespace, ledger: Ledger) -> Path | None:
    """Return the SOURCES folder, given or generated; it need not exist."""
    world = world_of(options, ledger)
    if world is not None:
        return world.sources
    return given_sources(options)
