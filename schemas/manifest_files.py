"""Read pinned facts from `manifests/`: TOML in, a validated value out, or an error that names file and key.

The models of the manifests are in schemas/manifests.py, schemas/corpora.py and schemas/model_manifests.py.
"""

import difflib
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"


class ManifestError(ValueError):
    """A manifest cannot be used; the message names the file and the key."""


class Manifest(BaseModel):
    """A pinned fact: frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=Manifest)


def load_manifest(path: Path, model: type[_Model], defaults: Mapping[str, Any] | None = None) -> _Model:
    """Return the checked content of a TOML file.

    Args:
        path: the file.
        model: the class that validates it.
        defaults: values of keys that the file may omit.

    Raises:
        ManifestError: the file cannot be read or has a fault.
    """
    try:
        found = path.stat()
        content = _content(path, found.st_ino, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise ManifestError(
            f"{shown(path)}: cannot be read ({error.strerror}): restore it or its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{shown(path)}: not TOML: {error}") from error
    try:
        return model.model_validate({**(defaults or {}), **content})
    except ValidationError as error:
        faults = [f"key {'.'.join(map(str, f['loc'])) or '(file)'}: {say_fault(f, model)}" for f in error.errors()]
        raise ManifestError(f"{shown(path)}: {'; '.join(faults)}") from error


@lru_cache(256)
def _content(path: Path, inode: int, size_bytes: int, mtime_ns: int) -> Mapping[str, Any]:
    """Return the parsed file, which must not be modified; a file that was replaced or changed since is parsed again."""
    return read_toml(path)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file, which an editor may have begun with a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError or RecursionError: it is not TOML; tomllib raises the latter for 1,000 brackets.
    """
    return tomllib.loads(path.read_text(encoding="utf-8-sig"))


def say_fault(fault: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return a fault that pydantic found in a file or setting, in the words of a user.

    Args:
        fault: an entry of `ValidationError.errors()`.
        model: the class that was to be made.
    """
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), list(model.model_fields), 1)
        return "there is no such key" + (f"; did you mean {near[0]}?" if near else "")
    if fault["type"] == "tuple_type":
        return 'expected a list, for example ["one", "other"]'
    if fault["type"] == "string_pattern_mismatch" and name in model.model_fields:
        meaning = model.model_fields[name].description
        return f"expected {meaning}" if meaning else str(fault["msg"])
    return str(fault["msg"]).removeprefix("Value error, ")  # pydantic's name for what a validator raises


def shown(path: Path) -> str:
    """Return a path for a message: relative to the project's folder if it is inside, else unchanged."""
    root = MANIFESTS.parent
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
