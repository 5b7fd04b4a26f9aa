"""What was said on the command line, and what the last run on the build said: profile, folders, settings."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from flows.corpora.metafile import as_sources
from flows.ledger.store import Store
from flows.rate.options import add_rating_options
from flows.set_values import join_settings
from flows.settings import Settings, load_settings
from stages import MODULES, STAGES
from stages.contract import InputError
from stages.download.stage import check_contact

NO_EVALUATION = "none"  # EVAL that compares a build with no evaluation set, whatever was said before
MEMORY = ".last-run.json"  # what was said at the last run on a build

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "demo": ("demo", "demo --build /tmp/demo --verbose"),
    "build": (
        "build --profile paper --sources SOURCES --build BUILD",
        "build --profile from-metafile --metafile pub11_train_metadata.csv --build BUILD",
    ),
    "preflight": ("preflight --profile paper --sources SOURCES",),
    "weights": ("weights --profile paper",),
    "stage": (
        "stage filter --profile paper --sources SOURCES --build BUILD",
        "stage dedup --profile demo --set dedup.max_distance=6",
        "stage download --build BUILD --retry transient",
        "stage contamination --build BUILD --eval Evaluation",
    ),
    "inventory": ("inventory --profile paper --sources SOURCES",),
    "peek": ("peek cc3m Downloads/GCC-training.tsv --rows 3 --from 1000",),
    "new-corpus": ("new-corpus mycorpus Downloads/part-00000.parquet",),
    "tables": ("tables --build build/demo",),
    "status": ("status --build build/demo",),
    "explain": ("explain laion2b_0_12 --build build/demo",),
    "show": ("show laion2b_0_12 --build build/demo --out picture.jpg",),
    "report": ("report --build build/demo --out report.html",),
    "fates": ("fates --build build/demo --out fates.csv",),
    "compare": ("compare --metafile pub11_train_metadata.csv --build BUILD --out compare.csv",),
    "eval-hashes": ("eval-hashes --build BUILD --out evaluation-hashes.parquet",),
    "verify": ("verify --build build/demo", "verify --build BUILD --repair", "verify --build BUILD --resume"),
    "card": ("card --build build/demo", "card --build BUILD --set dataset.doi=10.5281/zenodo.1"),
    "gc": ("gc --build BUILD --dry-run",),
    "withdraw": ("withdraw list.txt --build BUILD",),
    "rate": (
        "rate --build BUILD --n 200 --rater Ann",
        "rate --build BUILD --half pub11",
        "rate --build BUILD --results",
    ),
    "audit": ("audit outliers --build BUILD --n 200 --rater Ann", "audit dedup --build BUILD --results"),
    "config": ("config --profile paper --set download.max_per_host=2",),
    "train-detector": (
        "train-detector Images",
        "train-detector labels.csv --model lite0 --out models",
        "train-detector Images --model yolo --start models/rs-detector --out models/second",
    ),
    "calibrate": (
        "calibrate labels.csv --build BUILD",
        "calibrate Images --profile light --precision 0.99 --out mine.toml",
    ),
}
_VARIABLES = """
make targets with the same names take PROFILE=, SOURCES=, METAFILE=, BUILD=, EVAL=, SET="key=value …", RETRY=, REFETCH=,
ID=, OUT=, CORPUS=, CODE=, FILE=, LIST=, ROWS=, FROM=, COMPANION=, STAGE=, N=, RATER=, HALF=, SEED=,
PORT=, RESULTS=yes, VERBOSE=1.
"""


_HELP = {
    "demo": "build the demo profile on the generated world",
    "build": "bring all stages up to date and publish the dataset",
    "preflight": "print all that is missing and what the build will cost, before anything runs",
    "weights": "fetch the weights of the profile's models and compare their digests",
    "stage": "bring one stage up to date, or several, and print their tables",
    "inventory": "print how much of each corpus is under SOURCES, its rights, and how to get the rest",
    "peek": "print the first rows of a source file as its reader sees them",
    "new-corpus": "write the draft of a corpus's manifest from the schema of one of its files",
    "tables": "print all tables of a build",
    "status": "print partitions done, stale, missing and failed",
    "explain": "print what became of one sample, stage by stage",
    "show": "write the picture of one sample into a file",
    "report": "write a page with the figures and pictures of a build, finished or not",
    "fates": "write one row per sample: which stage decided, and why",
    "compare": "count which rows of a list of RS5M the build keeps, and where it loses the others",
    "eval-hashes": "write the hashes of a build's evaluation sets into one file, to share without their images",
    "verify": "check the whole build from its files",
    "card": "write the dataset's card, build.json, Croissant, citation and licences again",
    "gc": "remove files that no current receipt names",
    "withdraw": "take samples, URLs, hosts or images of a list out of a build and all its later runs",
    "rate": "serve a local page to rate captions, and print means and agreement",
    "audit": "serve a local page to judge the decisions of a stage, and print precision and recall",
    "config": "print all settings in full",
    "train-detector": "train detectors of remote sensing images on your own images, and measure them",
    "calibrate": "set the thresholds for outliers by labelled images, and write them as a profile",
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.profile and options.profile.endswith(".toml"):
        options.profile = str(Path(options.profile).resolve())
    recall(options)
    return options


def recall(options: argparse.Namespace) -> None:
    """Fill in what was not said from the last run on the build: its profile, and its SOURCES or METAFILE.

    Commands that only look take its overrides too: a build is judged by the settings it was made with.
    """
    path = build_folder(options) / MEMORY
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        last = {}  # never written, or cut by a crash: a convenience, not a record
    is_same_profile = options.profile in (None, last.get("profile"))
    options.profile = options.profile or last.get("profile") or "demo"
    if options.sources is None and options.metafile is None and is_same_profile:
        for name in ("sources", "metafile"):
            setattr(options, name, Path(last[name]) if last.get(name) else None)
    if options.eval is None and is_same_profile:
        options.eval = last.get("eval")
    is_about_card = options.command == "card"  # what it says beside the build's own settings is about the card
    if options.command not in ("build", "stage", "demo", "preflight") and is_same_profile:
        options.set = [*last.get("set", []), *options.set] if is_about_card or not options.set else options.set


def remember(options: argparse.Namespace) -> None:
    """Write down what was said, for `recall`."""
    said = {
        "profile": options.profile,
        "sources": str(Path(options.sources).resolve()) if options.sources is not None else None,
        "metafile": str(Path(options.metafile).resolve()) if options.metafile is not None else None,
        "eval": options.eval and (options.eval if options.eval == NO_EVALUATION else str(Path(options.eval).resolve())),
        "set": list(options.set),
    }
    path = build_folder(options) / MEMORY
    draft = path.with_name(f"{MEMORY}.{os.getpid()}")
    draft.write_text(json.dumps(said), encoding="utf-8")
    draft.replace(path)


def build_folder(options: argparse.Namespace) -> Path:
    """Return the build folder: as said, or build/<profile>."""
    return Path(options.build or Path("build") / Path(options.profile or "demo").stem)


def given_sources(options: argparse.Namespace) -> Path | None:
    """Return the SOURCES folder: the given one, or one that shows METAFILE; None if neither was given.

    Raises:
        InputError: METAFILE holds no list.
    """
    if options.metafile is not None:
        return as_sources(Path(options.metafile), build_folder(options))
    return Path(options.sources) if options.sources is not None else None


def _evaluation(options: argparse.Namespace) -> list[str]:
    """Return EVAL as an override; none if it was not said."""
    if not options.eval:
        return []
    path = "" if options.eval == NO_EVALUATION else str(Path(options.eval).resolve())
    return [f"contamination.evaluation={json.dumps(path, ensure_ascii=False)}"]


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the checked settings: the profile, the overrides, and what retry and refetch mean now.

    Raises:
        InputError: a setting is wrong, both SOURCES and METAFILE were said, or a download lacks a contact.
    """
    if options.sources is not None and options.metafile is not None:
        raise InputError(
            f"SOURCES={options.sources} and METAFILE={options.metafile}: a build is made from the one or the other."
            " For a list beside labelled corpora put it under SOURCES/rs5m"
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
    is_unasked = options.command == "build" and not settings.run.preflight  # else the contact is a gap among others
    if is_unasked or "download" in getattr(options, "modules", ()):
        check_contact(settings.by_stage["download"][1])  # now, not when the filter has run for hours
    return settings


def is_generated(options: argparse.Namespace) -> bool:
    """Return True where the sources are the generated world."""
    return options.profile == "demo" and options.sources is None and options.metafile is None


def command_again(options: argparse.Namespace) -> str:
    """Return the make command that does the same again."""
    targets = [f"stage-{m}" for m in options.modules] if options.command == "stage" else [options.command]
    words = [f"make {' '.join(targets)}"]
    if options.command != "demo":
        words.append(_word("profile", options.profile))
    for name in ("sources", "metafile"):
        if getattr(options, name) is not None:
            words.append(_word(name, getattr(options, name)))
    if options.eval:
        words.append(_word("eval", options.eval))
    if options.build is not None:
        words.append(_word("build", options.build))
    if options.set:
        words.append(_word("set", join_settings(options.set)))
    words += [_word(name, getattr(options, name)) for name in ("retry", "refetch") if getattr(options, name, "")]
    return " ".join(words)


def _word(variable: str, value: object) -> str:
    """Return a make variable as a shell takes it."""
    return f"{variable.upper()}={shlex.quote(str(value))}"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="rs5m",
        description="Rebuild RS5M, stage by stage, with every row accounted for.",
        epilog=_epilog(*EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _HELP.items():
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=_epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_options(command, name)
    return parser


def _epilog(*names: str) -> str:
    lines = [f"  rs5m {example}" for name in names for example in EXAMPLES[name]]
    return "\n".join(["examples:", *lines, _VARIABLES])


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest command or stage for one that does not exist."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)'", message):
            known = (*MODULES,) if self.prog.endswith(" stage") else tuple(_HELP)
            near = difflib.get_close_matches(found[1], known, 1, 0.5)
            if near:
                message += f"; did you mean {near[0]!r}?"
        super().error(message)


def _add_peek_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("corpus", help="code of the corpus whose manifest says how the file is read")
    command.add_argument(
        "path",
        type=Path,
        help="any file of it, however named; of a labelled corpus a folder laid out as SOURCES/<code>",
    )
    command.add_argument("--rows", type=int, default=5, metavar="N", help="rows to print (5)")
    command.add_argument("--from", type=int, default=0, dest="from_row", metavar="ROW", help="first row, from 0")
    command.add_argument(
        "--companion", type=Path, action="append", default=[], metavar="PATH", help="a file that belongs to it"
    )


def _add_training_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "data", type=Path, help="a folder with rs/ and other/, or with labels.csv; or a TOML file of folders"
    )
    command.add_argument("--model", default="", choices=["", "lite0", "yolo"], help="train one of the two alone")
    command.add_argument(
        "--out", type=Path, default=Path("models"), help="folder for rs-lite0 and rs-detector (models)"
    )
    command.add_argument("--start", type=Path, help="folder of a YOLO detector whose weights to begin with")
    command.add_argument("--n-threads", type=int, default=2, help="CPU threads (2)")


