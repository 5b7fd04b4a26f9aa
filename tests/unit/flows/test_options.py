import shlex
from pathlib import Path

import pytest

from flows.cli import _after_stop
from flows.options import command_again, dropped_settings, make_word, parse, remember, set_word, settings_of
from flows.set_values import split_settings
from stages.contract import InputError


def test_settings_of_the_last_run_that_a_run_leaves_out_are_named(tmp_path: Path) -> None:
    def said(*words: str) -> list[str]:
        return dropped_settings(parse(["build", "--build", str(tmp_path), *words]))

    assert said() == []
    made_with = ("shard.caption_top_share=0.3", "embed.match_captions=true", "run.workers=1")
    remember(parse(["build", "--build", str(tmp_path), *(word for s in made_with for word in ("--set", s))]))
    assert said() == list(made_with[:2])  # workers change no row
    assert said("--set", "shard.caption_top_share=0.5") == ["embed.match_captions=true"]
    export = parse(["export", "--build", str(tmp_path), "--format", "folders"])  # takes the last run's
    assert dropped_settings(export) == [] and export.set == list(made_with)


def test_dropped_settings_are_shown_as_a_shell_takes_them() -> None:
    settings = ['filter.wit_languages=["en", "de"]', "run.workers=1"]
    (word,) = shlex.split(set_word(settings))
    assert split_settings(word.removeprefix("SET=")) == settings


def test_a_build_from_released_tars_needs_no_contact(tmp_path: Path) -> None:
    words = ("build", "--build", str(tmp_path / "b"), "--profile", "from-release", "--set", "run.preflight=false")
    options = parse([*words, "--sources", str(tmp_path)])
    with pytest.raises(InputError, match=r"download\.contact is not set"):
        settings_of(options)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "pub11-train-0000.tar").write_bytes(bytes(10240))
    assert not settings_of(options).run.preflight


def test_a_stopped_command_without_partitions_says_how_to_start_again(tmp_path: Path) -> None:
    build = ["--build", str(tmp_path)]
    options = parse(["train-detector", "my images", "--model", "yolo", "--start", "models/a", "--out", "out", *build])
    again = f"make train-detector DATA='my images' MODEL=yolo OUT=out START=models/a BUILD={tmp_path}"
    assert command_again(options) == again
    assert _after_stop(options) == f"What was computed is lost; start again with: {again}"
    options = parse(["calibrate", "labels.csv", "--precision", "0.9", *build])
    again = f"make calibrate LABELS=labels.csv PRECISION=0.9 OUT=calibrated.toml PROFILE=demo BUILD={tmp_path}"
    assert command_again(options) == again
    assert make_word("build", "b 1") == "BUILD='b 1'"
    kept = "Files fetched so far are kept, and one that is half there is continued with: make weights PROFILE=paper"
    assert _after_stop(parse(["weights", "--profile", "paper"])) == kept
    assert _after_stop(parse(["build", *build])).startswith("Finished partitions are kept; continue with: make build")
