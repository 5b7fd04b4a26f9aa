"""Only `inventory` and `build` list SOURCES; other commands use the recorded listing."""

import sys
from pathlib import Path

import pytest

from flows.cli import main
from tests.small_build import Build

_LOOKS: list[str] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("os.scandir", "os.listdir") and isinstance(arguments[0], str | Path):
        _LOOKS.append(str(arguments[0]))


sys.addaudithook(_note)  # a hook cannot be removed; it costs an append per folder


def looks(build: Build, tmp_path: Path, *command: str) -> list[str]:
    """Return the folders under SOURCES that this process lists during a command."""
    _LOOKS.clear()
    assert main([command[0], *build.arguments(tmp_path), *command[1:]]) == 0
    return [path for path in _LOOKS if path.startswith(str(build.sources))]


@pytest.mark.parametrize(
    "command",
    [("status",), ("tables",), ("verify", "--quick"), ("gc", "--dry-run"), ("explain", "cc3m_0_0"), ("stage", "plan")],
)
def test_a_command_after_the_inventory_lists_no_folder_of_sources(
    damaged: Build, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert looks(damaged, tmp_path, *command) == []


def test_the_inventory_lists_the_folders(damaged: Build, tmp_path: Path) -> None:
    assert looks(damaged, tmp_path, "inventory")
