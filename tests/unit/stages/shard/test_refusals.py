"""Each refused sample has one reason, the first that applies, with a detail that a person can follow."""

from pathlib import Path

import pyarrow as pa

from stages.shard.dealing import ShardParams
from stages.shard.refusals import refuse
from stages.shard.stage import PLAN_SHARDS
from tests.contract.inputs import call_stage


def test_a_contaminated_sample_names_an_evaluation_picture_and_how_it_was_found(tmp_path: Path) -> None:
    inputs, _ = call_stage(PLAN_SHARDS, tmp_path)
    web = [{**row, "half": "pub11", "body_sha256": "sha"} for row in inputs["relevant"].to_pylist()]
    stated = pa.table({name: pa.array([], pa.string()) for name in ("sample_id", "published_sha256")})
    inputs = {**inputs, "withdrawal": inputs["withdrawal"].slice(0, 0)}
    found = refuse(pa.Table.from_pylist(web), inputs, ShardParams(nsfw="keep"), stated).to_pylist()
    details = {row["sample_id"]: row["detail"] for row in found if row["reason"] == "contaminated"}
    assert details == {
        "coyo700m_0_1": "beta test: a/1.png by phash at 2.0, and 1 more",
        "cc3m_0_2": f"alpha train: {'a' * 114}/2.png by keypoints in 48 places",
    }
