import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.corpora import LABELLED_CODES
from schemas.manifest_files import ManifestError
from schemas.template_manifests import TEMPLATE_FIELDS, Templates, load_templates
from stages.geometa.facts import date_words, decimal, label_words, listed, tag_words, word_facts, zone_words
from stages.geometa.sentences import Composer

TEMPLATES = load_templates()
COMPOSER = Composer(TEMPLATES, "meta")
FACTS: Mapping[str, str] = {
    "label": "crop field", "cells": "centre and top left", "city": "Refrontolo", "country": "Italy", "season": "autumn",
    "date": "3 October 2014", "time_utc": "10:32", "gsd": "0.47", "utm_zone": "33 north", "cloud_cover": "15",
    "scan_direction": "reverse", "target_azimuth": "337.9", "off_nadir": "21.8", "tags": "river, fishing",
}  # fmt: skip
TOLD = {
    "fmow": set(TEMPLATE_FIELDS) - {"tags"},
    "ben": {"label", "season", "country", "utm_zone", "date"},
    "yfcc15m": {"city", "country", "season", "date"},
    "cc3m": {"tags"},
}
ROW = {
    "sample_id": "fmow_crop_field_1_0_rgb", "corpus": "fmow", "labels": ["crop_field"], "city": "Washington, D.C.",
    "country_name": None, "taken_at": "2014-10-03T10:32:22Z", "gsd_m": 0.4681,
}  # fmt: skip


def captions(corpus: str, facts: Mapping[str, str]) -> list[str]:
    return [caption for caption in COMPOSER.compose_all(corpus, facts) if caption is not None]


def assert_well_formed(caption: str) -> None:
    assert not re.search(r"none|nan|null|[{}]|\(\s*\)|\s\s|[:;,(]\s*[.,;:)]|\s[.,;:)]|\.\.", caption, re.I), caption
    assert caption == caption.strip() and caption.endswith(".") and not caption.endswith(("..", ",.", ";.", ":."))
    assert not caption[0].islower() and caption.count("(") == caption.count(")"), caption


@given(st.sampled_from(sorted(COMPOSER.corpora)), st.sets(st.sampled_from(TEMPLATE_FIELDS)))
def test_captions_state_known_facts_and_omit_missing_ones(corpus: str, known: set[str]) -> None:
    found = captions(corpus, {field: FACTS[field] for field in known})
    for caption in found:
        assert_well_formed(caption)
        for field in set(FACTS) - known:
            assert FACTS[field] not in caption
    reported = TOLD.get(corpus, TOLD["yfcc15m"]) & known
    has_words = reported - {"time_utc"}  # an hour without its date is omitted
    assert len(found) == (len(COMPOSER.compose_all(corpus, FACTS)) if has_words else 0)
    for caption in found:
        assert all(FACTS[field].lower() in caption.lower() for field in has_words), (caption, has_words)


def test_each_corpus_has_several_templates_for_its_own_fields() -> None:
    for corpus, fields in TOLD.items():
        found = captions(corpus, FACTS)
        assert len(set(found)) == len(found) >= 3
        for caption in found:
            assert {field for field in TEMPLATE_FIELDS if FACTS[field].lower() in caption.lower()} == fields
    assert "millionaid" not in COMPOSER.corpora


def test_signs_and_units_are_right() -> None:
    for caption in captions("fmow", FACTS):
        assert "337.9°" in caption and "21.8°" in caption and "15%" in caption and "0.47 m" in caption
        assert "UTM zone 33 north" in caption and "?" not in caption
        assert_well_formed(caption)


def test_the_variant_depends_only_on_the_sample_id_and_the_seed() -> None:
    ids = [f"fmow_crop_field_{n}_0_rgb" for n in range(300)]
    found = [COMPOSER.compose(sample_id, "fmow", FACTS) for sample_id in ids]
    assert found == [Composer(TEMPLATES, "meta").compose(sample_id, "fmow", FACTS) for sample_id in ids]
    assert found != [Composer(TEMPLATES, "other").compose(sample_id, "fmow", FACTS) for sample_id in ids]
    counts = [found.count(caption) for caption in COMPOSER.compose_all("fmow", FACTS)]
    assert sum(counts) == 300 and min(counts) > 60


def test_a_corpus_without_templates_and_a_sample_without_facts_have_no_caption() -> None:
    assert COMPOSER.compose("millionaid_P0000001", "millionaid", FACTS) is None
    assert COMPOSER.compose("fmow_a_1_0_rgb", "fmow", {}) is None
    assert COMPOSER.compose("yfcc15m_1", "yfcc15m", {"utm_zone": "33 north"}) is None


