"""Sum up a picture's keypoints in one short vector: pictures that show the same have vectors of a large cosine.

Where no model computes image features, these vectors find the pairs whose keypoints are worth comparing.
"""

import hashlib
from functools import cache

import numpy as np
import numpy.typing as npt

from schemas.manifests import MANIFESTS
from stages.images.keypoints import Keypoints, mirror_keypoints, root_descriptors

Values = npt.NDArray[np.float32]

N_DIMENSIONS = 256  # of 8,192, projected at random: with 128, cuts of 20 % are found in .96 instead of 1.0
MOST_POINTS = 300  # the strongest, and of these no weak ones: other pictures with JPEG's blocks would be nearer
LEAST_POINTS = 8  # copies of smooth drawings of 13 keypoints are confirmed
_WORDS = MANIFESTS / "keypoint_words.npy"  # made by flows/demo/keypoint_words.py
_SEED = 1


def words_digest() -> str:
    """Return the sha256 of the file of words."""
    return hashlib.sha256(_WORDS.read_bytes()).hexdigest()


def summarise(keypoints: Keypoints) -> npt.NDArray[np.float16]:
    """Return float16 [256] of length 1, equal for the mirrored picture; zeros for less than LEAST_POINTS keypoints.

    Of more than MOST_POINTS keypoints, the strongest count, and weak ones never. Residuals to the nearest word are
    added up by word, each sum is brought to length 1 and flattened by square roots.

    Source: H. Jegou et al., Aggregating local image descriptors into compact codes, 2012 (VLAD), with the norms of
    R. Arandjelovic and A. Zisserman, All about VLAD, 2013.
    """
    if len(keypoints.points) < LEAST_POINTS:
        return np.zeros(N_DIMENSIONS, np.float16)
    words, n_counted = _load_words(), min(MOST_POINTS, keypoints.n_strong)
    sides = (keypoints, mirror_keypoints(keypoints))
    roots = np.concatenate([root_descriptors(side.descriptors[:n_counted]) for side in sides])
    nearest = (roots @ words.T - (words**2).sum(axis=1) / 2).argmax(axis=1)
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, roots - words[nearest])
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    found = (np.sign(sums) * np.sqrt(np.abs(sums))).reshape(-1) @ _projection(words.size)
    return np.asarray(found / np.linalg.norm(found), np.float16)


@cache
def _load_words() -> Values:
    """Return the words, float32 [n, 128]."""
    found: Values = np.load(_WORDS, allow_pickle=False).astype(np.float32)
    return found


@cache
def _projection(n_values: int) -> Values:
    found: Values = np.random.default_rng(_SEED).normal(size=(n_values, N_DIMENSIONS)).astype(np.float32)
    return found
