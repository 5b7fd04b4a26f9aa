"""The settings of dedup: when two pictures are duplicates, and how duplicates are searched for."""

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
        description="how pairs to compare are found: features: near image features of embed; keypoints: near summaries"
        " of keypoints, or near hashes of the insides, without a model; both: near features, or near hashes of the"
        " insides",
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
        description="maximum estimated search time for near hashes, minutes of one core; a longer search is refused",
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

    n_neighbours: int = Field(5, ge=1, le=50, description="nearest neighbours to consider for each picture")
    # RS5M, by fastdup: 5
    min_feature_cos: float = Field(
        0.9, ge=-1, le=1, description="minimum cosine of two image features of embed for their pictures to be compared"
    )  # fastdup's own default
    n_summary_neighbours: int = Field(
        4, ge=1, le=50, description="the same if neighbours are found by keypoint summaries"
    )
    min_summary_cos: float = Field(
        0.25, ge=-1, le=1, description="minimum cosine of two keypoint summaries for their pictures to be compared"
    )  # measured: 4 neighbours from .25 on are 3.9 a drawing, from .35 on 2.9; of drawings turned by 5 degrees .80, not
    # .77, are found then; with 6 neighbours no more
    min_first_cos: float = Field(
        0.15, ge=-1, le=1, description="the same for a picture's nearest neighbour"
    )  # measured: framed and watermarked copies of smooth drawings have .2 and more
    min_near_codes: int = Field(
        3,
        ge=0,
        description="minimum number of keypoints with near codes for two pictures to be compared, except"
        " if their insides have near hashes, or features alone find pairs",
    )  # measured: all of 420 confirmed copies have 5, .14 of 3,430 pairs of different real pictures 3
    max_window_distance: int = Field(
        8,
        ge=0,
        le=8,
        description="maximum Hamming distance between inside hashes for two pictures to be compared, bits",
    )  # measured: of framed and watermarked drawings .87, not .85, are found with 8 instead of 6

    def limits_of(self, *, is_embedded: bool) -> tuple[int, float, float]:
        """Return how many neighbours, the least cosine of each and that of the nearest, by features or summaries."""
        if is_embedded:
            return self.n_neighbours, self.min_feature_cos, self.min_feature_cos
        return self.n_summary_neighbours, self.min_summary_cos, self.min_first_cos


class JudgeParams(MethodParams):
    """When a compared pair is a copy."""

    min_inliers: int = Field(
        24, ge=MIN_INLIERS, description="minimum number of places where the keypoints of a copy agree"
    )  # measured: bar charts drawn from one template have up to 20; copies of real pictures at least 25 but for one
    min_near_inliers: int = Field(
        12, ge=2, description="the same if the pictures, aligned by these places, correlate strongly"
    )  # measured: turned or cut copies with 12 to 23 places correlate by .979 and more, faces of one template by .935
    min_near_correlation: float = Field(
        0.97,
        ge=-1,
        le=1,
        description="minimum correlation of such a copy as a whole, and of three quarters of its tiles",
    )
    min_close_inliers: int = Field(5, ge=2, description="the same if they correlate nearly everywhere")
    # cut copies of pictures with few keypoints have 5 to 19
    min_pair_correlation: float = Field(
        0.985, ge=-1, le=1, description="the same as min_near_correlation for min_close_inliers places"
    )  # measured: of 16 turned or cut copies with 5 to 11 places two correlate by .951 and .966, the others by .985 and
    # more; three of 1,164 near pairs of seed 34 by .975 to .983 (faces), 1,486 of seed 31 by at most .963
    min_window_correlation: float = Field(
        0.7, ge=-1, le=1, description="minimum median correlation of the insides of a copy, if their hashes are near"
    )  # measured: of 89,700 pairs of different drawings three have 8 bits and .62 to .68, none has .7; of 1.4 million
    # real ones two have 8 bits, and at most .55; those with fewer bits and .7 are maps of one template or of one place
    max_colour_distance: float = Field(
        14.0,
        ge=0,
        description="maximum mean distance of the colours of a copy, levels, where one picture lies on the other; a"
        " grey picture has none; 361: colours do not count",
    )  # measured: edited copies of 40 drawings have at most 7.3, all 13 pairs of one template that were joined 16.4 and
    # more; of 200 real pictures none with white balance off by .1 has more than 10.9, and .05 with saturation 1.6 14
    min_sure_inliers: int = Field(
        48, ge=MIN_INLIERS, description="number of places from which the colours of a copy may differ more"
    )  # twice what drawings of one template reach; most copies of real pictures have more
    max_sure_colour_distance: float = Field(
        28.0, ge=0, description="the same as max_colour_distance if min_sure_inliers places agree"
    )  # measured: 47 of 60 pairs of one map in other colours agree like copies, all with 29.6 and more; of 1,461 edited
    # copies of real pictures, also with brightness, contrast and saturation changed, none has more than 24.3


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
