"""All gaps of a build at once: missing inputs of its stages, found before any of them runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flows.ledger.lease import LEASE
from flows.ledger.ledger import Ledger
from flows.ledger.writable import REMEDY, why_not_writable
from flows.preflight.companions import companion_gaps
from flows.preflight.evaluation import evaluation_gaps
from flows.preflight.gaps import Gap
from flows.preflight.machine import Gpus
from flows.preflight.memory import memory_gaps
from flows.preflight.models import Digests, Need, gpu_gaps, needs_of, weight_gaps
from flows.preflight.stage_forecast import StageForecast
from flows.preflight.volumes import asks_the_web
from flows.run.memory import total_bytes
from schemas.corpora import LIST_CODE, labelled_codes
from schemas.corpus import Corpus
from schemas.tables import SOURCE_LISTING
from stages.contract import InputError, Reads, Stage
from stages.dedup.settings import BOTH, FEATURES, KEYPOINTS, PairParams
from stages.download.stage import check_contact
from stages.embed.stage import EmbedParams
from stages.gpe.nltk_packages import find_packages
from stages.inventory.folders import no_folder
from stages.inventory.tree import holds_something
from stages.models.opening import NONE
from stages.outliers.stage import RuleParams
from stages.readers.corpora import load_corpora


def needed_models(ledger: Ledger, forecast: Sequence[StageForecast]) -> list[Need | Gap]:
    """Return the models of the stages with remaining work: captions need labelled corpora, for example."""
    return list(needs_of(ledger.settings, _busy(ledger, forecast)))


def _busy(ledger: Ledger, forecast: Sequence[StageForecast]) -> list[Stage]:
    names = {one.stage for one in forecast if one.n_rows and one.share_left}
    return [stage for stage in ledger.stages if stage.name in names]


def find_gaps(
    ledger: Ledger,
    sources: Path | None,
    corpora: Mapping[str, Corpus],
    forecast: Sequence[StageForecast],
    gpus: Gpus,
    digests: Digests,
    weights_command: str,
) -> list[Gap]:
    """Return every gap: models, tools, lists, GPU memory, sources and disk.

    Args:
        ledger: of the build, which need not exist.
        sources: the SOURCES folder, which need not exist.
        corpora: the manifests of those that are read.
        forecast: the remaining work.
        gpus: of this machine.
        digests: returns the digests of weight files.
        weights_command: the command that fetches models.
    """
    found, run = needed_models(ledger, forecast), ledger.settings.run
    needs = [one for one in found if isinstance(one, Need)]
    gaps = [one for one in found if isinstance(one, Gap)]
    gaps += weight_gaps(needs, weights_command, digests)
    gaps += gpu_gaps(needs, gpus, run.n_workers("gpu", len(gpus.found)), ledger.settings.profile)
    gaps += memory_gaps(
        _busy(ledger, forecast),
        ledger.settings,
        total_bytes(run),
        lambda stage: run.n_workers(stage.uses, len(gpus.found)),
    )
    if asks_the_web(sources, corpora, ledger.settings.profile):
        gaps += _contact_gaps(ledger, forecast)
    gaps += _dedup_gaps(ledger)
    gaps += _outlier_gaps(ledger)
    gaps += evaluation_gaps(ledger.settings)
    gaps += _tool_gaps(ledger, [stage for stage in ledger.stages if not stage.has_model], forecast)
    gaps += _nltk_gaps(ledger, forecast)
    gaps += companion_gaps(sources, list(corpora.values()), ledger.settings, ledger.stages)
    gaps += _gone_sources(ledger, sources, forecast)
    gaps += _unnamed_list(ledger, sources, forecast)
    gaps += _folder_gaps(ledger, forecast)
    gaps += disk_gaps(forecast, ledger.store.free_bytes(), ledger.settings.run.reserve_gb, ledger.store.root)
    return gaps


def _tool_gaps(ledger: Ledger, stages: Sequence[Stage], forecast: Sequence[StageForecast]) -> Iterator[Gap]:
    """Yield tools whose files are missing or changed: packages of NLTK, GeoNames' places, templates, thresholds."""
    left = {one.stage: one.n_rows * one.share_left for one in forecast}
    for stage in stages:
        params, resources = ledger.settings.by_stage[stage.name]
        try:
            ledger.tool_identities(stage)
            for tool in stage.tools:
                if left.get(stage.name) and tool.found(params, resources) is None:
                    with tool.open(params, resources):  # says which of the user's files is missing
                        pass
        except InputError as error:
            yield Gap("tool", stage.name, str(error))


def _contact_gaps(ledger: Ledger, forecast: Sequence[StageForecast]) -> Iterator[Gap]:
    """Yield a gap if URLs are still to be requested and no contact for the servers' owners is set."""
    if any(one.stage == "download" and one.share_left and one.n_rows for one in forecast):
        try:
            check_contact(ledger.settings.by_stage["download"][1])
        except InputError as error:
            yield Gap("setting", "download.contact", str(error))


def _dedup_gaps(ledger: Ledger) -> Iterator[Gap]:
    """Yield a gap if dedup is set to compare image features and no model computes any."""
    params, embed = (ledger.settings.params(ledger.writer[name]) for name in ("pair_side", "embedding"))
    if not isinstance(params, PairParams) or not isinstance(embed, EmbedParams) or embed.model != NONE:
        return
    if params.method == FEATURES:
        name, remedy = "method", "SET='dedup.method=hashes' needs no model"
    elif params.method == KEYPOINTS and params.candidates in (FEATURES, BOTH):
        name, remedy = "candidates", "SET='dedup.candidates=keypoints' needs no model"
    else:
        return
    problem = f'dedup.{name} = "{getattr(params, name)}" compares image features, but embed.model = "{NONE}" makes none'
    yield Gap("setting", f"dedup.{name}", problem, f"{remedy}; or name a model in embed.model")


