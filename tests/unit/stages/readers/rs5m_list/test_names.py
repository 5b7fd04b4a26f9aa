import pytest

from stages.contract import InputError
from stages.readers.rs5m_list.names import NameFault, check_alone, sample_corpora, sample_id_of


@pytest.mark.parametrize(
    ("name", "sample_id"),
    [
        ("laion2b_0_0", "laion2b_0_0"), ("laion2b_0_0.jpg", "laion2b_0_0"), (" CC3M_1_2.JPEG", "cc3m_1_2"),
        ("coyo_3_4", "coyo700m_3_4"), ("coyo700m_3_4", "coyo700m_3_4"), ("yfcc14m_0_9", "yfcc15m_0_9"),
        ("yfcc15m_7", "yfcc15m_7"), ("redcaps_2017_abc-d", "redcaps_2017_abc-d"), ("vg_1.png", "vg_1"),
        *((f"{code}_1", f"{code}_1") for code in ("laion400m", "laioncoco", "wit", "cc12m", "sbu")),
    ],
)  # fmt: skip
def test_the_prefix_of_a_name_determines_the_corpus(name: str, sample_id: str) -> None:
    assert sample_id_of(name) == sample_id


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (None, "bad_record"), ("", "bad_record"), (" ", "bad_record"), ("laion2b", "bad_record"),
        ("laion2b_", "bad_record"), ("laion2b_../x", "bad_record"), ("laion2b_0\x00", "bad_record"),
        ("laion2b_0\n1", "bad_record"), ("laion2b_0.1.jpg", "bad_record"), ("laion2b_é", "bad_record"),
        ("laion2b_" + "1" * 101, "bad_record"), ("datanet_0_1", "unknown_corpus"), ("rs5m_0_1", "unknown_corpus"),
        ("millionaid_P0000001.jpg", "labelled_sample"),
    ],
)  # fmt: skip
def test_a_name_that_names_no_sample_has_a_reason(name: str | None, reason: str) -> None:
    found = sample_id_of(name)
    assert isinstance(found, NameFault) and found.reason == reason and found.detail


def test_a_list_has_samples_of_all_web_corpora_and_other_files_of_their_own() -> None:
    assert sample_corpora(["cc3m", "cc3m", "fmow"]) == {"cc3m", "fmow"}
    listed = sample_corpora(["rs5m"])
    assert {"rs5m", "laion2b", "wit", "datacomp"} <= listed and not {"fmow", "ben", "rs5mrs3"} & listed
    assert sample_corpora(["rs5mrs3"]) == {"rs5mrs3", "fmow", "ben", "millionaid"}


def test_a_list_can_only_be_combined_with_labelled_corpora() -> None:
    check_alone(["rs5m", "rs5m", "fmow", "ben"])
    check_alone(["laion2b", "cc3m"])
    with pytest.raises(InputError, match="source files of cc3m: sample_ids would collide"):
        check_alone(["rs5m", "cc3m", "fmow"])
