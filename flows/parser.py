"""The parser of the command line: help with examples, the options of all commands, the nearest word for a wrong one.

Not for combining them with the options of the last run: options.py does that.
"""

from __future__ import annotations

import argparse
import difflib
import re
from pathlib import Path
from typing import NoReturn

from flows.subcommands import SUBCOMMANDS

_FIRST_COMMANDS = ("demo", "inventory", "preflight", "build", "stage", "status", "explain")  # shown by `rs5m --help`
_TARGETS = """
Each command is a make target too, with its options in capitals: `rs5m stage filter --profile paper --sources DIR` is
`make stage-filter PROFILE=paper SOURCES=DIR`. `make help` lists the targets.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="rs5m",
        description="Rebuild RS5M, stage by stage, with every row accounted for.",
        epilog=f"{_epilog(*_FIRST_COMMANDS)}\n`rs5m COMMAND --help` shows the options and examples of a command.",
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
    return "\n".join(["examples:", *lines, _TARGETS])


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest choice for one that does not exist."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), 1, 0.5)
            if near:
                message += f"; did you mean {near[0]!r}?"
        super().error(message)


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--profile", help="a name under manifests/profiles, or a .toml file (default: the build's own, or demo)"
    )
    command.add_argument("--build", type=Path, help="the build folder (default: build/<profile>)")
    command.add_argument("--sources", type=Path, help="folder with one folder per corpus; demo generates one")
    # The list that `compare` compares with is not the list that the build is made from.
    name = "compared" if command.prog.endswith(" compare") else "metafile"
    command.add_argument(
        "--metafile", dest=name, type=Path, metavar="METAFILE", help="a list of RS5M, or a folder of such lists"
    )
    command.set_defaults(metafile=None)
    command.add_argument(
        "--eval", help="evaluation sets to compare with: a folder, a TOML manifest, a file of hashes, or none"
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a setting; may be repeated"
    )
