import gc
import weakref

import pytest

from stages.collector import collector_paused


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_is_paused_and_then_as_it_was_even_after_an_error(is_enabled: bool) -> None:
    was_enabled = gc.isenabled()
    (gc.enable if is_enabled else gc.disable)()
    try:
        with pytest.raises(KeyError), collector_paused():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_objects_made_during_a_pause_count_as_old_and_are_still_collected() -> None:
    with collector_paused():
        made: list[object] = []
        made.append(made)
    assert any(one is made for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0
    is_collected = weakref.finalize(Cycle(), lambda: None)
    assert is_collected.alive
    gc.collect()
    assert not is_collected.alive


class Cycle:
    def __init__(self) -> None:
        self.itself = self
