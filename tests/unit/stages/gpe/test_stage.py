import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from stages.checks import check_outcome
from stages.contract import Context, Params, Stage
from stages.gpe.nltk_packages import SMALL_PACKAGES, PlacePackages
from stages.gpe.place_tagger import PlaceTagger, open_place_tagger
from stages.gpe.stage import LIST_TEXTS, NAME_PLACES, TAG_PLACES, TagParams, TextParams, cut, find_places

ROTTERDAM = "Aerial view of Rotterdam, Netherlands"
CAPTIONS = {
    "cc3m_0_0": ROTTERDAM,
    "coyo700m_0_0": ROTTERDAM,
    "laion2b_0_0": "aerial photo of Paris, France, satellite image of Paris",
    "laion2b_0_1": "12 - 34",
    "laion2b_0_2": "satellite image of old houses",
}


@pytest.fixture(scope="module")
def tagger() -> Iterator[PlaceTagger]:
    with open_place_tagger(PlacePackages((SMALL_PACKAGES,), True)) as opened:
        yield opened


class SpokenTagger:
    """Tags words in upper case as places and words in title case as persons."""

    def tag(self, text: str) -> list[tuple[str, str]]:
        kinds = [("GPE" if w.isupper() else "PERSON", w) for w in text.split()]
        return [(label, word) for label, word in kinds if word[0].isupper()]


def run(
    stage: Stage, inputs: Mapping[str, pa.Table], params: Params | None = None, **tools: Any
) -> list[dict[str, Any]]:
    """Return a stage's kept rows after checking its laws."""
    outcome = stage.run(inputs, Context("whole", params, None, tools, None, None))  # type: ignore[arg-type]
    check_outcome(stage, inputs, outcome)
    assert outcome.rejects.num_rows == 0
    return list(outcome.kept.to_pylist())


def samples(captions: Mapping[str, str] = CAPTIONS) -> dict[str, pa.Table]:
    ids = pa.array(list(captions), pa.string())
    return {
        "relevant": pa.table({"sample_id": ids}),
        "candidate": pa.table({"sample_id": ids, "caption": pa.array(captions.values(), pa.string())}),
    }


def caption_id(caption: str) -> str:
    return hashlib.sha256(caption.encode()).hexdigest()[:32]


def texts(captions: list[str]) -> dict[str, pa.Table]:
    return {"place_text": pa.table({"caption_id": [caption_id(c) for c in captions], "caption": captions})}


def named(captions: list[str], tagger: Any, **params: Any) -> dict[str, list[str | None]]:
    """Return the places of each caption, ordered by n."""
    found: dict[str, list[str | None]] = {caption: [] for caption in captions}
    of_id = {caption_id(caption): caption for caption in captions}
    for row in run(TAG_PLACES, texts(captions), TagParams(**params), place_tagger=tagger):
        names = found[of_id[row["caption_id"]]]
        assert row["n"] == len(names)
        names.append(row["place"])
    return found


def test_each_distinct_caption_is_listed_once() -> None:
    rows = run(LIST_TEXTS, samples(), TextParams())
    assert {row["caption_id"]: row["caption"] for row in rows} == {caption_id(c): c for c in CAPTIONS.values()}
    assert len(rows) == 4


def test_captions_of_removed_samples_are_not_listed() -> None:
    inputs = samples()
    inputs["relevant"] = inputs["relevant"].slice(0, 2)
    assert [row["caption"] for row in run(LIST_TEXTS, inputs, TextParams())] == [ROTTERDAM]


def test_no_samples_give_no_captions_and_no_places() -> None:
    assert run(LIST_TEXTS, samples({}), TextParams()) == []
    none = {"place_text": pa.table({"caption_id": pa.array([], pa.string()), "caption": pa.array([], pa.string())})}
    assert run(TAG_PLACES, none, TagParams(), place_tagger=None) == []


@pytest.mark.parametrize(("n_partitions", "n_digits"), [(256, 2), (16, 1), (4, 1), (1, 1), (4096, 3)])
def test_a_partition_is_named_by_the_leading_digits_of_the_caption(n_partitions: int, n_digits: int) -> None:
    captions = {f"cc3m_0_{n}": f"satellite image {n}" for n in range(200)}
    rows = run(LIST_TEXTS, samples(captions), TextParams(n_partitions=n_partitions))
    for row in rows:
        number = int(row["caption_id"][:8], 16) * n_partitions >> 32
        assert row["partition"] == f"text-{number:0{n_digits}x}"
        assert n_partitions not in (16, 256, 4096) or row["partition"] == f"text-{row['caption_id'][:n_digits]}"
    assert len({row["partition"] for row in rows}) >= min(n_partitions, 100)


def test_a_new_caption_does_not_change_the_partitions_of_others() -> None:
    before = {row["caption_id"]: row["partition"] for row in run(LIST_TEXTS, samples(), TextParams())}
    more = {**CAPTIONS, "laion2b_9_9": "satellite map of Lima, Peru"}
    after = {row["caption_id"]: row["partition"] for row in run(LIST_TEXTS, samples(more), TextParams())}
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + 1


def test_names_are_unique_in_order_of_appearance() -> None:
    caption = "from ROMA over Peter to OSLO and ROMA and OSLO to LIMA"
    assert named([caption], SpokenTagger()) == {caption: ["ROMA", "OSLO", "LIMA"]}


