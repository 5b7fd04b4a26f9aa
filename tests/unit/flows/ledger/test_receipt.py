import json
from pathlib import Path

import pytest

from flows.ledger.receipt import _READ_BYTES, encode_receipt, publish, read_receipt
from tests.unit.flows.ledger.made import names


def test_publishing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "receipt.json"
    assert publish(target, b"one", "a") is True
    assert publish(target, b"two", "b") is False
    assert target.read_bytes() == b"one"
    assert names(tmp_path) == {"receipt.json"}


def test_a_receipt_names_its_own_sha256(tmp_path: Path) -> None:
    body = {"partition": "p", "text": "ä\n"}
    path = tmp_path / "receipt.json"
    path.write_bytes(encode_receipt(body))
    whole = json.loads(path.read_bytes())
    assert read_receipt(path) == body == {k: v for k, v in whole.items() if k != "receipt_sha256"}
    assert read_receipt(tmp_path / "none.json") is None


@pytest.mark.parametrize("n_bytes", [_READ_BYTES - 1, _READ_BYTES, _READ_BYTES + 1, 3 * _READ_BYTES])
def test_a_receipt_of_any_length_is_read_whole(tmp_path: Path, n_bytes: int) -> None:
    frame = len(encode_receipt({"text": ""}))
    body = {"text": "x" * (n_bytes - frame)}
    (tmp_path / "receipt.json").write_bytes(encode_receipt(body))
    assert (tmp_path / "receipt.json").stat().st_size == n_bytes
    assert read_receipt(tmp_path / "receipt.json") == body


def test_a_receipt_of_an_earlier_version_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(encode_receipt({"kept": {"parts": {}}}))
    assert read_receipt(path) == "receipt.json was written by an earlier version: build into a new folder"
