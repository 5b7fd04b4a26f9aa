"""How a pinned fact is read from `manifests/`: TOML in, a checked value out, or an error that names file and key.

Not for what the facts are: those are schemas/manifests.py and schemas/model_manifests.py.
"""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"


class ManifestError(ValueError):
    """A manifest cannot be used: the message names the file and the key."""


class Manifest(BaseModel):
    """A pinned fact: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=Manifest)


def load_manifest(path: Path, model: type[_Model]) -> _Model:
    """Return what a TOML file says. Raises ManifestError."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); it belongs to the repository") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: not TOML: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [f"key {'.'.join(map(str, f['loc'])) or '(file)'}: {f['msg']}" for f in error.errors()]
        raise ManifestError(f"{path}: {'; '.join(faults)}") from error
