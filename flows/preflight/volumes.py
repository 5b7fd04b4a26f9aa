"""Row counts of each stage, from published counts of the corpora or extrapolated from a pilot."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flows.preflight.companions import look_into
from flows.preflight.history import Run
from schemas.corpora import CORPUS_CODES, LABELLED_CODES, LIST_CODE, RELEASED_CODE
from schemas.corpus import Corpus
from schemas.manifests import load_prompts, load_published
from stages.contract import Stage
from stages.inventory.tree import holds_something

CAPTIONS_EACH = 20  # captions per labelled image (caption.n_candidates)
_PAIRS_EACH = 1  # pairs to compare per picture, rounded up: of 3.8 near ones of a real picture 0.7 have near codes
# Stages of the web half after removal of duplicates.
AFTER_DEDUP = frozenset(
    {"set_thresholds", "drop_outliers", "describe_geometa", "list_texts", "tag_places", "name_places", "plan_shards",
     "group_samples", "write_shards", "list_origins", "describe_samples", "write_pairs", "write_metafile",
     "count_texts", "count_splits", "count_rates", "count_outlier_cells", "count_outlier_overlap", "count_image_sizes",
     "count_caption_lengths", "rank_matches", "list_own_captions", "match_captions", "count_caption_cosines",
     "count_caption_tiers", "count_further_texts",
     "count_countries", "count_months", "count_utm_zones"}
)  # fmt: skip
BY_DOWNLOAD = frozenset(
    {"download", "screen", "embed", "summarise_keypoints", "score_detector", "score_vlm", "match_captions"}
)  # stages partitioned by URLs
OF_PICTURES = frozenset(
    {"plan_pictures", "embed", "summarise_keypoints", "score_detector", "score_vlm", "find_pairs", "compare_pairs",
     "judge_pairs", "plan_gallery", "summarise_gallery"}
)  # fmt: skip
BY_CHARACTER = frozenset({"tag_places"})  # stages whose cost is that of their captions' characters
# A pilot also reads every source row, and prompts are the same.
NOT_GROWN = frozenset({"list_sources", "inventory", "filter", "embed_prompts"})
_MAX_ENTRIES = 50_000  # files to list when counting labelled images (0.5 s); more count as a complete corpus
_MAX_OWN_ENTRIES = 200_000  # the same for a corpus of one's own (2 s), until read_labelled has counted it
PACKED = "rs5m tars"  # PUB11's images in released tars: rows of the list that need no download
_BYTES_PER_IMAGE = 98_600  # RS5M: about 500 GB for 5.07 million images
_BYTES_PER_ROW = 50  # of a compressed text file without a published size
_SAMPLE_BYTES = 1 << 15  # read at each of _N_SAMPLES places of a list, whose rows differ in length by corpus
_N_SAMPLES = 64
# Of a corpus that RS5M does not have so many rows are taken to match: it was presumably chosen for its subject. Of a
# larger one RS5M's share of rows, .15 %, if that is more; the filter's receipts then replace both.
_OF_SUBJECT = 1e6
_OF_DEMO = 1e-4  # of each corpus in the generated world, which has 723 URLs where RS5M has 6.1 million
# The corpora that a profile is for if nothing is under SOURCES; all of RS5M's for the others.
_OF_PROFILE = {"from-metafile": (LIST_CODE,), "from-release": (PACKED, RELEASED_CODE)}


@dataclass(frozen=True)
class Halves:
    """Row counts of the two halves."""

    pub11: float = 0.0
    rs3: float = 0.0

    @property
    def total(self) -> float:
        """Row count of both halves."""
        return self.pub11 + self.rs3

    def times(self, by: Halves) -> Halves:
        """Return the row counts, each half multiplied by its factor."""
        return Halves(self.pub11 * by.pub11, self.rs3 * by.rs3)


def shares_present(
    sources: Path | None, corpora: Mapping[str, Corpus], profile: str, listed: Callable[[], Mapping[str, float]] = dict
) -> dict[str, float]:
    """Return the share of each corpus under SOURCES, in (0, 1].

    If nothing is there: what the build has listed, else all corpora of the profile, or a world like the demo's.

    Args:
        sources: the SOURCES folder, which need not exist.
        corpora: the manifests of those that are read.
        profile: the one in use.
        listed: returns the shares that the build has listed; asked only if nothing is under SOURCES.
    """
    here = [code for code in corpora if sources is not None and holds_something(sources / code)]
    if not here:
        if shares := dict(listed()):
            return shares
        expected = _OF_PROFILE.get(profile, CORPUS_CODES)
        share = _OF_DEMO if profile == "demo" else 1.0
        return {code: share for code in expected if code in corpora or code == PACKED}
    assert sources is not None
    shares = {code: _share(sources / code, corpora[code]) for code in here}
    if LIST_CODE in shares and (tars := _tars(sources / LIST_CODE, corpora[LIST_CODE])):
        shares[PACKED] = _packed_share(tars, corpora[LIST_CODE])
        if len(tars) == len(_source_files(sources / LIST_CODE, corpora[LIST_CODE])):
            del shares[LIST_CODE]
    return shares


def shares_listed(listing: pa.Table, corpora: Mapping[str, Corpus]) -> dict[str, float]:
    """Return the share of each corpus that a build has listed, in (0, 1], by samples and sizes; empty if it has none.

    Args:
        listing: source_listing with corpus, path, size_bytes, sample_id and pilot_share.
        corpora: the manifests of those that are read.
    """
    shares: dict[str, float] = {}
    for code, corpus in corpora.items():
        rows = listing.filter(pc.equal(listing["corpus"], code))
        if not rows.num_rows:
            continue
        if not corpus.n_rows_published:
            shares[code] = 1.0
            continue
        is_tar = pc.ends_with(rows["path"], ".tar")
        for name, files, each in (
            (PACKED if code == LIST_CODE else code, rows.filter(is_tar), _BYTES_PER_IMAGE),
            (code, rows.filter(pc.invert(is_tar)), _BYTES_PER_ROW),
        ):
            if files.num_rows:
                whole = corpus.n_bytes_published or each * corpus.n_rows_published
                shares[name] = min(1.0, pc.sum(files["size_bytes"]).as_py() / whole)
        n_samples = pc.count_distinct(rows["sample_id"]).as_py()
        if n_samples:  # of a labelled corpus
            shares[code] = min(1.0, n_samples / pc.min(rows["pilot_share"]).as_py() / corpus.n_rows_published)
    return shares


def own_rows(sources: Path | None, corpora: Mapping[str, Corpus], shares: Mapping[str, float]) -> Halves:
    """Return the rows and the labelled images of the corpora that RS5M does not have.

    Args:
        sources: the SOURCES folder, which need not exist.
        corpora: the manifests of those that are read.
        shares: of each corpus, as shares_present returns them; one whose folder is gone counts as one row.
    """
    found = {"pub11": 0.0, "rs3": 0.0}
    for code in shares.keys() & corpora.keys() - {*CORPUS_CODES, LIST_CODE, RELEASED_CODE}:
        folder, corpus = (sources or Path()) / code, corpora[code]
        if sources is None or not folder.is_dir():
            found[corpus.half] += 1
        elif corpus.half == "rs3":
            found["rs3"] += _count_matching(folder, corpus)
        else:
            found["pub11"] += sum(map(_n_rows, _source_files(folder, corpus)))
    return Halves(**found)


def asks_the_web(sources: Path | None, corpora: Mapping[str, Corpus], profile: str) -> bool:
    """Return whether a corpus under SOURCES has URLs to request, unlike images in released tars."""
    shares = shares_present(sources, corpora, profile)
    return any(code in corpora and corpora[code].half == "pub11" for code in shares)


def _source_files(folder: Path, corpus: Corpus) -> list[Path]:
    return [folder / name for name in look_into(folder) if corpus.match_file(name)]


def _tars(folder: Path, corpus: Corpus) -> list[Path]:
    return [path for path in _source_files(folder, corpus) if path.suffix == ".tar"]


def _packed_share(tars: Sequence[Path], corpus: Corpus) -> float:
    n_bytes = sum(path.stat().st_size for path in tars if path.is_file())
    return min(1.0, n_bytes / (_BYTES_PER_IMAGE * (corpus.n_rows_published or 1)))


def _share(folder: Path, corpus: Corpus) -> float:
    """Return the share of a corpus in a folder, from names, sizes, the footers of parquet files and lines of CSV."""
    if corpus.code == RELEASED_CODE:
        return _packed_share(_tars(folder, corpus), corpus)
    n_published = corpus.n_rows_published or 0
    if not n_published and (corpus.half == "rs3" or not corpus.n_bytes_published):
        return 1.0  # one that RS5M does not have: own_rows counts it
    if corpus.half == "rs3":
        n_samples = _count_images(folder)
        return min(1.0, n_samples / n_published) if n_samples is not None else 1.0
    files = [path for path in _source_files(folder, corpus) if path.suffix != ".tar"]
    n_bytes = sum(path.stat().st_size for path in files if path.is_file())
    is_parquet = bool(files) and all(path.suffix == ".parquet" for path in files)
    if corpus.n_bytes_published and not is_parquet:
        return min(1.0, n_bytes / corpus.n_bytes_published)
    return min(1.0, sum(map(_n_rows, files)) / n_published) if n_published else 1.0


def _n_rows(path: Path) -> float:
    """Return the rows of a file: by a parquet file's footer, the lines of plain CSV, else its size."""
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    try:
        return _lines(path) if path.suffix.lower() in (".csv", ".tsv") else path.stat().st_size / _BYTES_PER_ROW
    except OSError:
        return 0.0  # gone or unreadable: the inventory names it


