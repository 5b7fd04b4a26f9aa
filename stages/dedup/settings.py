"""The settings of dedup: what makes two pictures duplicates, and by which measures that is searched for."""

from typing import Literal

from pydantic import Field, field_validator

from schemas.corpora import known_codes
from stages.contract import Params
from stages.images.keypoints import MIN_INLIERS

HASHES, KEYPOINTS, FEATURES, BOTH = "hashes", "keypoints", "features", "both"


class MethodParams(Params):
    """By which measures duplicates are found."""

    method: Literal["hashes", "keypoints", "features"] = Field(
        "hashes",
        description="hashes: near perceptual hashes; keypoints: also pairs whose keypoints agree (cut, framed, marked"
        " or turned copies); features: near image features of embed in chains, in place of hashes, as RS5M",
    )


class DescribeParams(MethodParams):
    """Where candidates for the comparison of keypoints come from."""

    candidates: Literal["features", "keypoints", "both"] = Field(
        "features",
        description="pairs to compare by keypoints: neighbours by the image features of embed; or by a summary of"
        " keypoints, and pictures whose insides have near hashes, which needs no model; both: by features or insides",
    )


class ClusterParams(MethodParams):
    """When pictures are duplicates, and which sample of a cluster is kept."""

    max_distance: int = Field(
        4, ge=0, le=10, description="maximum Hamming distance of near-duplicate perceptual hashes, bits"
    )  # speed.md: chance pairs appear by the hundred thousand at 10; 4 to 6 is safe for 5 million images
    min_detail: float = Field(
        0.05, ge=0, description="minimum detail of a perceptual hash, grey levels; below it only equal pixels match"
    )  # measured: plain bands, gradients and faint noise have less, 1,690 of 1,699 real pictures have more
    orientations: Literal["upright", "all"] = Field(
        "all", description="upright: compare pictures as shown; all: also mirrored and turned by quarters"
    )  # RS5M compared them as shown
    max_minutes: float = Field(
        5.0,
        gt=0,
        description="longest search for near hashes, by its estimate, minutes of one core; beyond, it is refused",
    )  # 5 million images in eight orientations: 0.2 at 4 bits, 0.8 at 6, 5 at 8, 20 at 10 (the last three estimated)
    is_chained: bool = Field(
        False, description="join near images in chains, as RS5M did; if false, each duplicate is near the kept image"
    )
    priority: tuple[tuple[str, ...], ...] = Field(
        (("laion2b", "laion400m", "coyo700m"), ("*",), ("laioncoco",)),
        description="corpora in tiers, from the most to the least preferred; * means all others",
    )  # RS5M, appendix B5: never LAION-COCO if another exists; LAION-2B, LAION-400M or COYO first

    @field_validator("priority")
    @classmethod
    def _check_codes(cls, tiers: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        named = [code for tier in tiers for code in tier]
        known = known_codes()
        unknown = [code for code in named if code not in (*known, "*")]
        if unknown or len(set(named)) != len(named):
            raise ValueError(f"each of {', '.join(known)} or * at most once, found {unknown or named}")
        return tiers

    seed: str = Field("dedup", description="with the sample_id, orders samples of one tier")


class PairParams(ClusterParams, DescribeParams):
    """Which pairs of pictures are compared."""

    n_neighbours: int = Field(5, ge=1, le=50, description="nearest neighbours of a picture that are looked at")
    # RS5M, by fastdup: 5
    min_feature_cos: float = Field(
        0.9, ge=-1, le=1, description="smallest cosine of two image features of embed whose pictures are compared"
    )  # fastdup's own default
    min_summary_cos: float = Field(
        0.45, ge=-1, le=1, description="the same for summaries of keypoints"
    )  # measured on real pictures: 97 of 100 edited copies; 3.8 neighbours a picture, 4.5 at .4: too many for 5 million
    max_window_distance: int = Field(
        6,
        ge=0,
        le=8,
        description="maximum Hamming distance of the hashes of two pictures' insides to be compared, bits",
    )  # measured on 60 real pictures: texts, frames and marks change up to 6 bits in .75 to .95 of the copies; with 8,
    # .97 of watermarked ones are found, not .92, and one drawing with three sets of labels is joined


class JudgeParams(MethodParams):
    """When a compared pair is a copy."""

    min_inliers: int = Field(
        24, ge=MIN_INLIERS, description="least number of places in which the keypoints of a copy agree"
    )  # measured: bar charts drawn from one template have up to 20; copies of real pictures at least 25 but for one
    min_close_inliers: int = Field(
        5, ge=2, description="the same if the pictures, put on each other by these places, correlate nearly everywhere"
    )  # cut copies of pictures with few keypoints have 5 to 23
    min_pair_correlation: float = Field(
        0.9, ge=-1, le=1, description="least correlation of three quarters of the tiles of such a copy"
    )  # measured: cut copies have at least .91, 2,756 pairs of different drawings at most .85
    min_window_correlation: float = Field(
        0.5, ge=-1, le=1, description="least median correlation of the insides of a copy, if their hashes are near"
    )  # measured: of 44,850 pairs of different real pictures one has near hashes, two drawings of one template


def off_without_pairs(params: MethodParams) -> str:
    """Return the setting that switches off the search for pairs, "" if it is on."""
    return f"dedup.method = {HASHES}" if params.method == HASHES else ""


def off_without_keypoints(params: MethodParams) -> str:
    """Return the setting that switches off the comparison of keypoints, "" if it is on."""
    return f"dedup.method = {params.method}" if params.method != KEYPOINTS else ""


def off_without_summaries(params: DescribeParams) -> str:
    """Return the setting that switches off summaries of keypoints, "" if they are on."""
    return off_without_keypoints(params) or (
        f"dedup.candidates = {params.candidates}" if params.candidates == FEATURES else ""
    )
