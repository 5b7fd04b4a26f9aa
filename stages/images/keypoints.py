"""Compare two pictures by keypoints, to find cropped, framed, marked and turned copies.

The caller decides how many agreeing keypoints make a copy. A picture without texture has no keypoints; only
perceptual hashes find its copies.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from stages.identity import package_version
from stages.images.alignment import MARGIN, SMALL, TILE, Affine, correlate, correlate_finely
from stages.images.unlike_cells import share_unlike_cells

Points = npt.NDArray[np.float32]
Descriptors = npt.NDArray[np.uint8]
Roots = npt.NDArray[np.float32]

# With these values, 1,085 pairs of hard pictures have 0 false matches at 16 agreeing keypoints (measured 2026-11).
LONGEST_PX = 320  # longest side to which pictures are enlarged or reduced
MAX_POINTS = 400
# Measured: smooth drawings have .72, not .52, of their cut or turned copies confirmed than with .02 and SIFT's own 10.
MIN_CONTRAST, MAX_EDGE = 0.005, 40
MAX_RATIO = 0.8  # nearest by second nearest distance. D. Lowe, Distinctive Image Features, 2004, section 7.1, has .8
TOLERANCE_PX = 4.0
SCALES = (0.2, 5.0)  # range of the scale between two pictures
MIN_INLIERS = 16
MIN_CORRELATION = 0.5  # of 91 pairs of pictures with one watermark 9 have 16 inliers, and 1 of these correlates more
# Pictures that correlate less must not be unlike in more of their cells: they may share a legend or a frame.
SURE_CORRELATION, MAX_UNLIKE_SHARE = 0.6, 0.25
FEW_INLIERS, FINE_CORRELATION = 5, 0.985  # few places misplace a picture by some px: it is moved a little
CELL_PX = (
    SMALL * TILE
)  # inliers in fewer than MIN_CELLS cells are one text, or another small thing that two pictures share
MIN_CELLS = 4
_MIN_MATCHES = 4
# Weak keypoints have less than a share of the tenth strength, and less than WEAK. Measured: blocks of JPEG make 200 in
# a smooth picture that has 50 of its own. Without WEAK a strip of text, which is strong, hides the picture's own: of
# captioned drawings .78 have the original among the ten nearest, .98 with it.
STRONG_SHARE, _STRONG_RANK, WEAK = 0.2, 10, 0.008
_SEED = 5
_BYTES = 128  # bytes of a descriptor: 4 x 4 cells of 8 directions


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of a picture as shown, its longest side resized to LONGEST_PX.

    Attributes:
        points: float32 [n, 2], x and y in px of the resized picture.
        descriptors: uint8 [n, 128], OpenCV's SIFT descriptors.
        width_px: width of the resized picture.
        small: uint8 [height, width], grey levels of the picture reduced further by SMALL.
        n_strong: how many of the first keypoints, which are the strongest, are not weak; 0 where it is not known.
    """

    points: Points
    descriptors: Descriptors
    width_px: int
    small: npt.NDArray[np.uint8]
    n_strong: int = 0


@dataclass(frozen=True)
class Agreement:
    """Agreement of two pictures.

    Attributes:
        n_inliers: distinct places whose keypoints one similarity maps to the other picture's; the lower of the numbers
            in both pictures.
        scale: length in the second picture of 1 px of the first, px, both resized; 0 without agreement.
        turn_deg: clockwise turn from the first to the second picture, degrees in [-180, 180].
        is_mirrored: whether the first picture was mirrored, left to right, before it was turned.
        correlation: lower quartile of the correlations of the pictures' tiles where the similarity puts them on each
            other, in [-1, 1]; 0 if they overlap too little.
        affine: float64 [2, 3], maps px of the first picture, mirrored if it was, to those of the second, both resized;
            None without agreement.
    """

    n_inliers: int
    scale: float = 0.0
    turn_deg: float = 0.0
    is_mirrored: bool = False
    correlation: float = 0.0
    affine: Affine | None = field(default=None, compare=False)

    def columns(self) -> dict[str, Any]:
        """Return the agreement as tables of pairs hold it."""
        return {
            "n_inliers": self.n_inliers,
            "pair_scale": self.scale,
            "pair_turn_deg": self.turn_deg,
            "is_pair_mirrored": self.is_mirrored,
        }


