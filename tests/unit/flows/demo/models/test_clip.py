"""Training scenes are determined by their seed, have a small vocabulary, and never contain held-out pairs."""

from pathlib import Path

from flows.demo.models.__main__ import keep_section
from flows.demo.models.scenes import HELD_OUT, SIDES_PX, Scene, draw_scene
from flows.demo.world.drawings import FROM_ABOVE, KINDS

N = 400


def _words(scene: Scene) -> set[str]:
    return {word for caption in scene.captions for word in caption.replace(":", "").replace(",", "").split()}


def test_a_seed_gives_one_scene() -> None:
    one, two = draw_scene(5), draw_scene(5)
    assert (one.image.tobytes(), one.captions, one.facts) == (two.image.tobytes(), two.captions, two.facts)
    assert draw_scene(6).image.tobytes() != one.image.tobytes()


def test_scenes_are_rgb_of_the_worlds_sizes_and_kinds_in_simple_words() -> None:
    scenes = [draw_scene(seed) for seed in range(N)]
    assert {scene.image.mode for scene in scenes} == {"RGB"}
    assert {scene.image.width for scene in scenes} == set(SIDES_PX)
    assert {scene.kind for scene in scenes} == set(KINDS)
    assert all(scene.is_from_above == (scene.kind in FROM_ABOVE) for scene in scenes)
    assert all(caption == caption.lower().strip() for scene in scenes for caption in scene.captions)
    assert 150 <= len(set.union(*map(_words, scenes))) <= 300


def test_held_out_pairs_only_occur_in_held_out_scenes() -> None:
    usual = {(scene.kind, element) for scene in map(draw_scene, range(N)) for element in scene.facts.elements}
    apart = [draw_scene(seed, is_held_out=True) for seed in range(N)]
    assert not usual & HELD_OUT
    assert {(scene.kind, element) for scene in apart for element in scene.facts.elements} == HELD_OUT


def test_a_section_replaces_its_older_version_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "QUALITY.md"
    for section in ("## b\nold", "## a\nfirst\n", "## b\n\nnew"):
        keep_section(path, section)
    text = path.read_text()
    assert text.startswith("# ")
    assert text.endswith("## a\nfirst\n\n## b\n\nnew\n")
    assert "old" not in text
