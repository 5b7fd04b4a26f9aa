"""The YAML block at the top of a dataset card, for the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from flows.ask.dataset_folder import File
from flows.ask.pairs_card import features_yaml
from flows.card.contents import Contents
from flows.card.files import PUBLISHED, Tars, find_metadata, find_tars
from flows.settings import DatasetSettings

# Upper bounds of the Hub's size_categories.
_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)  # fmt: skip
_HUB_SPLIT = {"train": "train", "val": "validation"}
_KEY = [{"name": "__key__", "dtype": "string"}, {"name": "__url__", "dtype": "string"}]
# Types of members in the Hub's webdataset loader; it infers those of layouts that are not listed.
_MEMBERS = {
    PUBLISHED: [*_KEY, *({"name": name, "dtype": "binary"} for name in ("caption", "img_content", "img_name"))],
    # Without them the loader takes types from the first samples of one tar, and fails where a column is empty there.
    "pairs": yaml.safe_load(features_yaml()),
}


def front_matter(dataset: DatasetSettings, contents: Contents, files: Sequence[File], schema: pa.Schema) -> str:
    """Return the block with its fences.

    Args:
        dataset: title of the dataset.
        contents: counts by half and split.
        files: the tars and metafiles.
        schema: schema of the metafiles.
    """
    tars = find_tars(files)
    # The Hub reads all configurations of a folder with one loader, so the metafiles, which are parquet, have none.
    configs = _tar_configs(tars, contents) or _metadata_configs(find_metadata(files), contents, schema)
    if configs:
        configs[0][0]["default"] = True
    content: dict[str, Any] = {
        "pretty_name": dataset.title,
        "license": "other",
        "license_name": "by-corpus-and-image",
        "license_link": "LICENSES.md",
        "language": ["en"],
        "task_categories": ["image-to-text", "text-to-image", "zero-shot-image-classification"],
        "size_categories": [size_category(contents.n_samples)],
        "tags": ["remote-sensing", "image-text-pairs", "webdataset", "croissant"],
        "configs": [config for config, _ in configs],
        "dataset_info": [described for _, described in configs if described is not None],
    }
    return f"---\n{yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)}---\n"


class _Plain(yaml.SafeDumper):  # type: ignore[misc]  # yaml has no types
    """Writes repeated lists in full, since many readers of cards do not support YAML references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def size_category(n: int) -> str:
    """Return the Hub's name for a number of samples."""
    return next((name for bound, name in _SIZES if n < bound), "100M<n<1B")


Config = tuple[dict[str, Any], dict[str, Any] | None]


def _tar_configs(tars: Sequence[Tars], contents: Contents) -> list[Config]:
    """Return the configurations: per layout one with both halves and one per half; readable layouts first."""
    found: list[Config] = []
    layouts = sorted({some.layout for some in tars}, key=lambda layout: (layout == PUBLISHED, layout))
    for layout in layouts:
        of_layout = [some for some in tars if some.layout == layout]
        halves = sorted({some.half for some in of_layout})
        for name, chosen in ((layout, halves), *((f"{layout}_{half}", [half]) for half in halves)):
            found.append(_tar_config(name, [some for some in of_layout if some.half in chosen], contents))
    return found


def _tar_config(name: str, tars: Sequence[Tars], contents: Contents) -> Config:
    halves, splits = {some.half for some in tars}, sorted({some.split for some in tars})
    data_files = [
        {"split": _HUB_SPLIT[split], "path": [some.pattern for some in tars if some.split == split]} for split in splits
    ]
    config = {"config_name": name, "data_files": data_files}
    members = _MEMBERS.get(tars[0].layout)
    if members is None:
        return config, None
    groups = [group for group in contents.groups if group.half in halves]
    figures: list[dict[str, Any]] = [
        {
            "name": _HUB_SPLIT[split],
            "num_bytes": sum(group.n_bytes for group in groups if group.split == split),
            "num_examples": sum(group.n_samples for group in groups if group.split == split),
        }
        for split in splits
    ]
    described = {
        "config_name": name,
        "features": members,
        "splits": figures,
        "download_size": sum(file.size_bytes for some in tars for file in some.files),
        "dataset_size": sum(figure["num_bytes"] for figure in figures),
    }
    return config, described


def _metadata_configs(metadata: Mapping[str, File], contents: Contents, schema: pa.Schema) -> list[Config]:
    found: list[Config] = []
    for half, file in metadata.items():
        name, n = f"{half}_metadata", contents.count("half").get(half, 0)
        config = {"config_name": name, "data_files": [{"split": "metadata", "path": file.name}]}
        described = {
            "config_name": name,
            "features": [_feature(column) for column in schema],
            "splits": [{"name": "metadata", "num_bytes": file.size_bytes, "num_examples": n}],
            "download_size": file.size_bytes,
            "dataset_size": file.size_bytes,
        }
        found.append((config, described))
    return found


def _feature(column: pa.Field) -> dict[str, str]:
    kind = column.type
    if pa.types.is_list(kind):
        return {"name": column.name, "sequence": _dtype(kind.value_type)}
    return {"name": column.name, "dtype": _dtype(kind)}


def _dtype(kind: pa.DataType) -> str:
    """Return the Hub's name of a type, which differs from Arrow's only for floats."""
    return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))