def test_only_entities_with_the_set_labels_are_places() -> None:
    caption = "from ROMA over Peter"
    assert named([caption], SpokenTagger(), labels=("GPE", "PERSON")) == {caption: ["ROMA", "Peter"]}
    assert named([caption], SpokenTagger(), labels=("LOCATION",)) == {caption: [None]}


def test_a_caption_without_a_place_has_one_row_without_a_name() -> None:
    assert named(["satellite image of a river"], SpokenTagger()) == {"satellite image of a river": [None]}


def test_text_without_letters_is_never_tagged() -> None:
    captions = ["", "12 - 34", "🌍🛰️ 🌾", "((((", "40 × 60"]
    assert named(captions, None) == {caption: [None] for caption in captions}


def test_a_long_caption_is_searched_to_its_limit_and_no_further() -> None:
    caption = " ".join(["river"] * 9 + ["ROMA", "OSLO"])
    assert named([caption], SpokenTagger(), max_words=10) == {caption: ["ROMA"]}
    assert named([caption], SpokenTagger(), max_words=11) == {caption: ["ROMA", "OSLO"]}
    assert named([caption], SpokenTagger(), max_characters=len(caption) - 5) == {caption: ["ROMA"]}


def test_a_caption_within_the_limits_is_not_cut() -> None:
    longest = " ".join(["word"] * 3_248)  # the length of RS5M's longest caption
    assert cut(longest, TagParams().max_words, TagParams().max_characters) == longest
    assert cut("a b c", 3, 5) == "a b c"
    assert cut("a b c", 2, 5) == "a b"
    assert cut("abcdef", 3, 4) == "abcd"


def test_the_real_tagger_finds_known_places(tagger: PlaceTagger) -> None:
    assert find_places(ROTTERDAM, tagger, TagParams()) == ("Rotterdam", "Netherlands")
    assert find_places(CAPTIONS["laion2b_0_0"], tagger, TagParams()) == ("Paris", "France")


def test_words_of_a_name_are_joined_by_one_blank(tagger: PlaceTagger) -> None:
    assert "New Zealand" in find_places("aerial view of houses in New   Zealand", tagger, TagParams())


@pytest.mark.parametrize(
    "caption",
    [
        "<b>Aerial view</b> of <a href='http://host/x?y=1&z=2'>Paris</a>",
        "🌍🛰️ satellite image 🌾 of Paris",
        "مشهد satellite image 新港",
        "'''\"\"``..,,;;" * 50 + "a",
        "a" * 40_000,
        "http://" * 2_000,
        "A.B.C. " * 200,
        "\u0301\u200b\ufeffx",
    ],
)
def test_hostile_captions_have_rows(caption: str, tagger: PlaceTagger) -> None:
    (places,) = named([caption], tagger).values()
    assert places == [None] or all(places)


def test_rows_do_not_depend_on_the_partitioning(tagger: PlaceTagger) -> None:
    captions = sorted(set(CAPTIONS.values()))
    together = named(captions, tagger)
    apart = {caption: names for one in captions for caption, names in named([one], tagger).items()}
    assert together == apart


def test_progress_is_reported_for_every_caption() -> None:
    heard: list[int] = []
    inputs = texts(["ROMA", "a", "1"])
    context = Context("whole", TagParams(), None, {"place_tagger": SpokenTagger()}, None, None, heard.append)  # type: ignore[arg-type]
    TAG_PLACES.run(inputs, context)
    assert heard == [1, 2, 3]


def test_each_sample_has_the_places_of_its_caption() -> None:
    inputs = samples()
    names = {ROTTERDAM: ["Rotterdam", "Netherlands"]}
    rows = [
        {"caption_id": caption_id(c), "n": n, "place": place}
        for c in set(CAPTIONS.values())
        for n, place in enumerate(names.get(c, [None]))
    ]
    schema = pa.schema([("caption_id", pa.string()), ("n", pa.int32()), ("place", pa.string())])
    inputs["named_place"] = pa.Table.from_pylist(rows, schema)
    found = run(NAME_PLACES, inputs)
    assert [(r["sample_id"], r["n"], r["place"]) for r in found] == [
        ("cc3m_0_0", 0, "Rotterdam"),
        ("cc3m_0_0", 1, "Netherlands"),
        ("coyo700m_0_0", 0, "Rotterdam"),
        ("coyo700m_0_0", 1, "Netherlands"),
        ("laion2b_0_0", 0, None),
        ("laion2b_0_1", 0, None),
        ("laion2b_0_2", 0, None),
    ]


def test_stages_chain_from_samples_to_places(tagger: PlaceTagger) -> None:
    inputs = samples()
    listed = LIST_TEXTS.run(inputs, Context("whole", TextParams(), None, {}, None, None)).kept  # type: ignore[arg-type]
    tagged = TAG_PLACES.run(
        {"place_text": listed.select(["caption_id", "caption"])},
        Context("text-00", TagParams(), None, {"place_tagger": tagger}, None, None),  # type: ignore[arg-type]
    ).kept
    found = run(NAME_PLACES, {**inputs, "named_place": tagged})
    assert {row["sample_id"] for row in found} == set(CAPTIONS)
    assert [row["place"] for row in found if row["sample_id"] == "laion2b_0_0"] == ["Paris", "France"]
    assert [row["place"] for row in found if row["sample_id"] == "laion2b_0_1"] == [None]
