"""Read stored picture features, and compare them with other features: the same values on every machine.

BLAS adds in an order of its own for each kind of CPU. Numpy's sums along an axis, in doubles, do not.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.contract import ContractError

_BLOCK_ROWS = 4096  # 32 MB of doubles for features of 1,024 values
Doubles = npt.NDArray[np.float64]


def read_features(embedding: pa.Table, dim: int, others: str) -> npt.NDArray[np.float32]:
    """Return the stored features, float32 [n, dim].

    Args:
        embedding: rows of the table embedding.
        dim: length of the features that they are to be compared with.
        others: name of those features in the message of an error.

    Raises:
        ContractError: the stored features have another length.
    """
    flat = embedding["image_feature"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    if flat.size != embedding.num_rows * dim:
        raise ContractError(
            f"image features have {flat.size / max(1, embedding.num_rows):g} values, {others} {dim}:"
            " expected both from the model in embed.model"
        )
    return np.asarray(flat.reshape(embedding.num_rows, dim), np.float32)


def cosines(features: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Doubles:
    """Return the cosine of each feature with another one, float64 [n] in [-1, 1] up to rounding; 0 for a zero feature.

    Args:
        features: floats [n, dim], of any length: in half precision features are not quite of unit length.
        others: of unit length, floats [n, dim], or [dim] for all.
    """
    found = [np.zeros(0)]
    for start in range(0, len(features), _BLOCK_ROWS):
        block = features[start : start + _BLOCK_ROWS].astype(np.float64)
        other = others if others.ndim == 1 else others[start : start + _BLOCK_ROWS]
        norms = lengths(block)
        found.append((block * other).sum(axis=1) / np.where(norms, norms, 1))
    return np.concatenate(found)


def lengths(features: npt.NDArray[np.floating]) -> Doubles:
    """Return the Euclidean length of each feature of [n, dim], float64 [n]."""
    return np.asarray(np.sqrt(np.square(features, dtype=np.float64).sum(axis=1)), np.float64)
