"""The tools of stages in one process: opened when first asked for, kept for the stage's next partition.

Not for choosing tools or checking their identity: stages declare them, the worker compares.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from flows.ledger.cpu import cpu_seconds
from stages.contract import Stage, Tool
from stages.identity import digest_json


@dataclass
class Toolbox:
    """The tools opened in this process for one stage, each once: the next stage's models need their memory."""

    stack: ExitStack = field(default_factory=ExitStack)
    opened: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    has_model: bool = False

    def tools(self, stage: Stage, params: Any, resources: Any) -> Tools:
        """Return the stage's tools by name; those of another stage are closed first."""
        if stage.name != self.stage:
            if self.opened:
                self.opened.clear()
                self.stack.close()
            if self.has_model:
                gc.collect()  # a model's memory; a quarter of a second once torch is imported
            self.stage, self.has_model = stage.name, False
        return Tools(self, stage, params, resources)

    def open(self, tool: Tool, params: Any, resources: Any) -> Any:
        """Return a tool of the current stage."""
        key = digest_json([tool.name, params.model_dump(mode="json"), resources.model_dump(mode="json")])
        if key not in self.opened:
            self.opened[key] = self.stack.enter_context(tool.open(params, resources))
        return self.opened[key]


class Tools(Mapping[str, Any]):
    """The tools of a stage by name; each is opened on first use: a partition may not need it.

    Attributes:
        wall_s: elapsed seconds spent on opening them so far.
        cpu_s: the same in CPU seconds, of this process and its children.
    """

    def __init__(self, toolbox: Toolbox, stage: Stage, params: Any, resources: Any) -> None:
        """Take the stage, and the parameters and resources to open its tools with."""
        self._toolbox, self._stage = toolbox, stage
        self._params, self._resources = params, resources
        self._by_name = {tool.name: tool for tool in stage.tools}
        self._found: dict[str, Any] = {}
        self.wall_s = self.cpu_s = 0.0

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            tool, started, started_cpu_s = self._by_name[name], time.time(), cpu_seconds()
            self._toolbox.has_model |= self._stage.has_model
            self._found[name] = self._toolbox.open(tool, self._params, self._resources)
            self.wall_s += time.time() - started
            self.cpu_s += cpu_seconds() - started_cpu_s
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)
