"""The printed report of `make preflight`: models, gaps, and costs by stage with the basis of each figure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from flows.preflight.gaps import Gap
from flows.preflight.machine import Gpu
from flows.preflight.models import Need
from flows.preflight.stage_forecast import StageForecast
from flows.watch.pace import duration
from stages.plurals import counted

_WIDTH = 118
_QUOTED = re.compile(r"`[^`]*`")
_SHORT_S = 100.0  # stages that cost less are summed in one line
Line = tuple[str, str]  # text and style


def model_lines(needs: Sequence[Need], gaps: Sequence[Gap], gpus: Sequence[Gpu], unread: int) -> Iterator[Line]:
    """Yield each model once, with its state, licence and stages.

    Args:
        needs: the models that stages will open.
        gaps: those of kind "model" name the faults.
        gpus: of this machine.
        unread: weight files whose digest there was no time to read.
    """
    if needs:
        yield "models", "bold"
    faulty = {gap.name for gap in gaps if gap.kind == "model"}
    for need in {need.model.name: need for need in needs}.values():
        model = need.model
        stages = ", ".join(dict.fromkeys(one.stage for one in needs if one.model.name == model.name))
        state = "NOT READY" if model.name in faulty else "ready"
        gpu = f", GPU {model.gpu_gb:g} GB" if model.gpu_gb else ""
        yield (
            f"  {model.name:<18} {state:<10} {stages}{gpu}; licence: {model.licence}",
            "red" if model.name in faulty else "",
        )
        if model.revision == "main":
            yield f"  {'':<18} {'':<10} no commit is pinned: `make weights` takes today's, SHA256SUMS pins it", ""
    unknown = dict.fromkeys(gpu.name for gpu in gpus if gpu.memory_gb is None)
    if unknown and any(need.model.gpu_gb for need in needs):
        yield f"  whether they fit on {', '.join(unknown)} was not compared: nvidia-smi states no memory", "yellow"
    if unread:
        yield (
            f"  too large to be read in seconds: {counted(unread, 'weight file')}; `make weights` reads them once",
            "yellow",
        )


def gap_lines(gaps: Sequence[Gap]) -> Iterator[Line]:
    """Yield the gaps, those that stop a build first."""
    if not gaps:
        yield "no gaps: nothing that the build needs is missing", "bold"
    for is_fatal, effect, style in ((True, "would stop a build", "red"), (False, "would stop nothing", "yellow")):
        found = [gap for gap in gaps if gap.is_fatal == is_fatal]
        if found:
            yield f"{counted(len(found), 'gap')} that {effect}", "bold"
        for gap in found:
            yield from ((line, style) for line in _wrap(f"{gap.kind} {gap.name}: {gap.problem}"))
            if gap.remedy:
                yield from ((line, "") for line in _wrap(f"→ {gap.remedy}", 6))


def cost_lines(forecast: Sequence[StageForecast], gpus: Sequence[Gpu]) -> Iterator[Line]:
    """Yield the costs that are left, by stage; short ones are summed."""
    left = [one for one in forecast if one.share_left and one.n_rows]
    shown = [one for one in left if _is_shown(one)]
    yield (
        f"costs of the stages left to run ({len(left)} of {len(forecast)} stages; GPU of this machine: {_gpus(gpus)})",
        "bold",
    )
    yield (
        f"  {'stage':<19} {'rows left':>14} {'CPU':>8} {'GPU':>8} {'time':>8}  {'range':<19} {'disk GB':>8}  rests on",
        "",
    )
    for one in shown:
        share = one.share_left
        gpu = duration(one.gpu_s * share) if one.gpu_s else ""
        span = f"{duration(one.wall_s * share * one.low)} to {duration(one.wall_s * share * one.high)}"
        yield (
            f"  {one.stage:<19} {one.n_rows * share:>14,.0f} {duration(one.cpu_s * share):>8} {gpu:>8}"
            f" {duration(one.wall_s * share):>8}  {span:<19} {one.disk_bytes * share / 1e9:>8,.2f}  {one.basis}"
        ), ""  # fmt: skip
    rest = [one for one in left if not _is_shown(one)]
    if rest:
        cpu_s, disk = (sum(getattr(one, name) * one.share_left for one in rest) for name in ("cpu_s", "disk_bytes"))
        name, bases = f"{len(rest)} others", "; ".join(sorted({one.basis for one in rest if "shipped" in one.basis}))
        yield f"  {name:<19} {'':>14} {duration(cpu_s):>8} {'':>8} {'':>8}  {'':<19} {disk / 1e9:>8,.2f}  {bases}", ""
    low, high = (sum(o.wall_s * o.share_left * getattr(o, name) for o in left) for name in ("low", "high"))
    down = sum(one.down_bytes * one.share_left for one in left)
    urls = sum(one.n_rows * one.share_left for one in left if one.down_bytes)
    cpu, gpu_s, wall, disk = (
        sum(getattr(one, name) * one.share_left for one in left) for name in ("cpu_s", "gpu_s", "wall_s", "disk_bytes")
    )
    whose = " (the one that each rate was measured on)" if gpu_s else ""
    yield (
        (
            f"in all {urls:,.0f} URLs, {down / 1e9:,.2f} GB down, {disk / 1e9:,.2f} GB of disk, {duration(cpu)} of CPU,"
            f" {duration(gpu_s)} of GPU{whose}, {duration(wall)} if no stages overlap ({duration(low)} to"
            f" {duration(high)})"
        ),
        "bold",
    )


def _is_shown(one: StageForecast) -> bool:
    return max(one.cpu_s, one.gpu_s) * one.share_left >= _SHORT_S or bool(one.down_bytes)


def _gpus(gpus: Sequence[Gpu]) -> str:
    sizes = ("memory unknown" if gpu.memory_gb is None else f"{gpu.memory_gb:.0f} GB" for gpu in gpus)
    return ", ".join(f"{gpu.name} {size}" for gpu, size in zip(gpus, sizes, strict=True)) or "none"


def _wrap(text: str, indent: int = 2) -> list[str]:
    """Return a text in lines of the report; a command, which begins with four spaces, stays whole to be pasted."""
    lines: list[str] = []
    for line in text.splitlines():
        margin = " " * (indent + 4)
        if line.startswith("    "):
            lines.append(f"{margin}    {line.strip()}")
        else:
            # textwrap does not break at a no-break space: `make calibrate` stays on one line.
            whole = _QUOTED.sub(lambda match: match[0].replace(" ", "\u00a0"), line)
            first = margin if lines else " " * indent
            lines += textwrap.wrap(
                whole, _WIDTH, initial_indent=first, subsequent_indent=margin, break_long_words=False,
                break_on_hyphens=False,
            )  # fmt: skip
    return [line.replace("\u00a0", " ") for line in lines]
