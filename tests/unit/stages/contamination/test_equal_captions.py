import pyarrow as pa

from schemas.tables import SAMPLE
from stages.checks import check_outcome
from stages.contamination.equal_captions import FIND_CAPTIONS
from stages.contract import Context
from tests.contract.handmade import samples_of


def test_equal_captions_are_listed_regardless_of_case_and_final_full_stops() -> None:
    captions = {"cc3m_0_0": "A  Lake.", "cc3m_0_1": "a lake and more", "cc3m_0_2": "a lake"}
    spine = samples_of({"cc3m_0_0": "0", "cc3m_0_1": "1", "cc3m_0_2": None})
    inputs = {
        "sample": pa.Table.from_pylist(spine, SAMPLE.schema).select(["sample_id", "image_id"]),
        "image": pa.table({"image_id": ["0", "1"]}),
        "candidate": pa.table({"sample_id": list(captions), "caption": list(captions.values())}),
        "evaluation_caption": pa.table(
            {"evaluation_set": ["ucm"], "evaluation_split": ["test"], "evaluation_caption": ["a lake"]}
        ),
    }
    outcome = FIND_CAPTIONS.run(inputs, Context("whole", None, None, {}, None, None))  # type: ignore[arg-type]
    check_outcome(FIND_CAPTIONS, inputs, outcome)
    assert [row["sample_id"] for row in outcome.kept.to_pylist()] == ["cc3m_0_0"]
