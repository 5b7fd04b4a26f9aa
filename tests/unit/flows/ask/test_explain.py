import pytest

from flows.ask.explain import explain, filter_reason
from stages.contract import InputError
from stages.filter.filtering import Search
from stages.filter.strict import StrictRules
from stages.withdraw.entries import read_entry
from tests.small_build import FATES, Build

# These stages decide on files, not on samples.
OF_FILES = {"list_sources", "list_evaluation", "hash_evaluation", "describe_evaluation", "locate_evaluation"}
OF_PAIRS = {"compare_pairs", "compare_candidates"}  # not every picture has a pair
OF_LABELLED = {"read_labelled", "draw_captions", "rank_captions", "choose_captions"}


def test_explain_shows_what_every_stage_did_with_a_kept_sample(finished: Build) -> None:
    text = "\n".join(explain(finished.ledger(), "cc3m_0_0", None))
    stages = [line.split(":")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert text.startswith("sample cc3m_0_0: published in pub11-") and stages.pop(1) == "its picture"
    order = [stage.name for stage in finished.stages]
    assert stages[1:] == sorted(stages[1:], key=order.index)
    deciding = {s.name for s in finished.stages if s.reasons and s.name not in OF_FILES | OF_PAIRS} - OF_LABELLED
    assert deciding <= set(stages)
    for fact in ("keywords = ['Google Earth']", "http_status = 200", "width_px = 64", "phash = ", "shard = pub11-"):
        assert fact in text
    assert "REJECTED" not in text


def test_explain_writes_perceptual_hashes_as_withdraw_reads_them(finished: Build) -> None:
    image_id, phash = (finished.rows("image", ("image_id", "phash"))[0][name] for name in ("image_id", "phash"))
    sample_id = next(
        row["sample_id"] for row in finished.rows("sample", ("sample_id", "image_id")) if row["image_id"] == image_id
    )
    text = "\n".join(explain(finished.ledger(), sample_id, None))
    assert f"phash = {phash:016x}\n" in text and f"phash_orientations = ['{phash:016x}', " in text
    assert read_entry(f"{phash:016x}") == ("phash", f"{phash:016x}")


def test_explain_does_not_offer_a_picture_that_show_refuses(finished: Build) -> None:
    marked = finished.with_settings(shard={"max_punsafe_of": {"coyo700m": 0.0}})
    lines = explain(marked.ledger(), "coyo700m_0_5", None)
    assert "its picture is not shown: the sample is withdrawn, on a hash list or marked" in lines[1]
    assert "make show" not in "\n".join(lines)


def test_a_caption_that_is_only_markup_is_no_caption() -> None:
    row = {"source_caption": "%3Cimg+src%3D%22usgs.gif%22%3E", "searched_text": ""}
    assert filter_reason(row, Search(("USGS",), StrictRules()), 1.0) == "no_caption"


@pytest.mark.parametrize("sample_id", [name for name, (_, reason) in FATES.items() if reason])
def test_explain_names_the_stage_and_the_reason_of_a_rejected_sample(finished: Build, sample_id: str) -> None:
    stage, reason = FATES[sample_id]
    lines = explain(finished.ledger(), sample_id, None)
    rejected = [line for line in lines if "REJECTED" in line]
    assert len(rejected) == 1 and rejected[0].startswith(f"{stage}: REJECTED\n")
    assert f"reason = {reason}" in rejected[0]
    assert lines[-1] == rejected[0], "no stage follows"
    assert lines[0].startswith(f"sample {sample_id}: rejected by {stage}: {reason}"), "the verdict comes first"


@pytest.mark.parametrize(
    ("sample_id", "reason", "fact"),
    [
        ("laion2b_0_3", "no_keyword", "source_caption = 'a cat'"),
        ("laion2b_0_4", "no_caption", "url = 'http://"),
        ("laion2b_0_5", "no_url", ""),
        ("cc3m_0_8", "no_keyword", "source_caption = 'a horse'"),
        ("cc3m_0_9", "invalid_utf8", "0xff"),
        ("cc3m_0_10", "wrong_field_count", ""),
    ],
)
def test_explain_reads_the_source_again_for_a_row_that_never_matched(
    finished: Build, sample_id: str, reason: str, fact: str
) -> None:
    text = "\n".join(explain(finished.ledger(), sample_id, finished.sources))
    assert f"reason = {reason}" in text and fact in text


@pytest.mark.parametrize("sample_id", ["laion2b_9_0", "nothing", "redcaps_0_1", "laion2b_0_x"])
def test_explain_of_an_unknown_id_describes_the_form_of_ids(finished: Build, sample_id: str) -> None:
    with pytest.raises(InputError, match=r"expected <corpus>_<part>_<row> of a listed file, such as cc3m_0_0"):
        explain(finished.ledger(), sample_id, finished.sources)


def test_explain_of_an_unknown_labelled_image_names_one_of_its_corpus(finished: Build) -> None:
    with pytest.raises(InputError, match="expected the name of an image of fmow, such as fmow_"):
        explain(finished.ledger(), "fmow_nowhere_0_0_rgb", finished.sources)


def test_explain_of_an_unmatched_row_needs_the_sources(finished: Build) -> None:
    with pytest.raises(InputError, match=r"set SOURCES=… to read its row again from laion2b/part-00000-a\.parquet"):
        explain(finished.ledger(), "laion2b_0_3", None)
