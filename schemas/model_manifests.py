"""The models that stages use, as pinned in manifests/models.toml, and the prompts of the outlier filter.

Models are loaded in stages/models/.
"""

import re
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.manifest_files import MANIFESTS, Manifest, ManifestError, load_manifest

Grammar = Literal["published", "english"]
_ARTICLE = re.compile(r"\b(a)(?= [aeiou])", re.IGNORECASE)
LIBRARIES = {
    "scorer": ("open_clip", "transformers"),
    "captioner": ("transformers",),
    "detector": ("ultralytics", "timm"),
}
PLACE = "{noun}"


class Model(Manifest):
    """One pinned model.

    Attributes:
        name: its name in settings, and the name of its folder.
        repository: where it is published, or the command that makes it if it is made here.
        revision: commit of the repository; "main" if unknown, "own" for a model made here or by the user.
        folder: path under manifests/ for a committed model; "" if it is in `<models folder>/<name>/`.
        weights_sha256: sha256 of its safetensors file, or the digest by `weights_digest` if there are several; "" if
            the folder must contain SHA256SUMS.
        adapter: folder of a PEFT adapter in the model's folder; "" for none. The lines of how_to_get that name it are
            its own commands.
        language_model_licence: of a captioner, the licence of the language model that writes the captions.
        files: names of the repository's files that the model needs, and patterns of further ones to fetch; empty if
            nothing is fetched.
        weights_note: notes on the weights: further licences, how the revision was found.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    task: Literal["scorer", "captioner", "detector"]
    library: Literal["open_clip", "transformers", "ultralytics", "timm"]
    repository: str = Field(min_length=1)
    revision: str = Field(pattern=r"^([0-9a-f]{40}|main|own)$")
    folder: str = ""
    weights_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    precision: Literal["float32", "float16", "bfloat16"]
    licence: str = Field(min_length=1)
    language_model_licence: str = ""
    weights_note: str = ""
    adapter: str = ""
    gpu_gb: float = Field(0.0, ge=0)
    download_gb: float = Field(0.0, ge=0)
    files: tuple[str, ...] = ()
    how_to_get: str = Field(min_length=1)
    date_checked: date

    @field_validator("folder", "adapter")
    @classmethod
    def _check_folder(cls, folder: str) -> str:
        if folder.startswith("/") or ".." in Path(folder).parts:
            raise ValueError(f"expected a folder inside another, without ..; found {folder!r}")
        return folder

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        if self.library not in LIBRARIES[self.task]:
            raise ValueError(f"a {self.task} comes from {' or '.join(LIBRARIES[self.task])}, not {self.library}")
        if self.files and self.revision == "own":
            raise ValueError("revision states that there is no repository, but files are fetched from one")
        if (self.task == "captioner") != bool(self.language_model_licence):
            raise ValueError("only captioners state language_model_licence")
        if self.adapter and not self.folder and self.adapter not in self.how_to_get:
            raise ValueError(f"how_to_get has no command for the adapter {self.adapter}")
        if self.folder and not self.weights_sha256:
            raise ValueError("a committed model needs weights_sha256")
        return self


class _Models(Manifest):
    models: tuple[Model, ...] = Field(alias="model", min_length=1)


class Prompts(Manifest):
    """The prompts for "remote sensing image": every noun in every form."""

    reference: str = Field(min_length=1)
    nouns: tuple[str, ...] = Field(min_length=1)
    forms: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_forms(self) -> Self:
        if wrong := [form for form in self.forms if form.count(PLACE) != 1]:
            raise ValueError(f"expected {PLACE} once in each form, found {wrong}")
        if len(set(self.texts())) != len(self.nouns) * len(self.forms):
            raise ValueError("a prompt occurs twice")
        return self

    def texts(self, grammar: Grammar = "published") -> tuple[str, ...]:
        """Return the prompts, noun by noun: "a aerial image" as published, "an aerial image" in English."""
        found = tuple(form.replace(PLACE, noun) for noun in self.nouns for form in self.forms)
        return found if grammar == "published" else tuple(_ARTICLE.sub(r"\1n", text) for text in found)

    def all_texts(self) -> tuple[str, ...]:
        """Return the prompts in every grammar, sorted."""
        return tuple(sorted({*self.texts("published"), *self.texts("english")}))


def load_models(path: Path = MANIFESTS / "models.toml") -> dict[str, Model]:
    """Return the models by name, in the manifest's order. Raises ManifestError."""
    models = load_manifest(path, _Models).models
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ManifestError(f"{path}: key model.name: {twice} named twice")
    return dict(zip(names, models, strict=True))


def load_prompts(path: Path = MANIFESTS / "prompts.toml") -> Prompts:
    """Return the prompts of the outlier filter. Raises ManifestError."""
    return load_manifest(path, Prompts)
