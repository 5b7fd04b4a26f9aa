"""The stage of dedup that sums up the keypoints of each picture, to find pairs without a model."""

import pyarrow as pa

from schemas.tables import KEYPOINT_SUMMARY
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage
from stages.dedup.identities import SUMMARIES
from stages.dedup.pairs import describe_picture
from stages.dedup.settings import DescribeParams, off_without_summaries
from stages.embed.located import LOCATED, load_located, refuse
from stages.images.not_decoded import NotDecoded


def summarise_keypoints(inputs: Inputs, context: Context) -> Outcome:
    """Return summary and codes of each picture's keypoints, and hashes of its inside; reject those not decoded."""
    from stages.dedup.codes import encode_keypoints
    from stages.dedup.summary import summarise

    ids, summaries, codes, hashes, details, refused = [], [], [], [], [], []
    for row in sorted(inputs["picture"].to_pylist(), key=lambda row: str(row["pixel_sha256"])):
        found = load_located(row, context.files, describe_picture)
        if isinstance(found, NotDecoded):
            refused.append((row["pixel_sha256"], "decoding_failed", str(found)))
        else:
            ids.append(row["pixel_sha256"])
            keypoints, windows = found
            summaries.append(summarise(keypoints))
            codes.append(encode_keypoints(keypoints))
            hashes.append(windows.hashes.tolist())
            details.append(windows.details.tolist())
        context.advance(len(ids) + len(refused))
    types = [field.type for field in KEYPOINT_SUMMARY.schema]
    columns = [pa.array(*pair) for pair in zip((ids, summaries, codes, hashes, details), types, strict=True)]
    return Outcome(pa.table(columns, KEYPOINT_SUMMARY.schema), refuse(KEYPOINT_SUMMARY, refused))


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
