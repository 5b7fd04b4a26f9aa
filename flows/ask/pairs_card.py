"""`pairs/README.md`: how to read the tars of the layout pairs, and the types of their members for Hugging Face.

Without stated types, Hugging Face's loader takes them from the first five samples of one tar, and fails if that tar is
empty or if its images have different formats.
"""

from __future__ import annotations

import pyarrow as pa

from schemas.fields import FIELD
from stages.shard.pairs import EXTENSIONS, MEMBER_COLUMNS

_LOADERS = """
# Image, text and JSON pairs

Each sample has three members: `KEY.jpg` (or `.png`, `.webp`), `KEY.txt` (the published text) and `KEY.json` (all texts,
scores, position, rights and sizes: the columns below). Tars without samples exist too, so that every number is there.

    webdataset.WebDataset("train/pub11-train-{0000..NNNN}.tar").decode("pil").to_tuple("jpg;png;webp", "txt")
    datasets.load_dataset("this folder", split="train")
    python -m open_clip_train.main --dataset-type webdataset --model ViT-B-32 \\
        --train-data "train/pub11-train-{0000..NNNN}.tar::train/rs3-train-{0000..NNNN}.tar"

NNNN is the last number in the folder. open_clip's trainer needs `webdataset<=0.2.86` (its extra `training` installs
it), and takes the number of samples of an epoch from `sizes.json`. JPEG files keep their EXIF orientation, which
readers apply or ignore.
"""


def pairs_card() -> str:
    """Return the card: the types of all members as YAML, and a paragraph for each loader."""
    columns = "\n".join(f"| `{name}` | {FIELD[name].unit} | {FIELD[name].meaning} |" for name in MEMBER_COLUMNS)
    table = f"\n## Columns of KEY.json\n\n| column | unit | meaning |\n|---|---|---|\n{columns}\n"
    return f"---\n{_configs()}dataset_info:\n  features:\n{features_yaml('  ')}---\n{_LOADERS}{table}"


def features_yaml(indent: str = "") -> str:
    """Return the features of the layout pairs as a YAML list, as in `dataset_info` of a Hugging Face card."""
    lines = [line for name in EXTENSIONS for line in (f"- name: {name}", "  dtype: image")]
    lines += ["- name: json", "  struct:"]
    for name in MEMBER_COLUMNS:
        lines += [f"  - name: {name}", f"    {_type(FIELD[name].type)}"]
    lines += [line for name in ("txt", "__key__", "__url__") for line in (f"- name: {name}", "  dtype: string")]
    return "".join(f"{indent}{line}\n" for line in lines)


def _configs() -> str:
    splits = "".join(f"  - split: {split}\n    path: {split}/*.tar\n" for split in ("train", "val"))
    return f"configs:\n- config_name: default\n  data_files:\n{splits}"


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list: {_name(kind.value_type)}"
    return f"dtype: {_name(kind)}"


def _name(kind: pa.DataType) -> str:
    return {"double": "float64"}.get(str(kind), str(kind))