def _add_common_options(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument(
        "--profile", help="a name under manifests/profiles, or a .toml file (the build's own, or demo)"
    )
    command.add_argument("--build", type=Path, help="the build folder (build/<profile>)")
    command.add_argument("--sources", type=Path, help="folder with one folder per corpus; demo generates one")
    # The list that a build is made from, or that it is compared with.
    list_name = "compared" if name == "compare" else "metafile"
    command.add_argument(
        "--metafile", dest=list_name, type=Path, metavar="METAFILE", help="a list of RS5M, or a folder of such lists"
    )
    command.add_argument("--eval", help="folder of evaluation sets, TOML manifest or file of hashes to compare with")
    if name == "compare":
        command.set_defaults(metafile=None)
        command.add_argument("--out", type=Path, default=Path("compare.csv"), help="the CSV to write (compare.csv)")
    command.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a setting; may be repeated"
    )


def _add_run_options(command: argparse.ArgumentParser, name: str) -> None:
    if name == "stage":
        command.add_argument("modules", nargs="+", choices=MODULES, metavar="STAGE", help=", ".join(MODULES))
    if name in ("stage", "build", "demo", "inventory"):
        command.add_argument("--verbose", action="store_true", help="print all tables at the end")
    if name in ("stage", "build", "demo"):
        command.add_argument("--retry", default="", choices=["", "transient"], help="fetch transient failures again")
        command.add_argument("--refetch", default="", help="fetch again what failed for these reasons, or all")


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    _add_common_options(command, name)
    _add_run_options(command, name)
    if name == "new-corpus":
        command.add_argument(
            "code", help="lower-case letters and digits: its folder under SOURCES, its samples' prefix"
        )
        command.add_argument("file", type=Path, help="one of its files: parquet, or lines of two fields with a tab")
    if name == "peek":
        _add_peek_options(command)
    if name in ("explain", "show"):
        command.add_argument("sample_id", metavar="SAMPLE_ID", help="a sample's name, such as laion2b_0_12")
    if name == "show":
        command.add_argument("--out", type=Path, help="the file to write (SAMPLE_ID.jpg, by its format)")
    if name == "report":
        command.add_argument("--out", type=Path, help="the HTML file to write (report.html in the build folder)")
    if name == "fates":
        command.add_argument("--out", type=Path, default=Path("fates.csv"), help="the CSV to write (fates.csv)")
    if name == "eval-hashes":
        command.add_argument(
            "--out", type=Path, default=Path("evaluation-hashes.parquet"), help="the file (evaluation-hashes.parquet)"
        )
    if name == "verify":
        command.add_argument("--repair", action="store_true", help="set damaged receipts aside, to be done again")
        command.add_argument("--quick", action="store_true", help="look at sizes, receipts and schemas, read no bytes")
        command.add_argument(
            "--resume", action="store_true", help="leave out what was found sound before and is unchanged since"
        )
    if name in ("rate", "audit"):
        add_rating_options(command, name)
    if name == "train-detector":
        _add_training_options(command)
    if name == "withdraw":
        command.add_argument("list", type=Path, help="samples, URLs, hosts, sha256 or perceptual hashes, one per line")
    if name == "calibrate":
        command.add_argument("labels", type=Path, help="a folder with rs/ and other/, or a table of names and labels")
        command.add_argument("--precision", type=float, default=0.97, help="share of remote sensing to reach (0.97)")
        command.add_argument("--out", type=Path, default=Path("calibrated.toml"), help="the profile to write")
    if name == "gc":
        command.add_argument("--dry-run", action="store_true", help="only say what would go")
