import tomllib
from pathlib import Path

import pytest

from flows.settings import PROFILES, RunSettings, load_settings, render_settings
from stages import STAGES
from stages.contract import InputError, Stage


def stage(name: str) -> Stage:
    return next(s for s in STAGES if s.name == name)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "dedupp.max_distance=3",
            "'dedupp' is not a section (did you mean 'dedup'?); known: caption, contamination, dataset",
        ),
        ("dedup.max_distanc=3", "SET: 'max_distanc' is not a setting of dedup (did you mean 'max_distance'?)"),
        ("run.worker=3", "'worker' is not a setting of run (did you mean 'workers'?)"),
        ("plan.anything=1", "'anything' is not a setting of plan; known: none"),
        ("dedup.max_distance=eleven", "dedup.max_distance = 'eleven': Input should be a valid integer"),
        ("dedup.max_distance=11", "dedup.max_distance = 11: Input should be less than or equal to 10"),
        ("dedup.max_distance=2.5", "dedup.max_distance = 2.5"),
        ("shard.val_share=1.0", "shard.val_share = 1.0: Input should be less than 1"),
        ("run.workers=0", "run.workers = 0: Input should be greater than or equal to 1"),
        ("download.retry=always", "download.retry = 'always': Input should be '' or 'transient'"),
        ("download.timeout_s=-1", "download.timeout_s = -1: Input should be greater than 0"),
        ("screen.formats=7", "screen.formats = 7: expected a list, for example"),
        ("download.contact=Ann B", "download.contact = 'Ann B': expected your e-mail address or web page"),
        ("dedup.max_distance=" + "9" * 5000, "dedup.max_distance = '999"),
        ("dedup.max_distance=" + "[" * 2000, "dedup.max_distance = '[[["),
        ("dedup.max_distance", "'dedup.max_distance' is not a setting: write section.key=value"),
        ("max_distance=3", "'max_distance=3' is not a setting: write section.key=value"),
    ],
)
def test_a_wrong_override_is_refused_with_a_correction(override: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_settings("demo", [override], STAGES)
    assert words in str(caught.value)


def test_all_faults_of_a_profile_and_its_overrides_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        "[run]\nworkers = 0\nretries = true\nworker = 2\n[dedupp]\nmax_distance = 3\n"
        '[dedup]\nmax_distance = 11\n[shard]\nval_share = 1.0\nn_shards = "many"\n'
    )
    with pytest.raises(InputError) as caught:
        load_settings(str(tmp_path / "mine.toml"), ["screen.formats=7"], STAGES)
    lines = str(caught.value).splitlines()
    assert lines[0] == "8 faults in the settings:" and len(lines) == 9
    for words in (
        "'dedupp' is not a section", "'worker' is not a setting of run", "run.workers = 0: ", "run.retries = True: ",
        "dedup.max_distance = 11: ", "shard.val_share = 1.0: ", "shard.n_shards = 'many': ", "screen.formats = 7: ",
    ):  # fmt: skip
        assert sum(words in line for line in lines) == 1, words


def test_an_unknown_profile_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"no profile 'papr' \(did you mean 'paper'\?\); profiles: .*demo.*paper"):
        load_settings("papr", [], STAGES)
    with pytest.raises(InputError, match=r"no profile '/nowhere/x\.toml'"):
        load_settings("/nowhere/x.toml", [], STAGES)


@pytest.mark.parametrize("text", [b"[dedup\n", b"\xff\xfe", b"dedup = \n", b"a = " + b"[" * 2000])
def test_a_profile_that_is_no_toml_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "mine.toml").write_bytes(text)
    with pytest.raises(InputError, match=r"profile mine\.toml is not valid TOML"):
        load_settings(str(tmp_path / "mine.toml"), [], STAGES)


def test_a_profile_may_begin_with_a_byte_order_mark_and_a_folder_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf[shard]\nn_shards = 3\n")
    assert "n_shards = 3" in render_settings(load_settings(str(tmp_path / "mine.toml"), [], STAGES), STAGES)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        load_settings(str(tmp_path / "folder.toml"), [], STAGES)


@pytest.mark.parametrize(
    "text", ["dedup = 3\n", "max_distance = 3\n", '[dedup]\nmax_distance = "four"\n', "[dedup]\nx = 1\n"]
)
def test_a_profile_of_the_wrong_shape_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=r"dedup|'max_distance' is outside a section"):
        load_settings(str(tmp_path / "mine.toml"), [], STAGES)


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_profile_loads_and_is_equal_after_printing_and_loading(path: Path, tmp_path: Path) -> None:
    settings = load_settings(path.stem, [], STAGES)
    full = render_settings(settings, STAGES)
    (tmp_path / "full.toml").write_text(full)
    again = load_settings(str(tmp_path / "full.toml"), [], STAGES)
    assert (again.run, again.dataset, again.by_stage) == (settings.run, settings.dataset, settings.by_stage)
    sections = tomllib.loads(full)
    for section in {s.settings_section for s in STAGES}:
        of_section = [s for s in STAGES if s.settings_section == section]
        names = {n for s in of_section for n in (*s.params.model_fields, *s.resources.model_fields)}
        assert set(sections.get(section, {})) == names
    assert set(sections["run"]) == set(RunSettings.model_fields)


def test_profiles_were_found() -> None:
    assert {"demo", "paper"} <= {path.stem for path in PROFILES.glob("*.toml")}


def test_overrides_replace_values_of_the_profile_and_the_last_one_counts() -> None:
    settings = load_settings(
        "demo",
        [
            "dedup.max_distance=3",
            "dedup.max_distance=5",
            "shard.seed=other words",
            'screen.formats=["PNG"]',
            " run.workers = 7 ",
        ],
        STAGES,
    )
    assert settings.params(stage("cluster")).max_distance == 5  # type: ignore[attr-defined]
    assert settings.params(stage("plan_shards")).seed == "other words"  # type: ignore[attr-defined]
    assert settings.params(stage("screen")).formats == ("PNG",)  # type: ignore[attr-defined]
    assert settings.run.workers == 7
    assert settings.params(stage("plan_shards")).n_shards == 2  # type: ignore[attr-defined]


def test_the_paper_profile_states_the_published_figures() -> None:
    params = load_settings("paper", [], STAGES).params(stage("plan_shards"))
    assert (params.n_shards, params.val_share) == (32, 0.05)  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", ['a "b" \\ c', "two\tfields\r", "\x7f\u202e\x1b[31m", "é\U0001f30d", "#$`'"])
def test_texts_with_quotes_and_odd_characters_survive_printing(seed: str, tmp_path: Path) -> None:
    settings = load_settings("demo", [f"shard.seed={seed}"], STAGES)
    (tmp_path / "full.toml").write_text(render_settings(settings, STAGES))
    assert load_settings(str(tmp_path / "full.toml"), [], STAGES).by_stage == settings.by_stage


def test_settings_are_frozen() -> None:
    run = load_settings("demo", [], STAGES).run
    with pytest.raises(ValueError, match="frozen"):
        run.workers = 3
