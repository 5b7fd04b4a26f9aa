"""The command `export`."""

from __future__ import annotations

import argparse
from functools import partial

from rich.console import Console

from flows.ask.report import say
from flows.export.export import Format, export
from flows.export.folders import Folders
from flows.export.parquet import Parquet
from flows.opening import open_existing
from stages.plurals import counted


def run_export(options: argparse.Namespace, console: Console) -> None:
    """Write a finished build's samples to a new folder."""
    _, ledger = open_existing(options)
    form: Format = Folders() if options.format == "folders" else Parquet()
    n = export(ledger, options.out, form, partial(say, console))
    say(console, f"{options.out}: {counted(n, 'image')} as {form.name}; README.md says how to read them")
