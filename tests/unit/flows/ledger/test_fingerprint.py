from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flows.ledger.fingerprint import Constants
from stages.identity import digest_json

TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
KEYS = TEXT.filter(lambda key: key not in ("inputs", "partition")) | st.sampled_from(["a", "params", "stage", "z"])
VALUES = st.recursive(
    TEXT | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.dictionaries(TEXT, TEXT, max_size=3), TEXT)
def test_a_fingerprint_is_the_digest_of_the_whole_object(
    constants: dict[str, Any], inputs: dict[str, str], partition: str
) -> None:
    whole = {**constants, "inputs": inputs, "partition": partition}
    assert Constants.of(constants).fingerprint(inputs, partition) == digest_json(whole)
