"""The options of `make rate` and `make audit`."""

from __future__ import annotations

import argparse
import re

from flows.rate.questions import AUDITS

DEFAULT_N = 200
DEFAULT_PORT = 8420


def add_rate_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `rate` to its parser."""
    command.add_argument("--half", default="", choices=["", "rs3", "pub11"], help="captions to rate (rs3, if any)")
    _add_page_options(command)


def add_audit_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `audit` to its parser."""
    command.add_argument("stage", choices=list(AUDITS), metavar="STAGE", help=", ".join(AUDITS))
    _add_page_options(command)


def _add_page_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--n", type=_positive, default=DEFAULT_N, metavar="N", help=f"items to draw ({DEFAULT_N})")
    command.add_argument("--seed", default="0", help="another seed draws other items (0)")
    command.add_argument("--rater", default="", metavar="NAME", help="your name; the page asks if it is not given")
    command.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"port on loopback ({DEFAULT_PORT}; 0 for any)")
    command.add_argument(
        "--results", action="store_true", help="write and print the tables of what was answered, without the page"
    )


def _positive(text: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)
