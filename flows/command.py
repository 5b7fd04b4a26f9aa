"""The parts that describe a command. Not for the commands themselves: they are in `subcommands.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Subcommand:
    """A command as the command line shows it.

    Attributes:
        help: one line, without a capital and a full stop.
        examples: command lines without the leading `rs5m `.
        add: functions that add the command's own options to its parser; parser.py adds those of every command.
    """

    help: str
    examples: tuple[str, ...]
    add: tuple[Callable[[argparse.ArgumentParser], None], ...] = ()


def option(*flags: str, **settings: Any) -> Callable[[argparse.ArgumentParser], None]:
    """Return a function that adds one argument, described as for argparse's `add_argument`."""

    def add(command: argparse.ArgumentParser) -> None:
        command.add_argument(*flags, **settings)

    return add


def out(default: str, text: str) -> Callable[[argparse.ArgumentParser], None]:
    """Return a function that adds `--out` with a default, which the help names."""
    return option("--out", type=Path, default=Path(default), help=f"{text} ({default})")
