"""Convert an ultralytics checkpoint, a pickle, to a folder: `python -m stages.models.convert_detector IN.pt OUT`.

A pickle may run code, so it is opened in a child process by allow-list; --trust is needed to open it without one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.contract import InputError
from stages.models.detector_description import (
    DESCRIPTION,
    REMOTE_SENSING,
    DetectorDescription,
    check_description,
)
from stages.models.yolo_detector import WEIGHTS, build_classifier, import_ultralytics

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600
_IN_CHILD = "RS5M_CONVERTS_IN_CHILD"
_MAX_DIFFERENCE = 1e-4  # of probabilities before and after; the layers are the same, so they differ only by rounding


def main(arguments: Sequence[str]) -> int:
    """Run the command line in a child process; return the exit code."""
    options = _parse(arguments)
    try:
        if _IN_CHILD in os.environ:
            convert(options.checkpoint, options.folder, options.positive, is_trusted=options.trust)
            return 0
        _check_paths(options.checkpoint, options.folder)
    except InputError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 2
    return _run_child(arguments)


def convert(checkpoint: Path, folder: Path, positive: str, *, is_trusted: bool) -> None:
    """Write weights, description and digests of a checkpoint into a new folder; the class `positive` is renamed.

    Raises:
        InputError: the checkpoint needs --trust, or has no classifier that can be rebuilt from its layers.
    """
    import yaml
    from safetensors.torch import save_file

    model, training = _open_model(checkpoint, is_trusted)
    description = _describe(model, training, positive, str(checkpoint))
    weights = {name: values.contiguous().clone() for name, values in model.state_dict().items()}
    _compare(model, description, weights, str(checkpoint))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS)
    (folder / DESCRIPTION).write_text(yaml.safe_dump(description.model_dump(mode="json"), sort_keys=False))
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (DESCRIPTION, WEIGHTS)}
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
    print(f"{folder}: {DESCRIPTION}, {WEIGHTS}, SHA256SUMS; classes {list(description.names)}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.models.convert_detector", description=__doc__)
    parser.add_argument("checkpoint", type=lambda text: Path(text).absolute(), metavar="IN.pt")
    parser.add_argument("folder", type=lambda text: Path(text).absolute(), metavar="OUT_FOLDER")
    parser.add_argument(
        "--positive",
        default=REMOTE_SENSING,
        metavar="NAME",
        help=f"the checkpoint's name of the class {REMOTE_SENSING}",
    )
    parser.add_argument("--trust", action="store_true", help="allow the checkpoint to run code while it is read")
    return parser.parse_args(arguments)


def _check_paths(checkpoint: Path, folder: Path) -> None:
    if checkpoint.suffix != ".pt" or not checkpoint.is_file():
        raise InputError(f"expected a checkpoint of ultralytics, a file IN.pt; {checkpoint} is not one. Name another")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"expected a new folder for the result; {folder} has files in it. Name another")


def _run_child(arguments: Sequence[str]) -> int:
    """Run this command again without the user's environment, which is not a sandbox but hides the user's secrets."""
    options = _parse(arguments)
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, str(options.checkpoint)]
    command += [str(options.folder), "--positive", options.positive, *(["--trust"] if options.trust else [])]
    with tempfile.TemporaryDirectory(prefix="convert-") as home:
        environment = {"PATH": os.defpath, "HOME": home, "TMPDIR": home, "PYTHONPATH": str(ROOT), _IN_CHILD: "1"}
        try:
            return subprocess.run(command, env=environment, cwd=home, timeout=TIMEOUT_S, check=False).returncode
        except subprocess.TimeoutExpired:
            print(f"ERROR {options.checkpoint} was not converted within {TIMEOUT_S} s. Name another", file=sys.stderr)
            return 2


def _open_model(path: Path, is_trusted: bool) -> tuple[torch.nn.Module, dict[str, Any]]:
    import torch

    layers = import_ultralytics()
    if is_trusted:
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    else:
        try:
            checkpoint, _ = layers.torch_safe_load(str(path), safe_only=True)
        except (TypeError, RuntimeError, EOFError) as error:
            met = str(error.__cause__ or error)
            # torch's message names the refused object after its advice to load everything.
            named = re.search(r"GLOBAL (\S+)", met)
            met = f"it holds {named[1]}" if named else " ".join(met.split())[:200]
            raise InputError(
                f"{path} cannot be read by allow-list: {met}. Reading it without the list would run"
                " any code its author put in. If you trust the author, repeat with --trust on an isolated machine;"
                " else ask for safetensors"
            ) from error
        except AttributeError as error:  # raised for a file with neither a dictionary nor a model
            raise InputError(f"{path} should hold an ultralytics classifier: {error}. Name another") from error
    candidate = checkpoint.get("ema") or checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(candidate, layers.ClassificationModel):
        raise InputError(
            f"{path} should hold an ultralytics classifier, found {type(candidate).__name__}. Name another"
        )
    return candidate.float().eval(), dict(checkpoint.get("train_args") or {})


def _describe(model: Any, training: dict[str, Any], positive: str, where: str) -> DetectorDescription:
    import torch

    names = [model.names[n] for n in sorted(model.names)]
    epsilons = {module.eps for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)}
    if len(epsilons) != 1:
        raise InputError(f"{where} should have one batch-norm epsilon, found {sorted(epsilons)}: save it unfused")
    if positive not in names:
        raise InputError(f"{where} has the classes {names}, without {positive!r}: name one with --positive")
    kept = {key: model.yaml[key] for key in ("nc", "scale", "scales", "backbone", "head") if key in model.yaml}
    facts = {
        "names": [REMOTE_SENSING if name == positive else name for name in names],
        "input_px": _input_px(model, training, where),
        "batch_norm_eps": epsilons.pop(),
    }
    return check_description({**kept, **facts}, where)


def _input_px(model: Any, training: dict[str, Any], where: str) -> int:
    """Return the side of the input, after checking that images are only scaled and cropped."""
    for step in getattr(getattr(model, "transforms", None), "transforms", ()):
        if type(step).__name__ == "Normalize" and (any(step.mean) or any(value != 1 for value in step.std)):
            raise InputError(f"{where} shifts colours by {step.mean}, {step.std}: expected colours in [0, 1]")
        if type(step).__name__ == "Resize":
            return int(step.size if isinstance(step.size, int) else step.size[0])
    if not isinstance(training.get("imgsz"), int):
        raise InputError(f"{where} should state the size of its input (imgsz), found {training.get('imgsz')!r}")
    return int(training["imgsz"])


def _compare(model: Any, description: DetectorDescription, weights: dict[str, Any], where: str) -> None:
    import torch

    rebuilt = build_classifier(description)
    try:
        rebuilt.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise InputError(
            f"{where} has layers that differ from its description: {' '.join(str(error).split())[:300]}"
        ) from error
    side_px = description.input_px
    pixels = torch.rand((2, 3, side_px, side_px), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        difference = float((model(pixels)[0] - rebuilt.eval()(pixels)[0]).abs().max())
    if not difference <= _MAX_DIFFERENCE:
        raise InputError(f"{where} gives other probabilities once rebuilt: difference {difference}, not converted")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
