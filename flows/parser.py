"""The parser of the command line: help with examples, the options of all commands, the nearest word for a wrong one.

Not for what the words mean together with the last run's: that is options.
"""

from __future__ import annotations

import argparse
import difflib
import re
from pathlib import Path
from typing import NoReturn

from flows.subcommands import SUBCOMMANDS
from stages import MODULES

_VARIABLES = """
make targets with the same names take PROFILE=, SOURCES=, METAFILE=, BUILD=, EVAL=, SET="key=value …", RETRY=, REFETCH=,
ID=, OUT=, CORPUS=, CODE=, FILE=, LIST=, ROWS=, FROM=, COMPANION=, STAGE=, N=, RATER=, HALF=, SEED=,
PORT=, RESULTS=yes, VERBOSE=1.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="rs5m",
        description="Rebuild RS5M, stage by stage, with every row accounted for.",
        epilog=_epilog(*SUBCOMMANDS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, subcommand in SUBCOMMANDS.items():
        text = subcommand.help
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=_epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_common_options(command)
        for add in subcommand.add:
            add(command)
    return parser


def _epilog(*names: str) -> str:
    lines = [f"  rs5m {example}" for name in names for example in SUBCOMMANDS[name].examples]
    return "\n".join(["examples:", *lines, _VARIABLES])


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest command or stage for one that does not exist."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)'", message):
            known = (*MODULES,) if self.prog.endswith(" stage") else tuple(SUBCOMMANDS)
            near = difflib.get_close_matches(found[1], known, 1, 0.5)
            if near:
                message += f"; did you mean {near[0]!r}?"
        super().error(message)


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--profile", help="a name under manifests/profiles, or a .toml file (the build's own, or demo)"
    )
    command.add_argument("--build", type=Path, help="the build folder (build/<profile>)")
    command.add_argument("--sources", type=Path, help="folder with one folder per corpus; demo generates one")
    # `compare` has a list of its own to compare with, which is not what the build is made from.
    name = "compared" if command.prog.endswith(" compare") else "metafile"
    command.add_argument(
        "--metafile", dest=name, type=Path, metavar="METAFILE", help="a list of RS5M, or a folder of such lists"
    )
    command.set_defaults(metafile=None)
    command.add_argument("--eval", help="folder of evaluation sets, TOML manifest or file of hashes to compare with")
    command.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a setting; may be repeated"
    )