def keypoints_identity() -> dict[str, str]:
    """Return everything besides the pictures that keypoints and agreements depend on."""
    return {"opencv-python-headless": package_version("opencv-python-headless")}


def find_keypoints(picture: Image.Image) -> Keypoints:
    """Return the strongest keypoints, at most MAX_POINTS, of a picture as shown, in any mode.

    Equal pixels always have equal keypoints.
    """
    grey = picture.convert("L")
    share = LONGEST_PX / max(grey.size)
    size = max(1, round(grey.width * share)), max(1, round(grey.height * share))
    values = np.asarray(grey.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0) if size != grey.size else grey)
    small_size = max(1, round(size[0] / SMALL)), max(1, round(size[1] / SMALL))
    small = np.asarray(grey.resize(small_size, Image.Resampling.BOX))
    found, descriptors = _sift().detectAndCompute(values, None)
    if not found:
        return Keypoints(np.empty((0, 2), np.float32), np.empty((0, _BYTES), np.uint8), size[0], small)
    # OpenCV keeps all that tie with the weakest. Sorted by position, so that ties do not depend on OpenCV's sort.
    points = np.array([point.pt for point in found], np.float32)
    strengths = np.array([point.response for point in found], np.float32)
    angles = np.array([point.angle for point in found], np.float32)
    order = np.lexsort((angles, points[:, 1], points[:, 0], -strengths))[:MAX_POINTS]
    strengths = strengths[order]
    least = min(WEAK, STRONG_SHARE * float(strengths[min(_STRONG_RANK, len(order)) - 1]))
    n_strong = int((strengths >= least).sum())
    return Keypoints(points[order], descriptors[order].astype(np.uint8), size[0], small, n_strong)


def mirror_keypoints(keypoints: Keypoints) -> Keypoints:
    """Return the keypoints of the picture mirrored left to right, computed from its own ones."""
    points = keypoints.points.copy()
    points[:, 0] = keypoints.width_px - 1 - points[:, 0]
    descriptors = keypoints.descriptors[:, _mirrored_bytes()]
    return replace(keypoints, points=points, descriptors=descriptors, small=keypoints.small[:, ::-1])


def compare_keypoints(first: Keypoints, second: Keypoints) -> Agreement:
    """Return the better agreement of two pictures, with the first as shown or mirrored; as shown on a tie."""
    roots = root_descriptors(second.descriptors)
    shown = _agree(first, second, roots, is_mirrored=False)
    mirrored = _agree(mirror_keypoints(first), second, roots, is_mirrored=True)
    return mirrored if mirrored.n_inliers > shown.n_inliers else shown


def root_descriptors(descriptors: Descriptors) -> Roots:
    """Return float32 [n, 128] of length 1: the square roots of the descriptors' shares.

    Source: R. Arandjelovic and A. Zisserman, Three things everyone should know to improve object retrieval, 2012.
    """
    values = descriptors.astype(np.float32)
    roots: Roots = np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1.0))
    return roots


