import sys
from importlib import import_module
from types import ModuleType

import pytest

from stages.models.without_wandb import without_wandb


def test_wandb_is_not_found_within_the_block_and_not_refused_after_it_even_after_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(KeyError), without_wandb():
        with pytest.raises(ModuleNotFoundError):
            import_module("wandb")
        raise KeyError
    assert "wandb" not in sys.modules


def test_a_process_that_has_wandb_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("wandb")
    monkeypatch.setitem(sys.modules, "wandb", made)
    with without_wandb():
        assert import_module("wandb") is made
    assert sys.modules["wandb"] is made
