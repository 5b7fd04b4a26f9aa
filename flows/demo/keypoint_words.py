"""Makes manifests/keypoint_words.npy from generated pictures: `python -m flows.demo.keypoint_words`.

Words are mean keypoint descriptors; stages/dedup/summary.py sums up a picture's keypoints by its nearest words.
"""

from pathlib import Path

import numpy as np
from scipy.cluster.vq import kmeans2

from flows.demo.world.drawings import KINDS
from schemas.manifests import MANIFESTS
from stages.images.keypoints import find_keypoints, root_descriptors

N_WORDS = 64
N_PICTURES_OF_A_KIND = 12
N_KEYPOINTS_OF_A_PICTURE = 100
SEED = 20


def make_words(path: Path) -> None:
    """Write float16 [N_WORDS, 128]: mean square-rooted descriptors."""
    found = []
    for n, kind in enumerate(sorted(KINDS)):
        for seed in range(N_PICTURES_OF_A_KIND):
            picture = KINDS[kind](np.random.default_rng([SEED, n, seed]), 300, 240)
            found.append(root_descriptors(find_keypoints(picture).descriptors[:N_KEYPOINTS_OF_A_PICTURE]))
    words, _ = kmeans2(np.concatenate(found), N_WORDS, minit="++", seed=SEED)
    np.save(path, words.astype(np.float16))


if __name__ == "__main__":
    make_words(MANIFESTS / "keypoint_words.npy")
