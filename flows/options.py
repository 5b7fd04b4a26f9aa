"""Options of the command line, completed by those of the last run on the build: profile, folders, settings."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.corpora import release
from flows.corpora.metafile import as_sources
from flows.ledger.store import Store
from flows.parser import make_parser
from flows.set_values import join_settings
from flows.settings import Settings, load_settings
from stages import STAGES
from stages.contract import InputError
from stages.download.stage import check_contact

_OWN = {  # further variables of a command
    "train-detector": ("data", "model", "out", "start"),
    "calibrate": ("labels", "precision", "out"),
}
NO_EVALUATION = "none"  # EVAL=none: no evaluation set, also if an earlier run named one
MEMORY = ".last-run.json"  # the options of the last run on a build


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    options = make_parser().parse_args(arguments)
    if options.profile and options.profile.endswith(".toml"):
        options.profile = str(Path(options.profile).resolve())
    if options.command == "rebuild":
        options.profile = options.profile or "rebuild"
    recall(options)
    return options


def recall(options: argparse.Namespace) -> None:
    """Fill in options that were not given from the last run on the build: its profile, and its SOURCES or METAFILE.

    Commands that only look take its overrides too: a build is judged by the settings it was made with.
    """
    last = _last_run(options)
    is_same_profile = options.profile in (None, last.get("profile"))
    options.profile = options.profile or last.get("profile") or "demo"
    if options.sources is None and options.metafile is None and is_same_profile:
        for name in ("sources", "metafile"):
            setattr(options, name, Path(last[name]) if last.get(name) else None)
    if options.eval is None and is_same_profile:
        options.eval = last.get("eval")
    is_about_card = options.command == "card"  # its settings are added to the build's own
    if options.command not in ("build", "rebuild", "stage", "demo", "preflight") and is_same_profile:
        options.set = [*last.get("set", []), *options.set] if is_about_card or not options.set else options.set


def dropped_settings(options: argparse.Namespace) -> list[str]:
    """Return the overrides of the build's last run that this run does not state, except those of section run."""
    last = _last_run(options)
    stated = {_name_of(setting) for setting in options.set}
    return [s for s in last.get("set", []) if _name_of(s) not in stated and not _name_of(s).startswith("run.")]


def _name_of(setting: str) -> str:
    return setting.partition("=")[0].strip()


