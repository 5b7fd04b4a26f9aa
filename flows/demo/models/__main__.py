"""Trains demo models and records their accuracy: `python -m flows.demo.models [all|NAME ...]`."""

import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

MODELS = Path(__file__).resolve().parents[3] / "manifests" / "models"
QUALITY = "QUALITY.md"
TITLE = """# How good the demo models are

Measured by `python -m flows.demo.models`, which also trains them: on generated scenes of seeds and compositions that \
training never saw. They know generated scenes and nothing else.
"""
# Name to module and function; the function writes the model's folder under `out` and returns its section.
TRAINERS = {
    "clip": ("flows.demo.models.clip", "train_first"),
    "clip2": ("flows.demo.models.clip", "train_second"),
    "blip2": ("flows.demo.models.blip2", "train"),
    "yolo": ("flows.demo.models.yolo", "train"),
}


def main(names: Sequence[str]) -> None:
    """Train the named models one after another; without names, all."""
    chosen = list(TRAINERS) if not names or "all" in names else list(names)
    if unknown := [name for name in chosen if name not in TRAINERS]:
        raise SystemExit(f"no demo model {', '.join(unknown)}: expected all or some of {', '.join(TRAINERS)}")
    MODELS.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        module, function = TRAINERS[name]
        section = getattr(importlib.import_module(module), function)(MODELS)
        print(section)
        keep_section(MODELS / QUALITY, section)


def keep_section(path: Path, section: str) -> None:
    """Replace or add a section of QUALITY.md, found by its heading; sections are sorted by heading."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = {part.split("\n", 1)[0]: part.strip() for part in re.split(r"^(?=## )", text, flags=re.M)[1:]}
    found[section.strip().split("\n", 1)[0]] = section.strip()
    path.write_text("\n\n".join([TITLE.strip(), *(found[key] for key in sorted(found))]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
