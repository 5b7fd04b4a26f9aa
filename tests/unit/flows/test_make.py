"""Variables given to make reach the command line unchanged, whatever characters they have."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flows.make import PREFIX, arguments
from flows.options import command_again, parse
from flows.set_values import join_settings, split_settings
from flows.settings import load_settings
from stages import STAGES
from stages.contract import InputError

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", PREFIX))}
VARIABLES = (
    "PROFILE",
    "BUILD",
    "SOURCES",
    "METAFILE",
    "EVAL",
    "SET",
    "ID",
    "CORPUS",
    "FILE",
    "COMPANION",
    "OUT",
    "REFETCH",
)
NASTY = (
    "a b", "it's", 'say "x"', "(a) [b] {c}", "a#b", "$HOME", "$(shell echo no)", "$$", "${x", "$(", "back\\slash", "\\",
    "`id`", "a;b", "a&b|c", "<in >out", "*?~!", "per%cent", "é文", "tab\there", "line\nbreak", "a=b", ":=", "-n",
    "--help", "a,b", "'", '"', "x'y\"z", "a\\#b", "a  b", "+x", "@x", "%.o", "a:b",
)  # fmt: skip
SETTINGS = (
    ['filter.accept_damaged=["redcaps/my file.json"]'],
    ['download.user_agent="name/1.0 (+mailto:you)"'],
    ["download.user_agent=name/1.0 (+mailto:you)"],
    ["dedup.max_distance=6", 'filter.accept_damaged=["a b", "c\'s $d #e"]', "run.workers=3"],
    ["filter.accept_damaged=['it is \"x\" = y.z=1', \"a\\\"b\"]", "dedup.max_distance=1"],
    ['download.user_agent="a dedup.max_distance=5 b"', "dedup.max_distance=7"],
    ["download.user_agent=it's mine", "run.workers=2"],
    ["run.workers = 2", "dedup.max_distance\t=\t3"],
    ['filter.accept_damaged=[\n"a",\n"b"]', 'download.user_agent=""'],
    ["download.user_agent=a]b", "run.workers=1"],
    ["run.workers"], ["a.b=", "c.d=1", "e.f="], [],
)  # fmt: skip


def make(*words: str) -> "subprocess.CompletedProcess[str]":
    # Make must find the environment installed: a test does not install it.
    asked = ["make", "-s", "-o", ".venv/.ready", *words]
    return subprocess.run(asked, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program in place of Python that prints its arguments and the variables in its environment."""
    path = tmp_path_factory.mktemp("probe") / "probe"
    path.write_text(
        "#!/usr/bin/env python3\nimport json, os, sys\n"
        f"print(json.dumps([sys.argv[1:], {{k: v for k, v in os.environ.items() if k.startswith('{PREFIX}')}}]))\n"
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("value", NASTY)
def test_make_changes_no_value(probe: Path, value: str) -> None:
    done = make("build", f"PY={probe}", *(f"{name}={value}" for name in VARIABLES))
    assert done.returncode == 0, done.stderr
    words, said = json.loads(done.stdout)
    assert words == ["-m", "flows.make", "build"]
    assert {name: said[PREFIX + name] for name in VARIABLES} == dict.fromkeys(VARIABLES, value)


@pytest.mark.parametrize("target", ["demo", "stage-dedup", "peek", "compare", "config", "verify", "explain", "fates"])
def test_every_target_passes_its_variables_on(probe: Path, target: str) -> None:
    words, said = json.loads(make(target, f"PY={probe}", "BUILD=my build", "SET=a.b=$c").stdout)
    assert words[:2] == ["-m", "flows.make"] and words[2:] == target.replace("-", " ").split()
    assert (said["RS5M_BUILD"], said["RS5M_SET"], said["RS5M_SOURCES"]) == ("my build", "a.b=$c", "")


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("between", [" ", "  ", "\n", " \t "])
def test_set_is_only_split_between_settings(settings: list[str], between: str) -> None:
    assert split_settings(between.join(settings)) == settings
    assert split_settings(f" {between.join(settings)} ") == settings


@pytest.mark.parametrize("text", ['a.b="x', "a.b=['x]", 'a.b=["x" c.d=2', "a.b={x=1", "x.y=1 a.b='"])
def test_unclosed_quotes_and_brackets_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="a quote or bracket that is not closed"):
        split_settings(text)


def test_quoted_values_are_parsed_back_unchanged() -> None:
    luck = random.Random(5)
    pieces = ["a", " ", "'", '"', '"""', "[", "]", "\\", "#", "$", "=", ".", "x.y=", "é", ",", "\n", "(", ")"]
    for _ in range(2000):
        values = ["".join(luck.choices(pieces, k=luck.randint(0, 8))) for _ in range(luck.randint(1, 3))]
        text = join_settings([f"s.k{n}={value}" for n, value in enumerate(values)])
        found = split_settings(text)
        assert len(found) == len(values), (values, text)
        for setting, value in zip(found, values, strict=True):
            said = setting.partition("=")[2].strip()
            if said != value.strip():
                assert tomllib.loads(f"v = {said}")["v"] == value.strip(), (values, text)


