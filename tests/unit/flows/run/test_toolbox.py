from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from flows.run.toolbox import Toolbox
from stages import STAGES
from stages.contract import Stage, Tool


def stage_with(name: str, log: list[str], *tools: str) -> Stage:
    """Return a stage whose tools note when they are opened and closed."""

    def opener(tool: str) -> Any:
        @contextmanager
        def open_it(params: Any, resources: Any) -> Iterator[str]:
            log.append(f"open {tool}")
            yield f"{tool} of {name}"
            log.append(f"close {tool}")

        return open_it

    made = tuple(Tool(tool, lambda params: {}, opener(tool)) for tool in tools)
    return replace(STAGES[0], name=name, tools=made)


def test_a_tool_is_opened_when_it_is_first_asked_for_and_once() -> None:
    log: list[str] = []
    stage = stage_with("s", log, "a", "b")
    toolbox, params, resources = Toolbox(), stage.params(), stage.resources()
    first = toolbox.tools(stage, params, resources)
    assert list(first) == ["a", "b"] and len(first) == 2 and not log
    assert (first["b"], first["b"]) == ("b of s", "b of s") and log == ["open b"]
    again = toolbox.tools(stage, params, resources)
    assert again["b"] == "b of s" and again["a"] == "a of s" and log == ["open b", "open a"]
    assert first.wall_s > 0 and first.cpu_s >= 0


def test_tools_of_the_stage_before_are_closed_even_if_the_next_opens_none() -> None:
    log: list[str] = []
    before, after = stage_with("before", log, "a"), stage_with("after", log, "b")
    toolbox = Toolbox()
    assert toolbox.tools(before, before.params(), before.resources())["a"]
    toolbox.tools(after, after.params(), after.resources())
    assert log == ["open a", "close a"] and not toolbox.opened
    toolbox.stack.close()
    assert log == ["open a", "close a"]


def test_other_settings_open_another_tool_and_an_unknown_name_is_an_error() -> None:
    log: list[str] = []
    stage = stage_with("s", log, "a")
    toolbox = Toolbox()
    params = stage.params()
    other = params.model_copy(update={"pilot": 0.5})
    assert toolbox.tools(stage, params, stage.resources())["a"]
    assert toolbox.tools(stage, other, stage.resources())["a"]
    assert log == ["open a", "open a"]
    with pytest.raises(KeyError):
        toolbox.tools(stage, params, stage.resources())["b"]
