"""Settings of one run: a profile, the overrides from the command line, checked against the stages' own classes.

A section is a module's name; its keys are the fields of the `Params` and `Resources` of the module's stages, and of
stages of other modules that name the section.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.set_values import quote_toml
from schemas.manifest_files import read_toml, say_fault
from stages.contract import InputError, Params, Resources, Stage, Uses
from stages.plurals import in_lines

Model = TypeVar("Model", bound=BaseModel)

PROFILES = Path(__file__).parent.parent / "manifests" / "profiles"


class RunSettings(BaseModel):
    """The section `run`: how much of the machine a run may use. Nothing here changes a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int = Field(2, ge=1, le=512, description="worker processes that compute at once")
    download_workers: int = Field(
        0, ge=0, le=512, description="worker processes that download at once, beside the others; 0: as many as workers"
    )
    model_workers: int = Field(
        0, ge=0, le=512, description="workers that run a model at once; 0: one for each GPU, or one without a GPU"
    )
    memory_gb: float = Field(4.0, gt=0.2, description="maximum resident memory of a worker, GB")
    total_memory_gb: float = Field(
        0.0, ge=0, description="maximum resident memory of all workers together, GB; 0: nine tenths of the machine's"
    )
    deadline_s: float = Field(4 * 3600.0, gt=0, description="maximum wall time of a partition, s")
    silence_s: float = Field(120.0, gt=0, description="time without a sign of life after which a worker is replaced, s")
    stall_s: float = Field(
        1800.0, gt=0, description="time without progress and CPU time after which a worker is replaced, s"
    )
    retries: int = Field(
        2, ge=0, le=20, description="further attempts at a partition after a failure outside the program"
    )
    backoff_s: float = Field(2.0, ge=0, description="wait before the first further attempt, doubled each time, s")
    reserve_gb: float = Field(1.0, ge=0, description="disk to keep free beyond the need of a stage, GB")
    preflight: bool = Field(True, description="refuse to build if something is missing that would stop the build later")
    grace_s: float = Field(6.0, ge=0, le=60, description="time for running partitions to finish after Ctrl-C, s")

    def n_workers(self, uses: Uses, n_gpus: int) -> int:
        """Return how many partitions that use a resource run at once if memory allows."""
        by_resource: dict[Uses, int] = {
            "cores": self.workers,
            "network": self.download_workers or self.workers,
            "gpu": self.model_workers or max(1, n_gpus),
        }
        return by_resource[uses]


class DatasetSettings(BaseModel):
    """The section `dataset`: facts for card and citation that are in no table. Nothing here changes a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field("RS5M, rebuilt", min_length=1, description="name of the dataset on its card")
    creators: tuple[str, ...] = Field((), description="publishers of the dataset: names of persons or organisations")
    url: str = Field("", pattern=r"^(https?://[!-~]+)?$", description="address of the published dataset")
    doi: str = Field("", pattern=r"^(10\.[0-9]{4,9}/[!-~]+)?$", description="DOI of the published dataset")


@dataclass(frozen=True)
class Settings:
    """A checked profile.

    Attributes:
        profile: its name.
        run: the section `run`.
        dataset: the section `dataset`.
        by_stage: parameters and resources of each stage, by stage name.
    """

    profile: str
    run: RunSettings
    by_stage: Mapping[str, tuple[Params, Resources]]
    dataset: DatasetSettings

    def params(self, stage: Stage) -> Params:
        """Return a stage's parameters."""
        return self.by_stage[stage.name][0]

    def resources(self, stage: Stage) -> Resources:
        """Return a stage's resources."""
        return self.by_stage[stage.name][1]


def load_settings(profile: str, overrides: Sequence[str], stages: Sequence[Stage]) -> Settings:
    """Return the settings of a profile with overrides of the form `section.key=value` laid over it.

    Raises:
        InputError: for an unknown profile, section or key, a wrong type or an impossible value.
    """
    said = {override.partition("=")[0].strip() for override in overrides}
    return check_settings(profile, sections_of(profile, overrides), stages, said)


