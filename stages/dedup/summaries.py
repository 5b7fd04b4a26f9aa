"""Sum up the keypoints of each picture, a stage of dedup: for the search for pairs where no model runs."""

from collections.abc import Mapping

import pyarrow as pa

from schemas.tables import KEYPOINT_SUMMARY
from stages.contract import Context, Dependency, Given, Inputs, Outcome, Reads, Stage
from stages.dedup.pairs import describe_picture
from stages.dedup.settings import DescribeParams, off_without_summaries
from stages.embed.stage import LOCATED, load_located, refuse
from stages.images.keypoints import keypoints_identity
from stages.images.not_decoded import NotDecoded


def summarise_keypoints(inputs: Inputs, context: Context) -> Outcome:
    """Return a summary of each picture's keypoints and hashes of its inside; reject pictures that are not decoded."""
    from stages.dedup.summary import summarise

    ids, summaries, hashes, details, refused = [], [], [], [], []
    for row in sorted(inputs["picture"].to_pylist(), key=lambda row: str(row["pixel_sha256"])):
        found = load_located(row, context.files, describe_picture)
        if isinstance(found, NotDecoded):
            refused.append((row["pixel_sha256"], "decoding_failed", str(found)))
        else:
            ids.append(row["pixel_sha256"])
            keypoints, windows = found
            summaries.append(summarise(keypoints))
            hashes.append(windows.hashes.tolist())
            details.append(windows.details.tolist())
        context.advance(len(ids) + len(refused))
    types = [field.type for field in KEYPOINT_SUMMARY.schema]
    columns = [pa.array(*pair) for pair in zip((ids, summaries, hashes, details), types, strict=True)]
    return Outcome(pa.table(columns, KEYPOINT_SUMMARY.schema), refuse(KEYPOINT_SUMMARY, refused))


def _identity(params: DescribeParams) -> Mapping[str, str]:
    from stages.dedup.summary import words_digest

    return {**keypoints_identity(), "words": words_digest()}


SUMMARISE_KEYPOINTS = Stage(
    name="summarise_keypoints",
    module="dedup",
    version=2,
    does="Sums up the keypoints of each picture and hashes its inside, where no model's features find pairs.",
    reads=(Reads("picture", LOCATED),),
    writes=KEYPOINT_SUMMARY,
    grain="map",
    given=Given("picture", ("pixel_sha256",)),
    run=summarise_keypoints,
    params=DescribeParams,
    reasons=("decoding_failed",),
    decides=False,
    depends=(Dependency("keypoints", _identity),),
    partitions_from=("picture",),
    bytes_per_row=600,
    off=off_without_summaries,
)