def _lines(path: Path) -> float:
    """Return the lines of a text file, estimated from places spread over it if it is large."""
    n_bytes = path.stat().st_size
    if n_bytes <= _N_SAMPLES * _SAMPLE_BYTES:
        return max(0, len(path.read_bytes().splitlines()) - 1)  # without the header
    n_lines = 0
    with path.open("rb") as file:
        for n in range(_N_SAMPLES):
            file.seek(n * n_bytes // _N_SAMPLES)
            n_lines += file.read(_SAMPLE_BYTES).count(b"\n")
    return n_bytes * n_lines / (_N_SAMPLES * _SAMPLE_BYTES)


def _parquet_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, ValueError):
        return 0  # a damaged file: the inventory names it


def _count_images(folder: Path) -> int | None:
    """Return the approximate number of samples in a labelled corpus's folder; None if counting takes too long.

    Patches are folders of TIFF files, one per band; all other samples are one JPEG each.
    """
    n_seen, n_images, patches = 0, 0, set()
    for below, _, names in os.walk(folder, followlinks=True):
        n_seen += 1 + len(names)
        n_images += sum(name.lower().endswith((".jpg", ".jpeg")) for name in names)
        patches |= {below} if any(name.lower().endswith(".tif") for name in names) else set()
        if n_seen > _MAX_ENTRIES:
            return None
    return n_images + len(patches)