def _agree(first: Keypoints, second: Keypoints, roots: Roots, *, is_mirrored: bool) -> Agreement:
    source, target = _match(first, second, roots)
    if len(source) < _MIN_MATCHES:
        return Agreement(0)
    cv2 = _cv2()
    cv2.setRNGSeed(_SEED)  # only for this thread
    affine, is_inlier = cv2.estimateAffinePartial2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE_PX
    )
    if affine is None:
        return Agreement(0)
    scale = math.hypot(affine[0, 0], affine[1, 0])
    if not SCALES[0] <= scale <= SCALES[1]:
        return Agreement(0)
    chosen = is_inlier[:, 0].astype(bool)
    n_inliers = min(_count_places(source[chosen]), _count_places(target[chosen]))
    n_cells = min(_count_places(points[chosen] / CELL_PX - 0.5) for points in (source, target))
    median, quartile = correlate(first.small, second.small, affine)
    if n_cells < MIN_CELLS or median < MIN_CORRELATION:
        return Agreement(0)
    if n_inliers >= FEW_INLIERS and quartile < FINE_CORRELATION:
        quartile = max(quartile, correlate_finely(first.small, second.small, affine))
    if n_inliers >= FEW_INLIERS and quartile < FINE_CORRELATION:
        inner = correlate(first.small, second.small, affine, MARGIN)[1]
        quartile = max(quartile, inner, correlate_finely(first.small, second.small, affine, MARGIN))
    is_sure = n_inliers < FEW_INLIERS or quartile >= SURE_CORRELATION
    if not is_sure and _unlike_share(first, second, roots, affine) > MAX_UNLIKE_SHARE:
        return Agreement(0)
    turn_deg = math.degrees(math.atan2(affine[1, 0], affine[0, 0]))
    # Rounded, since the last digits of the fit depend on the machine.
    return Agreement(n_inliers, round(scale, 3), round(turn_deg, 1) + 0.0, is_mirrored, round(quartile, 3), affine)


def _unlike_share(first: Keypoints, second: Keypoints, roots: Roots, affine: Affine) -> float:
    shape = SMALL * second.small.shape[0], SMALL * second.small.shape[1]
    return share_unlike_cells(first.points, root_descriptors(first.descriptors), second.points, roots, affine, shape)


def _match(first: Keypoints, second: Keypoints, roots: Roots) -> tuple[Points, Points]:
    """Return the points of keypoints in the first picture with one near match in the second, and of the matches.

    Of the keypoints that match one place only the nearest counts: a frame, or the fill of a turned copy, has dozens
    alike along its edges, and a similarity of scale 0 would map them all to that place.
    """
    if not len(first.points) or len(second.points) < 2:
        return first.points[:0], second.points[:0]
    cosines = root_descriptors(first.descriptors) @ roots.T
    rows = np.arange(len(cosines))
    nearest = cosines.argmax(axis=1)
    best = cosines[rows, nearest]
    cosines[rows, nearest] = -1
    # For unit vectors the squared distance is 2 - 2 x cosine.
    found = np.flatnonzero(1 - best < MAX_RATIO**2 * (1 - cosines.max(axis=1)))
    found = found[np.argsort(-best[found], kind="stable")]
    _, chosen = np.unique(_places(second.points[nearest[found]]), return_index=True)
    found = found[np.sort(chosen)]
    return first.points[found], second.points[nearest[found]]


def _count_places(points: Points) -> int:
    # A corner may have keypoints of several directions and sizes, which count as one.
    return np.unique(_places(points)).size


def _places(points: Points) -> npt.NDArray[np.int64]:
    """Return int64 [n], equal for points that are at one whole px; numbers are sorted faster than rows."""
    found = np.rint(points).astype(np.int64)
    return np.asarray(found[:, 0] * (1 << 16) + found[:, 1])


@cache
def _mirrored_bytes() -> npt.NDArray[np.int64]:
    """Return for each byte of a mirrored picture's descriptor its index in the picture's own descriptor.

    Cells across the keypoint's direction are in reverse order, and directions turn the other way.
    """
    places = np.arange(_BYTES).reshape(4, 4, 8)
    return np.ascontiguousarray(places[::-1][:, :, -np.arange(8) % 8]).reshape(-1)


@cache
def _cv2() -> Any:
    import cv2  # importing it takes 0.2 s

    cv2.setNumThreads(1)  # workers are processes, so more threads per picture would only wait for each other
    return cv2


_LOCAL = threading.local()


def _sift() -> Any:
    """Return this thread's detector, since a detector is not thread-safe."""
    if not hasattr(_LOCAL, "sift"):
        _LOCAL.sift = _cv2().SIFT_create(nfeatures=MAX_POINTS, contrastThreshold=MIN_CONTRAST, edgeThreshold=MAX_EDGE)
    return _LOCAL.sift