@pytest.mark.parametrize("value", NASTY)
def test_the_command_line_has_the_given_values(value: str) -> None:
    said = dict.fromkeys(("SOURCES", "BUILD", "OUT", "FILE", "ID"), value) | {"CORPUS": "cc3m"}
    build = parse(arguments(["stage", "dedup"], said))
    assert (str(build.sources), str(build.build), build.modules) == (value, value, ["dedup"])
    peek = parse(arguments(["peek"], said))
    assert (peek.corpus, str(peek.path)) == ("cc3m", value)
    assert parse(arguments(["explain"], said)).sample_id == value
    assert str(parse(arguments(["fates"], said)).out) == value
    assert str(parse(arguments(["demo"], said)).build) == value


def test_variables_that_are_not_given_get_the_programs_defaults() -> None:
    assert arguments(["stage", "dedup"], {"SOURCES": "", "SET": " "}) == ["stage", "dedup"]
    assert arguments(["verify"], {"REPAIR": "yes"}) == ["verify", "--repair"]
    assert arguments(["gc"], {"PURGE": "yes"}) == ["gc", "--purge"] and arguments(["gc"], {"PURGE": "no"}) == ["gc"]
    assert arguments(["verify"], {"REPAIR": "no", "QUICK": "", "RESUME": "no"}) == ["verify"]
    assert arguments(["verify"], {"QUICK": "yes", "RESUME": "yes"}) == ["verify", "--quick", "--resume"]
    assert arguments(["peek"], {"COMPANION": "a 'b c'", "CORPUS": "vg", "FILE": "f"})[1:3] == [
        "--companion=a", "--companion=b c",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["it's", "a b", "$x", 'q"q'])
def test_an_advised_command_repeats_the_given_values(probe: Path, value: str, tmp_path: Path) -> None:
    said = {"SOURCES": str(tmp_path / value), "BUILD": value, "PROFILE": "paper",
            "SET": f"filter.accept_damaged=[{json.dumps(value)}] run.workers=3"}  # fmt: skip
    advised = command_again(parse(arguments(["build"], said)))
    asked = ["sh", "-c", f"{advised} -s -o .venv/.ready PY='{probe}'"]
    done = subprocess.check_output(asked, cwd=ROOT, env=ENVIRONMENT, text=True)
    again = {name.removeprefix(PREFIX): value for name, value in json.loads(done)[1].items()}
    assert {name: again[name] for name in said} == said


def test_settings_are_checked_as_they_were_given() -> None:
    done = make(
        "config", "PROFILE=paper",
        'SET=download.user_agent="name/1.0 (+mailto:you)" filter.accept_damaged=["redcaps/my file.json"] run.workers=3',
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    printed = tomllib.loads(done.stdout)
    assert printed["download"]["user_agent"] == "name/1.0 (+mailto:you)"
    assert printed["filter"]["accept_damaged"] == ["redcaps/my file.json"] and printed["run"]["workers"] == 3
    settings = load_settings("paper", split_settings("download.user_agent=name/1.0 (+x)"), STAGES)
    assert settings.by_stage["download"][1].model_dump()["user_agent"] == "name/1.0 (+x)"


@pytest.mark.parametrize(
    ("command", "said", "message"),
    [
        ("rebuild", {"BUILD": "b"}, "FROM is missing: make rebuild FROM=release-metadata.parquet"),
        ("audit", {}, "STAGE is missing: make audit STAGE=filter"),
        ("withdraw", {"LIST": ""}, "LIST is missing"),
        ("peek", {"FILE": "x"}, "CORPUS is missing: make peek CORPUS=cc3m FILE=PATH"),
        ("new-corpus", {"CODE": "x"}, "FILE is missing: make new-corpus CODE=mycorpus FILE=PATH"),
        ("gc", {"PURGE": "Yes"}, "PURGE=Yes: expected yes or no"),
        ("verify", {"QUICK": "1"}, "QUICK=1: expected yes or no"),
    ],
)
def test_a_missing_variable_and_an_unknown_switch_are_named(command: str, said: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        arguments([command], said)


def test_switches_are_on_with_yes_alone() -> None:
    assert arguments(["gc"], {"PURGE": "yes"}) == ["gc", "--purge"]
    assert arguments(["verify"], {"QUICK": "yes", "REPAIR": "no", "RESUME": ""}) == ["verify", "--quick"]


def test_a_termination_of_make_reaches_the_program_and_its_last_words_are_printed(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('stopped', flush=True)))\n"
        "print('begun', flush=True)\nsignal.pause()\n"
    )
    program.chmod(0o755)
    words = ["make", "-s", "-o", f"{tmp_path}/.ready", f"VENV={tmp_path}", "stage-plan"]
    running = subprocess.Popen(
        words, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert running.stdout is not None and running.stdout.readline() == "begun\n"
    running.terminate()
    running.wait()
    with contextlib.suppress(ProcessLookupError):  # nothing is left
        os.killpg(running.pid, signal.SIGKILL)
    assert running.stdout.read() == "stopped\n"
