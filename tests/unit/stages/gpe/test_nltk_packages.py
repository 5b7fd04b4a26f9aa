import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flows.demo.models import nltk_quality, nltk_small
from stages.contract import InputError
from stages.gpe import nltk_packages
from stages.gpe.nltk_packages import (
    FILES,
    SMALL_PACKAGES,
    PlacePackages,
    file_digests,
    find_packages,
    packages_identity,
    read_digests,
)
from stages.gpe.place_tagger import open_place_tagger
from stages.gpe.stage import PLACE_TAGGER, TagParams, find_places, packages_in_use

ROOT = Path(__file__).parents[4]
NLTK_DATA = os.environ.get("NLTK_DATA", "")
CAPTION = "Aerial view of Rotterdam, Netherlands. Photo by Anna Halsen for Getty Images."


@pytest.fixture(autouse=True)
def _no_nltk_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NLTK_DATA", raising=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A private folder with the small packages in NLTK's layout."""
    folder = tmp_path / "nltk_data"
    shutil.copytree(SMALL_PACKAGES, folder)
    _set_mode(folder, 0o755, 0o644)
    return folder


def _set_mode(folder: Path, folders: int, files: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(folders if path.is_dir() else files)


def _zip(folder: Path, package: str) -> None:
    with zipfile.ZipFile(folder / f"{package}.zip", "w") as archive:
        for name in FILES[package]:
            archive.write(folder / package / name, f"{Path(package).name}/{name}")
    shutil.rmtree(folder / package)


def test_without_nltk_data_the_small_packages_are_used_and_reported() -> None:
    packages = find_packages()
    assert packages == PlacePackages((SMALL_PACKAGES,), True)
    assert "demonstration" in packages_in_use()
    assert PLACE_TAGGER.identity(TagParams())["packages"] == "small"


def test_small_packages_are_small_and_match_their_digests() -> None:
    assert file_digests(SMALL_PACKAGES) == read_digests(SMALL_PACKAGES)
    assert sum(path.stat().st_size for path in SMALL_PACKAGES.rglob("*") if path.is_file()) < 1_000_000


def test_nltk_data_is_used_and_reported(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLTK_DATA", str(copied))
    assert find_packages() == PlacePackages((copied,), False)
    assert "NLTK_DATA" in packages_in_use()
    assert PLACE_TAGGER.identity(TagParams())["packages"] == "NLTK_DATA"


@pytest.mark.parametrize("package", FILES)
def test_a_missing_package_is_named(package: str, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(copied / package)
    monkeypatch.setenv("NLTK_DATA", str(copied))
    with pytest.raises(InputError, match=rf"lacks {package}: expected .* unset NLTK_DATA"):
        find_packages()


def test_a_package_that_lacks_a_file_is_missing(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / "chunkers/maxent_ne_chunker_tab/english_ace_multiclass/weights.txt").unlink()
    monkeypatch.setenv("NLTK_DATA", str(copied))
    with pytest.raises(InputError, match="lacks chunkers/maxent_ne_chunker_tab"):
        packages_in_use()


def test_a_missing_package_is_not_taken_from_another_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="lacks tokenizers/punkt_tab, taggers"):
        find_packages()


def test_packages_may_be_in_several_folders(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = packages_identity(PlacePackages((copied,), False))
    (tmp_path / "other").mkdir(mode=0o755)
    shutil.move(copied / "taggers", tmp_path / "other/taggers")
    monkeypatch.setenv("NLTK_DATA", f"{copied}{os.pathsep}{tmp_path / 'other'}")
    assert packages_identity(find_packages()) == whole
    with open_place_tagger(find_packages()) as tagger:
        assert find_places(CAPTION, tagger, TagParams()) == ("Rotterdam", "Netherlands")


def test_a_zipped_package_is_read(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = packages_identity(PlacePackages((copied,), False))
    for package in FILES:
        _zip(copied, package)
    monkeypatch.setenv("NLTK_DATA", str(copied))
    assert packages_identity(find_packages()) == whole
    with open_place_tagger(find_packages()) as tagger:
        assert find_places(CAPTION, tagger, TagParams()) == ("Rotterdam", "Netherlands")


def test_a_broken_zip_is_named(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _zip(copied, "corpora/words")
    (copied / "corpora/words.zip").write_bytes(b"no zip")
    monkeypatch.setenv("NLTK_DATA", str(copied))
    with pytest.raises(InputError, match=r"words\.zip is not a complete NLTK package"):
        packages_in_use()


def test_a_changed_file_changes_the_identity(copied: Path) -> None:
    packages = PlacePackages((copied,), False)
    before = packages_identity(packages)
    path = copied / "corpora/words/en-basic"
    path.write_text(path.read_text() + "zebra\n")
    assert packages_identity(packages) != before


def test_changed_small_packages_are_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk_packages, "SMALL_PACKAGES", copied)
    assert find_packages().is_small
    (copied / "corpora/words/en-basic").write_text("zebra\n")
    with pytest.raises(InputError, match="differs from its SHA256SUMS"):
        find_packages()
    shutil.rmtree(copied / "taggers")
    with pytest.raises(InputError, match="differs from its SHA256SUMS"):
        find_packages()


def test_a_world_writable_checkout_still_works(copied: Path) -> None:
    _set_mode(copied, 0o777, 0o666)
    with open_place_tagger(PlacePackages((copied,), True)) as tagger:
        assert find_places(CAPTION, tagger, TagParams()) == ("Rotterdam", "Netherlands")


def test_world_writable_nltk_data_is_refused_with_the_remedy(copied: Path) -> None:
    _set_mode(copied, 0o777, 0o666)
    with (
        pytest.raises(InputError, match=r"no other account can write .*chmod -R go-w"),
        open_place_tagger(PlacePackages((copied,), False)),
    ):
        pass


def test_damaged_contents_are_an_input_error(copied: Path) -> None:
    (copied / "chunkers/maxent_ne_chunker_tab/english_ace_multiclass/weights.txt").write_text("no number\n")
    with pytest.raises(InputError, match="NLTK cannot load"), open_place_tagger(PlacePackages((copied,), False)):
        pass


def test_loading_leaves_nltk_as_it_was() -> None:
    import nltk.data

    before = list(nltk.data.path)
    with open_place_tagger(find_packages()):
        assert nltk.data.path == before


def test_the_loaded_models_give_nltks_results(copied: Path) -> None:
    with open_place_tagger(find_packages()) as tagger:
        ours = tagger.tag(CAPTION)
    code = (
        "from nltk import ne_chunk, pos_tag, word_tokenize\n"
        f"tree = ne_chunk(pos_tag(word_tokenize({CAPTION!r})))\n"
        "print([(c.label(), ' '.join(w for w, _ in c)) for c in tree if not isinstance(c, tuple)])"
    )
    environment = {**os.environ, "NLTK_DATA": str(copied)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(ours)
    assert ("GPE", "Rotterdam") in ours


def test_an_identity_does_not_import_nltk() -> None:
    code = (
        "import sys; from stages.gpe.stage import PLACE_TAGGER, TagParams;"
        "print(PLACE_TAGGER.identity(TagParams())['packages'], 'nltk' in sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NLTK_DATA"}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == "small False\n"


def test_small_packages_beat_the_capitalisation_rule_on_unseen_sentences() -> None:
    examples = nltk_quality.generated(300)
    with open_place_tagger(find_packages()) as tagger:
        precision, recall = nltk_quality.score(examples, lambda text: find_places(text, tagger, TagParams()))
    rule_precision, rule_recall = nltk_quality.score(examples, nltk_quality.capitalised)
    assert precision > 0.65 and recall > 0.65
    f1, rule_f1 = (2 * p * r / (p + r) for p, r in ((precision, recall), (rule_precision, rule_recall)))
    assert f1 > rule_f1 + 0.05


def test_the_trainer_writes_packages_that_nltk_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk_small, "N_SENTENCES", 300)
    nltk_small.train(tmp_path)
    assert file_digests(tmp_path) == read_digests(tmp_path)
    with open_place_tagger(PlacePackages((tmp_path,), True)) as tagger:
        assert ("GPE", "Paris") in tagger.tag("aerial view of Paris")


def _has_real_packages() -> bool:
    folders = [Path(part) for part in NLTK_DATA.split(os.pathsep) if part]
    return bool(folders) and any(file_digests(folder) for folder in folders)


@pytest.mark.skipif(not _has_real_packages(), reason="NLTK_DATA names no folder with NLTK's own packages")
def test_nltks_own_packages_find_well_known_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLTK_DATA", NLTK_DATA)
    with open_place_tagger(find_packages()) as tagger:
        places = find_places(CAPTION, tagger, TagParams())
        assert {"Rotterdam", "Netherlands"} <= set(places)
        assert ("PERSON", "Anna Halsen") in tagger.tag(CAPTION)
