"""Run a make target: its variables, which the Makefile hands on whole in the environment, become a command line.

Not for running anything itself: that is `flows/cli.py`. No shell takes a value apart on the way.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.set_values import split_settings
from stages.contract import InputError

PREFIX = "RS5M_"  # of a make variable in the environment
_COMMON = {"PROFILE": "profile", "BUILD": "build", "SOURCES": "sources", "METAFILE": "metafile", "EVAL": "eval"}
_RATING = {"N": "n", "RATER": "rater", "SEED": "seed", "PORT": "port"}
_RETRY = {"RETRY": "retry", "REFETCH": "refetch"}
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "demo": {"BUILD": "build"},
    "show": {"OUT": "out"},
    "report": {"OUT": "out"},
    "build": _RETRY,
    "stage": _RETRY,
    "peek": {"ROWS": "rows", "FROM": "from"},
    "fates": {"OUT": "out"},
    "compare": {"OUT": "out", "RELEASE": "release"},
    "release-metadata": {"OUT": "out"},
    "rebuild": {**_RETRY, "OUT": "out"},
    "eval-hashes": {"OUT": "out"},
    "export": {"FORMAT": "format", "OUT": "out"},
    "rate": {**_RATING, "HALF": "half"},
    "audit": _RATING,
    "train-detector": {"MODEL": "model", "OUT": "out", "START": "start"},
    "calibrate": {"PRECISION": "precision", "OUT": "out"},
}
_SWITCHES = {
    "gc": ("PURGE",),
    "verify": ("REPAIR", "QUICK", "RESUME"),
    "rate": ("RESULTS",),
    "audit": ("RESULTS",),
}
_VERBOSE = ("demo", "build", "rebuild", "stage", "inventory")
_POSITIONAL = {
    "peek": ("CORPUS", "FILE"),
    "new-corpus": ("CODE", "FILE"),
    "explain": ("ID",),
    "show": ("ID",),
    "audit": ("STAGE",),
    "train-detector": ("DATA",),
    "rebuild": ("FROM",),
    "withdraw": ("LIST",),
    "calibrate": ("LABELS",),
}


# Without one of these variables a target has nothing to do.
_EXAMPLES = {
    "CORPUS": "cc3m",
    "CODE": "mycorpus",
    "FILE": "PATH",
    "ID": "laion2b_0_13",
    "STAGE": "filter|dedup|outliers|contamination|caption|gpe",
    "DATA": "folder with rs/ and other/",
    "FROM": "release-metadata.parquet",
    "LIST": "list.txt",
    "LABELS": "folder with rs/ and other/",
}


def _is_on(said: Mapping[str, str], variable: str) -> bool:
    """Return whether a switch is yes. Raises InputError unless it is yes, no or not given."""
    value = said.get(variable, "")
    if value not in ("", "yes", "no"):
        raise InputError(f"{variable}={value}: expected yes or no")
    return value == "yes"


def arguments(command: Sequence[str], said: Mapping[str, str]) -> list[str]:
    """Return the command line of a target.

    Args:
        command: the subcommand, and stages behind it.
        said: the make variables; an empty one was not given.

    Raises:
        InputError: SET has a quote or bracket that is not closed, a variable is missing, or a switch is not yes or no.
    """
    name = command[0]
    options = _OPTIONS["demo"] if name == "demo" else {**_COMMON, **_OPTIONS.get(name, {})}
    # With "=": a value may begin with a dash.
    words = [f"--{option}={said[variable]}" for variable, option in options.items() if said.get(variable)]
    words += [f"--set={setting}" for setting in split_settings(said.get("SET", ""))]
    words += [f"--companion={path}" for path in _paths(said.get("COMPANION", ""))] if name == "peek" else []
    if name in _VERBOSE and said.get("VERBOSE", "").lower() not in ("", "0", "no", "false"):
        words.append("--verbose")
    words += [f"--{variable.lower()}" for variable in _SWITCHES.get(name, ()) if _is_on(said, variable)]
    missing = [variable for variable in _POSITIONAL.get(name, ()) if variable in _EXAMPLES and not said.get(variable)]
    if missing:
        example = " ".join(f"{variable}={_EXAMPLES[variable]}" for variable in _POSITIONAL[name])
        raise InputError(f"{missing[0]} is missing: make {name} {example}")
    if name in _POSITIONAL:
        words += ["--", *(said.get(variable, "") for variable in _POSITIONAL[name])]
    return [*command, *words]


def _paths(text: str) -> list[str]:
    """Return the paths of a variable: one that is there, or several separated by blanks, quoted as in a shell."""
    if not text or Path(text).exists():
        return [text] if text else []
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def main(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a target and return the exit code."""
    from flows.cli import main as run

    said = {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        words = arguments(command, said)
    except InputError as error:
        print(f"error: {error}")
        return 2
    return run(words)


if __name__ == "__main__":
    from flows.cli import leave, prepare

    prepare()
    leave(main(sys.argv[1:], os.environ))
