"""The stage of dedup that sums up the keypoints of each picture, to find pairs without a model."""

from typing import Any

import pyarrow as pa

from schemas.tables import KEYPOINT_SUMMARY
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage
from stages.dedup.identities import SUMMARIES
from stages.dedup.pairs import Described, describe_picture
from stages.dedup.settings import DescribeParams, off_without_summaries
from stages.embed.located import LOCATED, load_located, refuse
from stages.images.not_decoded import NotDecoded


def summarise_keypoints(inputs: Inputs, context: Context) -> Outcome:
    """Return summary and codes of each picture's keypoints, and hashes of its inside; reject those not decoded."""
    from stages.dedup.codes import encode_keypoints

    kept: list[dict[str, Any]] = []
    refused: list[tuple[str, str, str]] = []
    for row in sorted(inputs["picture"].to_pylist(), key=lambda row: str(row["pixel_sha256"])):
        found = load_located(row, context.files, describe_picture)
        if isinstance(found, NotDecoded):
            refused.append((row["pixel_sha256"], "decoding_failed", str(found)))
        else:
            codes = encode_keypoints(found[0])
            kept.append({"pixel_sha256": row["pixel_sha256"], **sum_up(found), "keypoint_codes": codes})
        context.advance(len(kept) + len(refused))
    return Outcome(pa.Table.from_pylist(kept, KEYPOINT_SUMMARY.schema), refuse(KEYPOINT_SUMMARY, refused))


def sum_up(described: Described) -> dict[str, Any]:
    """Return keypoint_summary, window_hashes and window_details of a picture, by which its copies are searched for."""
    from stages.dedup.summary import summarise

    keypoints, windows = described
    return {
        "keypoint_summary": summarise(keypoints),
        "window_hashes": windows.hashes.tolist(),
        "window_details": windows.details.tolist(),
    }


SUMMARISE_KEYPOINTS = Stage(
    name="summarise_keypoints",
    module="dedup",
    version=8,
    does="Summarises the keypoints of each picture and hashes its inside, unless features alone find pairs.",
    reads=(Reads("picture", LOCATED),),
    writes=KEYPOINT_SUMMARY,
    grain="map",
    given=Given("picture", ("pixel_sha256",)),
    run=summarise_keypoints,
    params=DescribeParams,
    reasons=("decoding_failed",),
    decides=False,
    depends=(SUMMARIES,),
    partitions_from=("picture",),
    bytes_per_row=3_000,
    off=off_without_summaries,
)