def _outlier_gaps(ledger: Ledger) -> Iterator[Gap]:
    """Yield a gap if by the settings no image can be an outlier."""
    params = ledger.settings.params(ledger.writer["outlier_rule"])
    if not isinstance(params, RuleParams) or params.rule != "absolute" or params.detector != NONE:
        return
    if params.min_vlm_score_cos <= -1:
        yield Gap(
            "setting", "outliers.min_vlm_score_cos",
            f'no detector, and {params.min_vlm_score_cos:g} by outliers.rule = "absolute": every image is kept',
            'LABELS=… of `make calibrate` sets it, or SET=\'outliers.rule="quantile"\' keeps a share', False,
        )  # fmt: skip


def _nltk_gaps(ledger: Ledger, forecast: Sequence[StageForecast]) -> Iterator[Gap]:
    is_due = any(one.stage == "tag_places" and one.share_left and one.n_rows for one in forecast)
    if not is_due or ledger.settings.profile == "demo":
        return
    try:
        packages = find_packages()
    except InputError:
        return  # a gap of the tool
    if packages.is_small:
        yield Gap(
            "list", "NLTK's packages", f"wanted: NLTK_DATA is not set, so this build gets {packages.describe()}",
            "fetch them, and name their folder:\n"
            "    .venv/bin/python -m nltk.downloader -d nltk_data punkt_tab averaged_perceptron_tagger_eng"
            ' maxent_ne_chunker_tab words\n    export NLTK_DATA="$PWD/nltk_data"', False,
        )  # fmt: skip


def _gone_sources(ledger: Ledger, sources: Path | None, forecast: Sequence[StageForecast]) -> Iterator[Gap]:
    """Yield SOURCES if it is no folder; else the listed corpora whose folder is gone and that stages still read."""
    if sources is not None and not sources.is_dir() and ledger.settings.profile != "demo":  # the demo makes its own
        yield Gap("source", "SOURCES", str(no_folder(sources, load_corpora())))
        return
    listing = Reads("source_listing", ("corpus",), is_whole=True)
    listed = ledger.read(listing)["corpus"].value_counts().to_pylist() if _has_listing(ledger) else []
    left = {one.stage: one.share_left for one in forecast}
    for row in listed:
        code, folder = row["values"], (sources or Path()) / row["values"]
        if sources is not None and folder.is_dir():
            continue
        # Labelled images stay in their files until the tars are written; web corpora are read by the filter alone.
        if left["write_shards" if code in labelled_codes() else "filter"]:
            yield Gap(
                "source", code, f"{folder} is gone; {row['counts']:,} listed files of it are still to be read",
                "mount the disk again, name the folder with SOURCES=…, or leave the corpus out with"
                " SET='inventory.corpora=[…]'",
            )  # fmt: skip


def _unnamed_list(ledger: Ledger, sources: Path | None, forecast: Sequence[StageForecast]) -> Iterator[Gap]:
    """Yield METAFILE if a build from RS5M's list still has to read it, and neither METAFILE nor SOURCES has one."""
    is_read = any(one.stage == "filter" and one.n_rows and one.share_left for one in forecast)
    has_list = sources is not None and holds_something(sources / LIST_CODE)
    if ledger.settings.profile == "from-metafile" and is_read and not has_list:
        yield Gap(
            "source", "METAFILE", "METAFILE is not named: expected a list or a folder of lists",
            load_corpora()[LIST_CODE].how_to_get,
        )  # fmt: skip


def _has_listing(ledger: Ledger) -> bool:
    return bool(ledger.state(ledger.writer[SOURCE_LISTING.name]).partitions)


def _folder_gaps(ledger: Ledger, forecast: Sequence[StageForecast]) -> Iterator[Gap]:
    """Yield the build folder if stages are left that write it and it cannot be written."""
    build = ledger.store.root
    if _busy(ledger, forecast) and (reason := why_not_writable(build, LEASE)):
        yield Gap("disk", str(build), f"the build folder cannot be written ({reason})", REMEDY)


def disk_gaps(forecast: Sequence[StageForecast], free_bytes: float, reserve_gb: float, build: Path) -> Iterator[Gap]:
    """Yield the disk space that the remaining stages lack; fatal if even half of the estimate does not fit.

    Args:
        forecast: with the bytes that each stage writes.
        free_bytes: free on the disk of the build.
        reserve_gb: disk to keep free, GB.
        build: the build folder.
    """
    left = {one.stage: one.disk_bytes * one.share_left for one in forecast}
    needed = sum(left.values()) + reserve_gb * 1e9
    if needed > free_bytes:
        largest = sorted(left.items(), key=lambda item: -item[1])[:3]
        words = ", ".join(f"{name} {n_bytes / 1e9:,.1f} GB" for name, n_bytes in largest)
        yield Gap(
            "disk", str(build), f"about {needed / 1e9:,.1f} GB are needed ({words}; {reserve_gb:g} GB stay free by"
            f" run.reserve_gb), {free_bytes / 1e9:,.1f} GB are free",
            "build on a larger disk, or try a slice: SET='inventory.pilot=0.01'",
            sum(left.values()) / 2 + reserve_gb * 1e9 > free_bytes,
        )  # fmt: skip