def _count_matching(folder: Path, corpus: Corpus) -> int:
    """Return the number of files that a manifest's pattern matches, of the first _MAX_OWN_ENTRIES."""
    n_seen = n_matching = 0
    for below, _, names in os.walk(folder, followlinks=True):
        n_seen += 1 + len(names)
        paths = ((Path(below) / name).relative_to(folder).as_posix() for name in names)
        n_matching += sum(corpus.match_file(path) is not None for path in paths)
        if n_seen > _MAX_OWN_ENTRIES:
            break
    return n_matching


def published_volumes(
    shares: Mapping[str, float], pilot: float, stages: Sequence[Stage], own: Halves | None = None
) -> dict[str, Halves]:
    """Return the rows of each stage by the counts that RS5M states.

    Args:
        shares: share of each corpus that is present, in (0, 1].
        pilot: share of rows and scenes to take, in (0, 1].
        stages: the pipeline.
        own: rows and labelled images of further corpora, whose shares of each step are taken to be those of all RS5M.
    """
    own = own or Halves()
    published = load_published()
    funnel = {row.source: row for row in published.funnel}
    # RS5M's own lists are not filtered by keywords, so all rows are downloaded.
    total = funnel["Total"]
    lists = shares.get(LIST_CODE, 0.0) * total.remain
    own_found = max(own.pub11 * total.keyword / total.rows, min(own.pub11, _OF_SUBJECT))

    def web(name: str) -> float:
        of_own = own.pub11 if name == "rows" else own_found * getattr(total, name) / total.keyword
        of_rs5m = sum(getattr(funnel[code], name) * share for code, share in shares.items() if code in funnel)
        return float(of_own + of_rs5m)

    remains = {row.source: row.remain or 0 for row in published.metadata}
    rs3 = pilot * sum(remains.get(code, 0) * share for code, share in shares.items() if code in LABELLED_CODES)
    rs3 += pilot * own.rs3
    packed = shares.get(PACKED, 0.0) * total.remain
    rs3 += pilot * shares.get(RELEASED_CODE, 0.0) * sum(remains.get(code, 0) for code in LABELLED_CODES)
    asked = pilot * (web("keyword") + lists)
    found, fetched = asked + pilot * packed, pilot * (web("downloaded") + 0.86 * lists + packed)
    unique = fetched - pilot * (web("duplicate") + web("invalid"))
    remain = pilot * (web("remain") + lists + packed)
    n_prompts = len(load_prompts().all_texts())
    rows = {
        "list_sources": Halves(1), "inventory": Halves(len(shares)), "filter": Halves(web("rows") + lists + packed),
        "plan": Halves(found), "open_pass": Halves(found), "download": Halves(asked), "reduce_attempts": Halves(found),
        "list_patches": Halves(0, 590_326 * shares.get("ben", 0.0)), "read_labelled": Halves(0, rs3),
        "list_samples": Halves(found, rs3), "screen": Halves(fetched, rs3), "plan_pictures": Halves(fetched, rs3),
        "embed_prompts": Halves(n_prompts), "embed": Halves(fetched, rs3), "score_detector": Halves(fetched, rs3),
        "score_vlm": Halves(fetched, rs3), "cluster": Halves(found, rs3), "drop_duplicates": Halves(fetched),
        "summarise_keypoints": Halves(fetched, rs3), "list_withdrawn": Halves(), "record_hashes": Halves(),
        "set_thresholds": Halves(unique), "drop_outliers": Halves(unique),
        "draw_captions": Halves(0, CAPTIONS_EACH * rs3), "rank_captions": Halves(0, CAPTIONS_EACH * rs3),
        "choose_captions": Halves(0, rs3), "list_texts": Halves(remain), "tag_places": Halves(remain),
        "name_places": Halves(remain),
    }  # fmt: skip
    rows |= dict.fromkeys(
        ("find_pairs", "compare_pairs", "judge_pairs"), Halves(_PAIRS_EACH * fetched, _PAIRS_EACH * rs3)
    )
    return {stage.name: rows.get(stage.name, Halves(remain, rs3)) for stage in stages}


def halves_of(runs: Sequence[Run], share_rs3: float) -> Halves:
    """Return the row counts of runs by half, from the names of their partitions; `whole` is divided by share_rs3."""
    found = {"pub11": 0.0, "rs3": 0.0}
    for run in runs:
        if run.partition == "whole":
            found["rs3"] += run.n_rows * share_rs3
            found["pub11"] += run.n_rows * (1 - share_rs3)
        else:
            found["rs3" if is_rs3(run.partition) else "pub11"] += run.n_rows
    return Halves(**found)


def is_rs3(partition: str) -> bool:
    """Return whether a partition is in the labelled half, by the prefix of its name."""
    return partition.partition("-")[0] in (*LABELLED_CODES, "rs3")
