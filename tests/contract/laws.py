"""Checks of laws that no single outcome shows, for the real stages and for the broken toy stages."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from flows.run.executor import InlineExecutor
from schemas.manifests import load_models
from stages.contract import Stage
from tests.small_build import Build, assert_same_contents, contents


def toy_build(name: str, folder: Path, **sections: Mapping[str, Any]) -> Build:
    """Return an empty build of a pipeline of tests/contract/broken.py."""
    from tests.contract import broken

    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    run = {"backoff_s": 0.0, "reserve_gb": 0.0, **sections.pop("run", {})}
    return Build(
        folder / "build", sources, {"run": run, **sections}, getattr(broken, name), f"tests.contract.broken:{name}"
    )


def run_toy(build: Build) -> None:
    """Run a toy pipeline in this process."""
    build.run(InlineExecutor(), ["toy"])


def assert_pure(make_build: Callable[[str], Build], run: Callable[[Build], object]) -> None:
    """Fail if two builds of the same input differ."""
    builds = [make_build(name) for name in ("once", "twice")]
    for build in builds:
        run(build)
    assert_same_contents(contents(builds[0]), contents(builds[1]))


def assert_independent_of_partitioning(one: Build, other: Build, but: tuple[str, ...] = ()) -> None:
    """Fail if builds of the same input under two partitionings differ, except in the tables of `but`."""
    n_parts = [{s.name: len(b.ledger().state(s).partitions) for s in b.stages} for b in (one, other)]
    assert n_parts[0] != n_parts[1], "both builds have the same partitions, so the comparison shows nothing"
    first, second = contents(one), contents(other)
    for found in (first, second):
        for name in [name for name in found if name.endswith("_counts")]:
            totals: dict[str, int] = {}
            for _, counts in found[name]:
                for reason, n in counts:
                    totals[reason] = totals.get(reason, 0) + n
            found[name] = totals
    assert_same_contents(first, second, but)


def dependents(stages: tuple[Stage, ...], changed: set[str]) -> set[str]:
    """Return the names of the stages that depend, directly or indirectly, on the changed ones.

    An observing stage never becomes stale and passes nothing on before its next observation.
    """
    found = set(changed)
    writes = {stage.writes.name: stage.name for stage in stages}
    for stage in stages:  # in topological order
        if stage.keeps == "current" and any(writes[reads.table] in found for reads in stage.reads):
            found.add(stage.name)
    return found - changed


def changed_value(current: BaseModel, name: str) -> Any:
    """Return an allowed value of a setting other than its current one."""
    model = type(current)
    for value in _others(current.model_dump()[name]):
        try:
            found = getattr(model(**{name: value}), name)
        except ValueError:
            continue
        if found != getattr(current, name):
            return value
    raise AssertionError(f"no other value of {model.__name__}.{name} is known: teach tests/contract/laws.py one")


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * 2 + 0.01, value / 2]
    if isinstance(value, str):
        models = load_models()
        if value in models:
            return [name for name, model in models.items() if model.task == models[value].task and name != value]
        return [
            "keypoints",
            "hashes",
            "features",
            "transient",
            "absolute",
            "quantile",
            "raw",
            "english",
            "top",
            "text_first",
            "remove",
            "TEXT",
            "all",
            "rs5m",
            "pub11",
            "released",
            "generated",
            "redistributable",
            "keep",
            "upright",
            "random",
            "you@example.org",
            value + "x",
        ]
    if isinstance(value, dict):
        return [{"laion2b": 0.5}]
    if isinstance(value, list | tuple):
        return [list(value)[::-1], list(value)[:-1], ["laion2b"], ["TEXT"]]
    return []


def with_version(stages: tuple[Stage, ...], name: str, by: int = 1) -> tuple[Stage, ...]:
    """Return the stages, with the version of one raised."""
    return tuple(replace(s, version=s.version + by) if s.name == name else s for s in stages)
