"""The verdict of a verification says how many faults there are, and how to repair them."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from flows.ask.upkeep import _verdict
from flows.ledger.ledger import Ledger
from flows.ledger.partition_check import Fault
from flows.ledger.store import Store
from flows.options import parse
from flows.settings import load_settings
from stages import STAGES


@pytest.mark.parametrize(("n_faults", "words"), [(1, "1 fault in 2.0 s;"), (2, "2 faults in 2.0 s;")])
def test_faults_are_counted_in_words(tmp_path: Path, n_faults: int, words: str) -> None:
    ledger = Ledger(Store(tmp_path), STAGES, load_settings("demo", [], STAGES))
    out = io.StringIO()
    options = parse(["verify", "--build", str(tmp_path)])
    assert _verdict(ledger, [Fault("image/000", "gone", "image/000")] * n_faults, options, Console(file=out), 2.0) == 1
    assert out.getvalue().startswith(words) and "REPAIR=yes" in out.getvalue()