def sections_of(profile: str, overrides: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the values of a profile and overrides, by section and key. Raises InputError as `load_settings`."""
    sections = _read_profile(profile)
    for override in overrides:
        section, key, value = _parse_override(override)
        sections.setdefault(section, {})[key] = value
    return sections


def toml_sections(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return sections as the text of a profile."""
    found = [
        "\n".join([f"[{section}]", *(f"{key} = {toml_value(value)}" for key, value in values.items()), ""])
        for section, values in sections.items()
    ]
    return "\n".join(found)


def check_settings(
    profile: str, sections: Mapping[str, Mapping[str, Any]], stages: Sequence[Stage], said: Collection[str] = ()
) -> Settings:
    """Return settings from plain sections, checked against the stages.

    Args:
        profile: its name.
        sections: values by section and key.
        stages: their params and resources are the known settings.
        said: which of the values are from SET, as section.key.

    Raises:
        InputError: names all that is unknown, of a wrong type or impossible.
    """
    models: dict[str, list[type[BaseModel]]] = {"run": [RunSettings], "dataset": [DatasetSettings]}
    for stage in stages:
        models.setdefault(stage.settings_section, []).extend((stage.params, stage.resources))
    faults = _unknown_names(profile, sections, models, said)
    for section, of_section in models.items():
        for model in dict.fromkeys(of_section):
            faults += _faulty_values(model, sections.get(section, {}), section)
    _refuse(list(dict.fromkeys(faults)))  # stages of a section may share a setting
    by_stage = {}
    for stage in stages:
        values = sections.get(stage.settings_section, {})
        by_stage[stage.name] = (_build(stage.params, values), _build(stage.resources, values))
    run, dataset = sections.get("run", {}), sections.get("dataset", {})
    return Settings(profile, _build(RunSettings, run), by_stage, _build(DatasetSettings, dataset))


def render_settings(settings: Settings, stages: Sequence[Stage]) -> str:
    """Return all settings as TOML, each with its meaning and whether it enters fingerprints."""
    lines = [f"# profile {settings.profile}, in full", "", "[run]", *_render(settings.run, "")]
    lines += ["", "[dataset]", *_render(settings.dataset, "")]
    for section in dict.fromkeys(stage.settings_section for stage in stages):
        rows: dict[str, str] = {}
        for stage in (s for s in stages if s.settings_section == section):
            for model, note in ((settings.params(stage), "changes rows"), (settings.resources(stage), "")):
                rows |= {line.split(" = ")[0]: line for line in _render(model, note)}
        if rows:
            lines += ["", f"[{section}]", *rows.values()]
    return "\n".join(lines)


def _render(model: BaseModel, note: str) -> list[str]:
    lines = []
    for name, info in type(model).model_fields.items():
        comment = "; ".join(text for text in (info.description or "", note) if text)
        lines.append(f"{name} = {toml_value(getattr(model, name))}" + (f"  # {comment}" if comment else ""))
    return lines


def toml_value(value: Any) -> str:
    """Return a setting's value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quote_toml(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _read_profile(profile: str) -> dict[str, dict[str, Any]]:
    path = Path(profile) if profile.endswith(".toml") else PROFILES / f"{profile}.toml"
    if not path.exists():
        names = sorted(p.stem for p in PROFILES.glob("*.toml"))
        raise InputError(
            f"no profile {profile!r}{_nearest(profile, names)}; profiles: {', '.join(names)}, or a .toml file"
        )
    try:
        sections = read_toml(path)
    except OSError as error:
        raise InputError(f"profile {profile}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"profile {path.name} is not valid TOML: {error}") from error
    outside = [name for name, values in sections.items() if not isinstance(values, dict)]
    _refuse([f"profile {path.name}: {name!r} is outside a section: write it below [section]" for name in outside])
    return sections


def _parse_override(override: str) -> tuple[str, str, Any]:
    name, equals, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not equals or not dot or not key:
        raise InputError(f"{override!r} is not a setting: write section.key=value, for example dedup.max_distance=4")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError):  # the latter for 1,000 brackets
        value = text.strip()  # a bare word is a string
    return section, key, value


def _refuse(faults: Sequence[str]) -> None:
    """Raise InputError that names all faults; each is then mended once, not run by run."""
    if len(faults) > 1:
        raise InputError(f"{len(faults)} faults in the settings:\n{in_lines(faults, len(faults))}")
    if faults:
        raise InputError(faults[0])


def _unknown_names(
    profile: str,
    sections: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Sequence[type[BaseModel]]],
    said: Collection[str],
) -> list[str]:
    faults = []
    for section, values in sections.items():
        where = {key: "SET" if f"{section}.{key}" in said else f"profile {profile}" for key in values}
        if section not in models:
            places = " and ".join(dict.fromkeys(where.values())) or f"profile {profile}"  # an empty section
            faults.append(_unknown(section, models, "section", places))
            continue
        known = {name for model in models[section] for name in model.model_fields}
        faults += [_unknown(key, known, f"setting of {section}", where[key]) for key in values if key not in known]
    return faults


def _unknown(name: str, known: Any, what: str, where: str) -> str:
    listed = ", ".join(sorted(known)) or "none"
    return f"{where}: {name!r} is not a {what}{_nearest(name, known)}; known: {listed}"


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1, 0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _own(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in model.model_fields}


def _build(model: type[Model], values: Mapping[str, Any]) -> Model:
    return model(**_own(model, values))


def _faulty_values(model: type[BaseModel], values: Mapping[str, Any], section: str) -> list[str]:
    """Return what is wrong with the values of a class's own fields, one sentence each."""
    faults, own = [], _own(model, values)
    for key, value in list(own.items()):
        if isinstance(value, bool) != (model.model_fields[key].annotation is bool):
            expected = "another type" if isinstance(value, bool) else "true or false"
            faults.append(f"{section}.{key} = {value!r}: {expected} is expected")
            del own[key]
    try:
        model(**own)
    except ValidationError as error:
        faults += [
            f"{section}.{'.'.join(map(str, e['loc']))} = {e['input']!r}: {say_fault(e, model)}" for e in error.errors()
        ]
    return faults
