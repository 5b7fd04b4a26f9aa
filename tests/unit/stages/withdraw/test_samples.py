"""Samples that a withdrawal or a hash list names are listed whatever became of them, and named nowhere else."""

from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from stages.checks import check_outcome
from stages.contract import Context, Outcome, Stage
from stages.shard.crosswalk import WRITE_CROSSWALK
from stages.withdraw.samples import LIST_BARRED
from tests.contract.handmade import samples_of

LABELLED = "millionaid_P0000001"
WEB = [f"cc3m_0_{n}" for n in range(6)]
ROWS: dict[str, list[dict[str, Any]]] = {
    "sample": samples_of({**{name: f"i{n}" for n, name in enumerate(WEB)}, LABELLED: LABELLED}),
    "planned": [
        {"sample_id": name, "normalised_url": f"http://h{n % 2}.org/{n}", "host": f"h{n % 2}.org"}
        for n, name in enumerate(WEB)
    ],
    # The body of i4 is no picture: screen refused it. i5 was refused as it was fetched.
    "fetched": [{"fetch_id": f"i{n}", "body_sha256": f"{n}" * 64} for n in range(5)],
    "image": [
        {"image_id": name, "body_sha256": digit * 64, "body_md5": digit * 32, "published_sha256": other * 64,
         "pixel_sha256": "e" * 64, "phash": n}
        for n, (name, digit, other) in enumerate(
            (("i0", "0", "a"), ("i1", "1", "b"), ("i2", "2", "c"), ("i3", "3", "d"), (LABELLED, "7", "f"))
        )
    ],
}  # fmt: skip


def run(stage: Stage, **rows: list[dict[str, Any]]) -> Outcome:
    inputs = {
        reads.name: pa.Table.from_pylist(
            rows.get(reads.name, ROWS.get(reads.name, [])), pa.schema([(n, FIELD[n].type) for n in reads.columns])
        )
        for reads in stage.reads
    }
    outcome = stage.run(inputs, Context("whole", None, None, {}, None, None))  # type: ignore[arg-type]
    check_outcome(stage, inputs, outcome)
    return outcome


def barred(**rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["sample_id"]: row["barred_by"] for row in run(LIST_BARRED, **rows).kept.to_pylist()}


@pytest.mark.parametrize(
    ("kind", "entry", "names"),
    [
        ("sample_id", "cc3m_0_5", ["cc3m_0_5"]),
        ("sample_id", "millionaid_P0000001", ["millionaid_P0000001"]),
        ("sample_id", "cc3m_0_99", []),
        ("url", "http://h1.org/3", ["cc3m_0_3"]),
        ("host", "h1.org", ["cc3m_0_1", "cc3m_0_3", "cc3m_0_5"]),
        ("sha256", "4" * 64, ["cc3m_0_4"]),
        ("sha256", "a" * 64, ["cc3m_0_0"]),
        ("phash", f"{4:016x}", ["millionaid_P0000001"]),
    ],
)
def test_each_kind_of_entry_lists_its_samples_published_or_not(kind: str, entry: str, names: list[str]) -> None:
    assert barred(withdrawal=[{"entry_kind": kind, "entry": entry}]) == dict.fromkeys(names, "withdrawn")


def test_listed_hashes_are_compared_with_hashes_of_their_kind_only() -> None:
    listed = [{"hash_kind": "md5", "hash": "1" * 32}, {"hash_kind": "sha256", "hash": "d" * 64}]
    assert barred(listed_hash=listed) == {"cc3m_0_1": "hash_listed", "cc3m_0_3": "hash_listed"}
    assert barred(listed_hash=[{"hash_kind": "sha256", "hash": "1" * 32}, {"hash_kind": "md5", "hash": "2" * 64}]) == {}


def test_a_file_that_was_refused_as_it_was_fetched_is_listed() -> None:
    refused = [{"fetch_id": "i5", "reason": "hash_listed"}, {"fetch_id": "i4", "reason": "not_found"}]
    assert barred(fetched_rejects=refused) == {"cc3m_0_5": "hash_listed"}


def test_the_crosswalk_has_no_url_and_no_name_of_a_barred_sample() -> None:
    candidates = [
        {"sample_id": name, "part": 0, "source_row": n, "native_id": f"id {n}", "native_hash": f"hash {n}",
         "url": f"http://x/{n}"} for n, name in enumerate(WEB)
    ]  # fmt: skip
    found = run(
        WRITE_CROSSWALK,
        candidate=candidates,
        labelled_image=[{"sample_id": "millionaid_P0000001", "path": "millionaid/P0000001.jpg"}],
        barred_sample=[
            {"sample_id": "cc3m_0_1", "barred_by": "withdrawn"},
            {"sample_id": "millionaid_P0000001", "barred_by": "hash_listed"},
            {"sample_id": "laion2b_0_0", "barred_by": "withdrawn"},  # of another partition
        ],
    )
    assert found.kept["sample_id"].to_pylist() == [name for name in WEB if name != "cc3m_0_1"]
    rejects = found.rejects.to_pylist()
    assert {row["sample_id"]: row["reason"] for row in rejects} == {
        "cc3m_0_1": "withdrawn",
        "millionaid_P0000001": "hash_listed",
    }
    said = str([*found.kept.to_pylist(), *rejects])
    assert all(name not in said for name in ("http://x/1", "id 1", "hash 1", "P0000001.jpg"))
