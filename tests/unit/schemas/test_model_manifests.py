"""The manifests of models and prompts are valid; a faulty one is refused with file and key."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.manifests import MANIFESTS, ManifestError, load_models, load_prompts
from stages.contract import InputError
from stages.models.opening import check_model, find_model, model_identity
from stages.models.weights import check_weights

ENTRY = """
[[model]]
name = "one"
task = "scorer"
library = "open_clip"
repository = "someone/one"
revision = "main"
precision = "float32"
licence = "MIT"
how_to_get = "fetch it"
date_checked = 2026-01-01
"""
COMMITTED = [model for model in load_models().values() if model.folder]


def test_the_published_models_of_the_paper_are_named() -> None:
    models = load_models()
    tasks = {name: models[name].task for name in ("clip-convnext-xxl", "clip-vit-h-14", "clip-rn50x64")}
    assert set(tasks.values()) == {"scorer"}
    assert (models["blip2-opt-6.7b"].task, models["rs-detector"].task) == ("captioner", "detector")


def test_models_are_fetched_at_the_pinned_commit() -> None:
    pinned = [model for model in load_models().values() if len(model.revision) == 40]
    assert len(pinned) >= 4
    for model in pinned:
        assert f"--revision {model.revision}" in model.how_to_get, model.name
        assert model.repository in model.how_to_get, model.name


def test_a_model_without_a_pinned_commit_says_so() -> None:
    for model in load_models().values():
        assert model.revision != "main" or "commit" in model.weights_note, model.name


@pytest.mark.parametrize("model", COMMITTED, ids=lambda model: model.name)
def test_committed_weights_are_the_pinned_ones(model: object) -> None:
    check_weights(model, MANIFESTS / model.folder)  # type: ignore[attr-defined, arg-type]


def test_the_prompts_are_three_nouns_in_eleven_forms() -> None:
    prompts = load_prompts()
    assert (len(prompts.nouns), len(prompts.forms), len(prompts.texts())) == (3, 11, 33)
    assert "a satellite image" in prompts.texts()
    english = prompts.texts("english")
    assert set(prompts.texts()) - set(english) == {"a aerial image"}
    assert set(english) - set(prompts.texts()) == {"an aerial image"} and "a bad aerial image" in english
    assert len(prompts.all_texts()) == 34


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"someone/one"', '""', "model.0.repository"),
        ('"main"', '"v1.0"', "model.0.revision"),
        ('"open_clip"', '"ultralytics"', "a scorer comes from open_clip or transformers"),
        ('licence = "MIT"', 'licence = "MIT"\ncolour = "red"', "model.0.colour"),
        ('licence = "MIT"', 'licence = "MIT"\nfolder = "../x"', "a folder inside another"),
        ('licence = "MIT"', 'licence = "MIT"\nadapter = "lora"', "how_to_get has no command for the adapter lora"),
        ('licence = "MIT"', 'licence = "MIT"\nfolder = "models/one"', "a committed model needs weights_sha256"),
    ],
)
def test_a_faulty_model_is_refused_by_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(ENTRY.replace(old, new))
    with pytest.raises(ManifestError, match=f"models.toml: .*{message}"):
        load_models(path)


def test_a_repeated_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(ENTRY * 2)
    with pytest.raises(ManifestError, match=r"\['one'\] named twice"):
        load_models(path)


@pytest.mark.parametrize(
    ("forms", "message"),
    [('["a {noun}", "an image"]', "once in each form"), ('["a {noun}", "a {noun}"]', "occurs twice")],
)
def test_faulty_prompts_are_refused(tmp_path: Path, forms: str, message: str) -> None:
    path = tmp_path / "prompts.toml"
    path.write_text(f'reference = "r"\nnouns = ["x", "y"]\nforms = {forms}\n')
    with pytest.raises(ManifestError, match=message):
        load_prompts(path)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no scorer 'blip2-opt-6\.7b' .*clip-vit-h-14") as refused:
        find_model("blip2-opt-6.7b", "scorer")
    assert "rs-detector" not in str(refused.value)


def test_a_missing_published_model_is_refused_with_the_command_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hf download laion/CLIP-ViT-H-14"):
        check_model("clip-vit-h-14", "scorer", models=str(tmp_path), device="cpu", n_threads=1)


def test_a_models_identity_covers_its_results_and_needs_no_weights() -> None:
    one, two = (model_identity("clip-vit-h-14", SimpleNamespace(n_threads=n)) for n in (1, 2))
    assert (one["revision"], one["precision"]) == ("1c2b8495b28150b8a4922ee1c8edee224c284c0c", "float16")
    assert [name for name in one if one[name] != two[name]] == ["n_threads"]
    assert set(map(type, one.values())) == {str}


def test_captioners_alone_state_the_licence_of_their_language_model(tmp_path: Path) -> None:
    stated = {name: model.language_model_licence for name, model in load_models().items()}
    assert {name for name, licence in stated.items() if licence} == {"blip2-opt-6.7b", "blip2-opt-2.7b", "demo-blip2"}
    assert "non-commercial" in stated["blip2-opt-6.7b"]
    (tmp_path / "models.toml").write_text(
        ENTRY.replace('"scorer"', '"captioner"').replace('"open_clip"', '"transformers"')
    )
    with pytest.raises(ManifestError, match="only captioners state language_model_licence"):
        load_models(tmp_path / "models.toml")
