"""Read pinned facts from `manifests/`: TOML in, a validated value out, or an error that names file and key.

The models of the manifests are in schemas/manifests.py, schemas/corpora.py and schemas/model_manifests.py.
"""

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
            f"{shown(path)}: cannot be read ({error.strerror}); it belongs to the repository"
        ) from error
    except (ValueError, RecursionError) as error:  # tomllib raises others for 5,000 digits or 1,000 brackets
        raise ManifestError(f"{shown(path)}: not TOML: {error}") from error
    try:
        return model.model_validate({**(defaults or {}), **content})
    except ValidationError as error:
        faults = [f"key {'.'.join(map(str, f['loc'])) or '(file)'}: {f['msg']}" for f in error.errors()]
        raise ManifestError(f"{shown(path)}: {'; '.join(faults)}") from error


@lru_cache(256)
def _content(path: Path, inode: int, size_bytes: int, mtime_ns: int) -> Mapping[str, Any]:
    """Return the parsed file, which nobody changes; one that was replaced or changed since is parsed anew."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def shown(path: Path) -> str:
    """Return a path for a message: relative to the project's folder if it is inside, else unchanged."""
    root = MANIFESTS.parent
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