def _last_run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that `remember` stored; empty if their file is missing, unreadable or cut by a crash."""
    try:
        found = json.loads((build_folder(options) / MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a convenience, not a record
        return {}
    return found if isinstance(found, dict) else {}


def resolved_paths(options: argparse.Namespace) -> dict[str, str | None]:
    """Return SOURCES, METAFILE and EVAL as they are named from any folder; None or "" if one is not given."""
    given = {name: getattr(options, name) for name in ("sources", "metafile", "eval")}
    return {n: path if path in (None, "", NO_EVALUATION) else str(Path(path).resolve()) for n, path in given.items()}


def remember(options: argparse.Namespace) -> None:
    """Store the options for `recall`; if SOURCES and METAFILE were both given, as one folder with links to both."""
    said = {"profile": options.profile, **resolved_paths(options), "set": list(options.set)}
    if options.sources is not None and options.metafile is not None:
        both = as_sources(Path(options.metafile), build_folder(options), Path(options.sources))
        said |= {"sources": str(both.resolve()), "metafile": None}
    path = build_folder(options) / MEMORY
    draft = path.with_name(f"{MEMORY}.{os.getpid()}")
    draft.write_text(json.dumps(said), encoding="utf-8")
    draft.replace(path)


def build_folder(options: argparse.Namespace) -> Path:
    """Return the build folder: as given, or build/<profile>."""
    return Path(options.build or Path("build") / Path(options.profile or "demo").stem)


def given_sources(options: argparse.Namespace) -> Path | None:
    """Return the SOURCES folder: the given one, or one that shows METAFILE or released tars; None if none was given.

    `rebuild` has both: a file of release metadata as METAFILE, and the labelled corpora of SOURCES.

    Raises:
        InputError: METAFILE holds no list, or SOURCES beside it no labelled corpus.
    """
    sources = Path(options.sources) if options.sources is not None else None
    if options.metafile is not None:
        return as_sources(Path(options.metafile), build_folder(options), sources)
    if sources is not None and release.is_release(sources):
        return release.as_sources(sources, build_folder(options))
    return sources


def _evaluation(options: argparse.Namespace) -> list[str]:
    """Return EVAL as an override; nothing if it was not given."""
    if not options.eval:
        return []
    path = "" if options.eval == NO_EVALUATION else str(Path(options.eval).resolve())
    return [f"contamination.evaluation={json.dumps(path, ensure_ascii=False)}"]


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the checked settings: the profile, the overrides, and the present meaning of retry and refetch.

    Raises:
        InputError: a setting is wrong, both SOURCES and METAFILE were given, or a download lacks a contact.
    """
    if options.sources is not None and options.metafile is not None and options.command != "rebuild":
        raise InputError(
            f"SOURCES={options.sources} and METAFILE={options.metafile}: give only one of them."
            " To use a list beside labelled corpora, put it under SOURCES/rs5m"
        )
    overrides = list(options.set)
    for name in ("retry", "refetch"):
        if getattr(options, name, ""):
            overrides.append(f'download.{name}="{getattr(options, name)}"')
    if options.command == "withdraw":
        overrides.append(f"withdraw.add={json.dumps(str(Path(options.list).resolve()))}")
    build = build_folder(options)
    if getattr(options, "retry", "") or getattr(options, "refetch", ""):
        n_passes = len(Store(build).observations("fetch_pass", "open_pass"))
        overrides.append(f"download.asked_at_pass={n_passes}")
    if is_generated(options):
        overrides.append("download.allow_loopback=true")
    settings = load_settings(options.profile, [*_evaluation(options), *overrides], STAGES)
    # With the check before a build the contact is a gap among others.
    is_unasked = options.command in ("build", "rebuild") and not settings.run.preflight
    is_released = options.sources is not None and release.is_release(Path(options.sources))  # nothing is fetched
    if not is_released and (is_unasked or "download" in getattr(options, "modules", ())):
        check_contact(settings.by_stage["download"][1])  # now, not when the filter has run for hours
    return settings


def is_generated(options: argparse.Namespace) -> bool:
    """Return True if the sources are the generated world."""
    return options.profile == "demo" and options.sources is None and options.metafile is None


def command_again(options: argparse.Namespace) -> str:
    """Return the make command that does the same again."""
    targets = [f"stage-{m}" for m in options.modules] if options.command == "stage" else [options.command]
    words = [f"make {' '.join(targets)}"]
    if options.command == "rebuild":
        words.append(make_word("from", options.from_file))
    own = _OWN.get(options.command, ())
    words += [make_word(name, getattr(options, name)) for name in own if getattr(options, name) not in (None, "")]
    if options.command not in ("demo", "train-detector"):
        words.append(make_word("profile", options.profile))
    for name in ("sources", "metafile") if options.command != "rebuild" else ("sources",):
        if getattr(options, name) is not None:
            words.append(make_word(name, getattr(options, name)))
    if options.eval:
        words.append(make_word("eval", options.eval))
    if options.build is not None:
        words.append(make_word("build", options.build))
    if options.set:
        words.append(set_word(options.set))
    words += [make_word(name, getattr(options, name)) for name in ("retry", "refetch") if getattr(options, name, "")]
    return " ".join(words)


def in_full(text: str, options: argparse.Namespace) -> str:
    """Return a message in which commands for a stage name the profile, folders and settings of this command.

    Stages and the ledger, which write messages, do not know the command line. A rebuild keeps them short: its FROM is
    no option of a stage, but its build remembers it.
    """

    def command(found: re.Match[str]) -> str:
        of_stage = {"command": "stage", "modules": [found[1]], "retry": "", "refetch": ""}
        return f"`{command_again(argparse.Namespace(**{**vars(options), **of_stage}))}`"

    return text if options.command == "rebuild" else re.sub(r"`make stage-(\w+)`", command, text)


def set_word(settings: Sequence[str]) -> str:
    """Return SET with some settings as a shell takes it."""
    return make_word("set", join_settings(settings))


def make_word(variable: str, value: object) -> str:
    """Return a make variable as a shell takes it."""
    return f"{variable.upper()}={shlex.quote(str(value))}"