def test_full_stops_are_not_doubled_and_braces_in_values_are_text() -> None:
    for caption in captions("yfcc15m", {"city": "Washington, D.C."}):
        assert caption.endswith("Washington, D.C.")
    for caption in captions("fmow", {"label": "{city}"}):
        assert "{city}" in caption


def test_known_facts_are_worded_and_unknown_ones_omitted() -> None:
    facts = word_facts(ROW | {"cloud_cover_percent": float("nan"), "scan_direction": " ", "box_cells": []}, 0.9, 3)
    assert facts == {
        "label": "crop field", "city": "Washington, D.C.", "date": "3 October 2014", "time_utc": "10:32", "gsd": "0.47",
    }  # fmt: skip


def test_an_hour_without_a_time_zone_is_not_stated_as_utc() -> None:
    assert "time_utc" not in word_facts(ROW | {"taken_at": "2014-10-03T10:32:22"}, 0.9, 3)
    assert "time_utc" not in word_facts(ROW | {"taken_at": "2014-10-03"}, 0.9, 3)


def test_words_of_single_facts() -> None:
    assert label_words(["single-unit_residential"], "fmow") == "single-unit residential"
    assert label_words(["Pastures", "Moors, heathland"], "ben") == "pastures; moors, heathland"
    assert label_words(None, "ben") == label_words([], "fmow") == label_words([None, ""], "ben") == ""
    assert [listed(words) for words in (None, [], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "", "", "a", "a and b", "a, b and c",
    ]  # fmt: skip
    assert (date_words("2012-04-02"), date_words(None)) == ("2 April 2012", None)
    assert (zone_words(32, "N"), zone_words(19, "S"), zone_words(None, None)) == ("32 north", "19 south", None)
    numbers = [0.46807, 2.0, 10.0, 0.0, -0.001, 100.0, None, float("inf")]
    assert [decimal(value, 2) for value in numbers] == ["0.47", "2", "10", "0", "0", "100", None, None]
    assert decimal(100.0, 0) == "100"


@pytest.mark.parametrize(
    ("tags", "probs", "expected"),
    [
        (["a", "b", "c", "d"], [0.9, 0.99, 0.95, 0.93], "b, c, d"),
        (["a", "b"], [0.5, 0.7], "b"),
        (["a", "b", "c"], [0.95, 0.2, 0.95], "a, c"),
        (["a", "b"], [float("nan"), 0.1], "b"),
        (["a"], [float("nan")], ""),
        (["a", "b"], [0.9], None),
        (["a"], None, None),
        ([], [], None),
        (None, None, None),
    ],
)
def test_tags_above_the_threshold_are_stated_or_else_the_most_probable(
    tags: list[str] | None, probs: list[float] | None, expected: str | None
) -> None:
    assert tag_words(tags, probs, 0.9, 3) == expected


@pytest.mark.parametrize(
    ("group", "fault"),
    [
        ('corpora = ["fmow"]\nvariant = [[{ stem = ["In {town}", "x"] }]]', "unknown fields"),
        ('corpora = ["fmow"]\nvariant = [[{ clauses = [["in  {city}"]] }]]', "double spaces"),
        ('corpora = ["fmow"]\nvariant = [[{ clauses = [["{{city}"]] }]]', "fields|braces"),
        ('corpora = ["fmow"]\nvariant = [[{ stem = ["In {city}"] }]]', "last alternative"),
        ('corpora = ["fmow"]\nvariant = [[{ stem = ["x"], clauses = [["always"]] }]]', "belongs in the stem"),
        ('corpora = ["fmow"]\nvariant = [[{ stem = ["x"] }]]', "at least one field"),
        ('corpora = ["mars"]\nvariant = [[{ clauses = [["{city}"]] }]]', "unknown corpora"),
        ('corpora = ["fmow", "fmow"]\nvariant = [[{ clauses = [["{city}"]] }]]', "two groups"),
    ],
)
def test_a_template_that_could_print_nonsense_is_refused(tmp_path: Path, group: str, fault: str) -> None:
    path = tmp_path / "templates.toml"
    path.write_text(f'reference = "x"\n[[group]]\n{group}\n')
    with pytest.raises(ManifestError, match=fault):
        load_templates(path)


def test_every_corpus_with_facts_has_templates() -> None:
    assert isinstance(TEMPLATES, Templates)
    assert COMPOSER.corpora >= {"fmow", "ben", "yfcc15m", "cc3m"}
    assert set(LABELLED_CODES) - COMPOSER.corpora == {"millionaid"}
