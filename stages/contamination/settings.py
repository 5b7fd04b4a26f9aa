"""The settings by which pictures of evaluation sets are compared by keypoints with those of the corpora."""

from typing import Literal

from pydantic import Field

from stages.contract import Params

HASHES, KEYPOINTS = "hashes", "keypoints"


class MethodParams(Params):
    """By which measures pictures of evaluation sets are searched for."""

    method: Literal["keypoints", "hashes"] = Field(
        "keypoints",
        description="hashes: equal pixels and near perceptual hashes; keypoints: also pictures whose keypoints agree"
        " (framed, marked, slightly turned, or cut further), 20 ms a picture of the corpora",
    )


class CandidateParams(MethodParams):
    """Which pairs of pictures are compared by keypoints."""

    n_candidates: int = Field(
        10, ge=1, le=100, description="pictures that are compared by keypoints with one of an evaluation set"
    )  # 10,000 evaluation pictures then take at most 40 minutes of one core, mostly for decoding
    min_summary_cos: float = Field(
        0.2, ge=-1, le=1, description="smallest cosine of two summaries of keypoints whose pictures are compared"
    )  # lower than dedup.min_summary_cos, since n_candidates bounds the cost: framed copies have .28 and more


class GroundParams(Params):
    """Whether positions are compared."""

    compares_ground: bool = Field(
        True, description="find samples that show the ground of an evaluation picture, where both state their place"
    )


class GroundShareParams(GroundParams):
    """When two pictures show the same ground."""

    min_ground_share: float = Field(
        0.05, gt=0, le=1, description="least share of an evaluation picture's ground that the other picture shows"
    )  # below it, positions rounded to the pixel decide


def off_without_ground(params: GroundParams) -> str:
    """Return the setting that switches off the comparison of positions, "" if it is on."""
    return "" if params.compares_ground else "contamination.compares_ground = false"


def off_without_keypoints(params: MethodParams) -> str:
    """Return the setting that switches off the comparison by keypoints, "" if it is on."""
    return f"contamination.method = {HASHES}" if params.method == HASHES else ""
