"""The settings by which pictures of evaluation sets are searched for and compared."""

from typing import Literal

from pydantic import Field

from stages.contract import Params
from stages.images.keypoints import MIN_INLIERS

HASHES, KEYPOINTS = "hashes", "keypoints"


class MethodParams(Params):
    """By which measures pictures of evaluation sets are searched for."""

    method: Literal["keypoints", "hashes"] = Field(
        "keypoints",
        description="hashes: equal pixels and near perceptual hashes; keypoints: also pictures whose keypoints agree"
        " (framed, marked, slightly turned, or cut further)",
    )


class DetailParams(Params):
    """Which pictures match nothing."""

    min_detail: float = Field(
        0.05, ge=0, description="minimum detail of a perceptual hash, grey levels; below it pictures never match"
    )  # as dedup.min_detail


class NearParams(DetailParams):
    """Which pairs of pictures are compared by grey levels."""

    max_distance: int = Field(
        8, ge=0, le=8, description="maximum Hamming distance between hashes of a sample and an evaluation picture, bits"
    )  # grey levels decide: of 1.2e9 pairs of unlike cuts 985 are within 8 bits, and none of these correlates
    max_window_distance: int = Field(
        4, ge=0, le=8, description="the same for windows of an evaluation picture, which are many"
    )  # at 6, .995 instead of .99 of windows are found, and the search takes 50 times as long
    max_layout_share: float = Field(
        0.6,
        gt=0,
        le=1,
        description="maximum share of a perceptual hash that one row times one column explains; above"
        " it (a bright corner, one spot) only equal pixels and keypoints count; 1: all hashes count",
    )  # measured: .014 of real views from above are simpler, and all 69 of 1.2e8 pairs of unlike cuts within 2 bits


class SearchParams(MethodParams, NearParams):
    """Which pictures are compared by keypoints with one of an evaluation set."""

    n_candidates: int = Field(
        10, ge=1, le=100, description="pictures to compare by keypoints with each evaluation picture"
    )  # 10,000 evaluation pictures then take at most 40 minutes of one core, mostly for decoding
    min_summary_cos: float = Field(
        0.2, ge=-1, le=1, description="minimum cosine of two keypoint summaries for their pictures to be compared"
    )  # lower than dedup.min_summary_cos, since n_candidates bounds the cost: framed copies have .28 and more
    max_inside_distance: int = Field(
        8,
        ge=0,
        le=8,
        description="maximum Hamming distance between hashes of the insides of a sample and an evaluation picture,"
        " without frame or strip of text, for their keypoints to be compared, bits",
    )  # as dedup.max_window_distance


class MatchParams(DetailParams):
    """When a picture is one of an evaluation set."""

    min_correlation: float = Field(
        0.9,
        ge=-1,
        le=1,
        description="minimum correlation of two pictures with near hashes, at frequencies that the hash lacks",
    )  # measured: 2 of 4,000 copies have less; of 1.2e9 pairs of unlike cuts one has more, of 3e7 of drawings none
    max_colour_distance: float = Field(
        10.0,
        ge=0,
        description="maximum mean distance of the colours of two pictures with near hashes, levels; a grey picture has"
        " none; 361: colours do not count",
    )  # measured: resized, encoded, cut and flipped copies of 300 drawings have at most 4.7, three of 3.4e8 pairs of
    # unlike drawings that correlate 11.3 and more
    min_inliers: int = Field(
        16, ge=MIN_INLIERS, description="minimum number of places where the keypoints of two pictures agree"
    )  # below dedup.min_inliers, which charts of one template decide: evaluation pictures are views from above. Of
    # 2,479 pairs with their nearest other pictures, real and drawn, 2,478 agree in no place and one in 7


class OverlapParams(NearParams, MatchParams):
    """When two evaluation sets, or two splits of one, have the same picture."""


class GroundParams(Params):
    """Whether positions are compared."""

    compares_ground: bool = Field(
        True, description="find samples that show the ground of an evaluation picture, where both state their place"
    )


class GroundShareParams(GroundParams):
    """When two pictures show the same ground."""

    min_ground_share: float = Field(
        0.05, gt=0, le=1, description="minimum share of an evaluation picture's ground that the other picture shows"
    )  # below it, positions rounded to the pixel decide


def off_without_ground(params: GroundParams) -> str:
    """Return the setting that switches off the comparison of positions, "" if it is on."""
    return "" if params.compares_ground else "contamination.compares_ground = false"


def off_without_keypoints(params: MethodParams) -> str:
    """Return the setting that switches off the comparison by keypoints, "" if it is on."""
    return f"contamination.method = {HASHES}" if params.method == HASHES else ""
