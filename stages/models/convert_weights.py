"""Convert a pickle of weights to safetensors: `python -m stages.models.convert_weights IN.bin OUT.safetensors`.

The pickle is read by torch's allow-list (weights_only) in a child process. For detectors see convert_detector.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stages.contract import InputError

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 1800  # 30 GB from a slow disk
_IN_CHILD = "RS5M_CONVERTS_IN_CHILD"


def main(arguments: Sequence[str]) -> int:
    """Run the command line in a child process without the user's environment; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stages.models.convert_weights", description=__doc__)
    parser.add_argument("pickle", type=lambda text: Path(text).absolute(), metavar="IN")
    parser.add_argument("weights", type=lambda text: Path(text).absolute(), metavar="OUT.safetensors")
    options = parser.parse_args(arguments)
    try:
        if _IN_CHILD in os.environ:
            convert(options.pickle, options.weights)
            return 0
        if not options.pickle.is_file() or options.weights.suffix != ".safetensors" or options.weights.exists():
            raise InputError(
                f"expected an existing file IN and a new file OUT.safetensors, found {options.pickle} and"
                f" {options.weights}. Name others"
            )
    except InputError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="convert-") as home:
        environment = {"PATH": os.defpath, "HOME": home, "TMPDIR": home, "PYTHONPATH": str(ROOT), _IN_CHILD: "1"}
        command = [sys.executable, "-m", "stages.models.convert_weights", str(options.pickle), str(options.weights)]
        return subprocess.run(command, env=environment, cwd=home, timeout=TIMEOUT_S, check=False).returncode


def convert(pickle: Path, weights: Path) -> None:
    """Write the tensors of a pickled state dictionary as safetensors.

    Raises:
        InputError: the file has content other than tensors by name.
    """
    import pickle as pickles

    import torch
    from safetensors.torch import save_file

    try:
        found = torch.load(pickle, map_location="cpu", weights_only=True)
    except (pickles.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{pickle} cannot be read by allow-list: {' '.join(str(error).split())[:300]}. Reading it without the list"
            " would run any code its author put in: ask for safetensors"
        ) from error
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(values, torch.Tensor) for values in found.values()):
        raise InputError(f"{pickle} should hold tensors by name, found {type(found).__name__}. Name another file")
    # Cloned: tensors that share memory cannot be written.
    save_file({name: values.clone().contiguous() for name, values in found.items()}, weights, {"format": "pt"})
    print(f"{weights}: {len(found)} tensors")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
