import numpy as np
import pyarrow as pa
import pytest

from stages.contract import ContractError
from stages.embed.cosines import _BLOCK_ROWS, cosines, lengths, read_features


def drawn(n_rows: int, dim: int = 48) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_rows, dim)).astype(np.float32)


def test_cosines_do_not_depend_on_blocks_and_equal_the_exact_sum() -> None:
    features, direction = drawn(_BLOCK_ROWS + 3), drawn(1)[0]
    direction = (direction / lengths(direction[None])).astype(np.float32)
    found = cosines(features, direction)
    for row in (0, _BLOCK_ROWS - 1, _BLOCK_ROWS, _BLOCK_ROWS + 2):
        own = features[row].astype(float).tolist()
        product = sum(a * b for a, b in zip(own, direction.tolist(), strict=True))
        assert found[row] == pytest.approx(product / sum(a * a for a in own) ** 0.5, rel=1e-12)
        assert found[row] == cosines(features[row : row + 1], direction)[0]
    assert (found == cosines(features, np.tile(direction, (len(features), 1)))).all()


def test_a_zero_feature_has_cosine_zero_and_no_features_have_none() -> None:
    assert cosines(np.zeros((1, 4), np.float32), np.array([1, 0, 0, 0], np.float32)).tolist() == [0]
    assert cosines(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)).tolist() == []


def test_features_of_another_length_are_a_fault_of_the_code() -> None:
    rows = pa.table({"image_feature": pa.array([[1.0, 2.0]], pa.list_(pa.float16(), 2))})
    assert read_features(rows, 2, "the mean has").tolist() == [[1, 2]]
    with pytest.raises(ContractError, match="image features have 2 values, the mean has 3"):
        read_features(rows, 3, "the mean has")
