"""A synthetic build of any size: row-by-row stages generate their rows, and global stages are the real ones.

Shares are RS5M's: 76 % of the URLs answer, a tenth are equal, and there is one labelled image per three candidates.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.executor import Executor
from flows.run.runner import Runner
from flows.settings import load_settings
from stages import MODULES, STAGES
from stages.contract import Context, Given, Inputs, Outcome, Stage, no_rejects, rejects_table
from tests.benchmarks.harness import IS_TOY
from tests.benchmarks.silent import Silent

CATALOGUE = "tests.benchmarks.global_build:SYNTHETIC"
# Of memory the default: profile paper has more, for its models.
SETTINGS = ("run.reserve_gb=0", "run.memory_gb=4", *(("shard.n_shards=2",) if IS_TOY else ()))
WEB_ROWS, LABELLED_ROWS = 25_000, 10_000  # rows per partition; RS5M's 6.1 million came from about 500 files
_WEB = ("laion2b", "laion2b", "laion400m", "coyo700m", "laioncoco", "cc3m", "yfcc15m")
_LABELLED = ("millionaid", "millionaid", "fmow", "ben")
N_ROWS = "n_candidates"  # file under SOURCES with the size of the build

_ADDRESS = "'fetch_attempt/' || $partition || '/0123456789ab/bodies.tar' AS body_file"
_CELLS = "CASE WHEN h % 2 = 0 THEN ['top left', 'centre'] END"
# $partition, $corpus and $number name the partition, $n is the size of the build; hash() depends only on the sample.
ROWS: Mapping[str, str] = {
    "inventory": "SELECT corpus, path, size_bytes, sha256(path) AS file_sha256, NULL AS sample_id FROM source_listing",
    "filter": f"""
        WITH row AS (SELECT range AS i, hash($partition || ':' || range) AS h FROM range(least({WEB_ROWS}, $n))),
        named AS (
            SELECT *, CASE WHEN h % 10 = 0 THEN 'shared-' || (h >> 8) % ($n // 20 + 1)
                           ELSE $partition || '-' || i END AS file FROM row
        ), hosted AS (SELECT *, (40000 * pow((hash(file) % 1000003) / 1000003.0, 3))::INT AS host FROM named)
        SELECT $corpus || '_' || $number || '_' || i AS sample_id, $corpus AS corpus, $number AS part, i AS source_row,
               'https://images.host-' || host || '.example.com/pictures/of/places/' || file || '.jpg' AS url,
               'An aerial view of the harbour of ' || substr(md5(file), 1, 12) || ', taken on a clear day in '
               || 1980 + h % 45 AS caption, caption AS source_caption,
               CASE h % 3 WHEN 0 THEN ['aerial view', 'harbour'] ELSE ['aerial view'] END AS keywords,
               keywords[1:1] AS strict_keywords, 'CC-BY-4.0' AS annotation_licence,
               CASE WHEN $corpus = 'yfcc15m' THEN (h % 1009)::VARCHAR END AS owner_id,
               CASE WHEN $corpus = 'yfcc15m' THEN (h % 1790) / 10.0 - 89 END AS stated_latitude_deg,
               CASE WHEN $corpus = 'yfcc15m' THEN (h % 3590) / 10.0 - 179 END AS stated_longitude_deg,
               CASE WHEN $corpus = 'yfcc15m' THEN '2009-0' || 1 + h % 9 || '-11 12:39:28.0' END AS stated_datetime,
               CASE WHEN $corpus = 'cc3m' THEN ['aerial photography', 'coast', 'sea'] END AS machine_tags,
               CASE WHEN $corpus = 'cc3m' THEN [0.97, 0.92, 0.5] END AS machine_tag_probs
        FROM hosted
    """,
    "plan": "SELECT sample_id, md5(url) AS fetch_id, url AS normalised_url, split_part(url, '/', 3) AS host"
    " FROM candidate",
    "download": f"""
        WITH asked AS (SELECT *, hash(fetch_id || pass) % 1000 AS h FROM fetch_pass)
        SELECT fetch_id, pass, h < 760 AS is_fetched, {_ADDRESS}, row_number() OVER () * 512 AS body_offset,
               CASE WHEN h >= 970 THEN 'timeout' WHEN h >= 760 THEN 'http_not_found' END AS fetch_reason,
               CASE WHEN h < 760 THEN 200 WHEN h < 970 THEN 404 END AS http_status, 40000 + h AS n_bytes,
               sha256(fetch_id) AS body_sha256,
               CASE WHEN h < 8 THEN 'https://gone.example.com/image-' || h || '.png' ELSE normalised_url END
                   AS final_url
        FROM asked
    """,
    "list_patches": f"""
        SELECT 'ben_' || number * {LABELLED_ROWS} + i AS sample_id, partition, 'S2A_MSIL2A_2017_' || i AS v1_patch,
               'S2A_MSIL2A_2017_T33_' || i AS v2_patch
        FROM (SELECT split_part(path, '/', 2) AS partition, split_part(partition, '-', 2)::INT AS number
              FROM source_file WHERE corpus = 'ben'), range(least({LABELLED_ROWS}, $n)) r(i)
    """,
    "read_labelled": f"""
        WITH row AS (SELECT range AS i, hash($partition || ':' || range) AS h FROM range(least({LABELLED_ROWS}, $n)))
        SELECT $corpus || '_' || $number * {LABELLED_ROWS} + i AS sample_id, $corpus AS corpus,
               'rs3/images/' || $partition || '/' || i || '.tif' AS path, ['airport', 'runway'] AS labels,
               $corpus || '_' || $number * {LABELLED_ROWS} + i // 2 AS scene_id, 'CC-BY-4.0' AS annotation_licence,
               CASE WHEN $corpus <> 'millionaid' THEN (h % 1790) / 10.0 - 89 END AS stated_latitude_deg,
               CASE WHEN $corpus <> 'millionaid' THEN (h % 3590) / 10.0 - 179 END AS stated_longitude_deg,
               CASE WHEN $corpus <> 'millionaid' THEN '2017-06-17T10:32:22Z' END AS stated_datetime,
               CASE WHEN $corpus = 'fmow' THEN 'FRA' END AS stated_country_code,
               CASE WHEN $corpus = 'fmow' THEN 0.5 + h % 7 END AS gsd_m,
               CASE WHEN $corpus = 'fmow' THEN {_CELLS} END AS box_cells, $partition AS partition,
               90000 + h % 999 AS n_bytes, sha256(sample_id) AS body_sha256, 'sources:' || path AS body_file,
               0 AS body_offset
        FROM row
    """,
    "screen": """
        WITH given AS (
            SELECT fetch_id AS image_id, body_sha256, n_bytes, true AS is_web FROM fetched
            UNION ALL SELECT sample_id, body_sha256, n_bytes, false FROM labelled_image
        ), pictured AS (
            SELECT *, hash(image_id) AS h,
                   CASE WHEN is_web AND h % 100 < 8 THEN sha256('p' || (h >> 8) % ($n // 50 + 1)) ELSE sha256(image_id)
                       END AS pixel_sha256, hash(pixel_sha256) AS of_pixels
            FROM given
        )
        SELECT image_id, body_sha256, n_bytes, 1024 AS width_px, 768 AS height_px, 'JPEG' AS image_format,
               'RGB' AS image_mode, 1 AS n_frames, pixel_sha256, 5.0 AS phash_detail, 1 AS exif_orientation,
               CASE WHEN of_pixels % 100 < 3
                    THEN xor(hash('near' || (of_pixels >> 8) % ($n // 100 + 1)), 1::UBIGINT << (of_pixels % 64)::INT)
                    ELSE of_pixels END AS phash,
               list_transform(range(8), lambda k: CASE WHEN k = 0 THEN phash ELSE hash(phash, k) END)
                   AS phash_orientations,
               CASE WHEN h % 50 = 0 THEN 48.2 END AS exif_latitude_deg,
               CASE WHEN h % 50 = 0 THEN 11.5 END AS exif_longitude_deg, sha256(image_id || 'p') AS published_sha256,
               n_bytes - 200 AS published_n_bytes, 'jpg' AS published_format,
               CASE WHEN is_web AND h % 1000 >= 960 THEN 'not_an_image' END AS refused
        FROM pictured
    """,
    "embed_prompts": "SELECT 'a satellite image' AS prompt, [0.6::FLOAT, 0.8::FLOAT] AS prompt_feature",
    "embed": "SELECT pixel_sha256, [0.6::FLOAT, 0.8::FLOAT] AS image_feature FROM picture",
    "score_detector": "SELECT pixel_sha256, hash(pixel_sha256) / 18446744073709551616.0 AS detector_prob FROM picture",
    "score_vlm": "SELECT pixel_sha256, hash('v' || pixel_sha256) / 18446744073709551616.0 AS vlm_score_cos"
    " FROM embedding",
    "draw_captions": "SELECT sample_id, 0 AS n, 'a satellite image of an airport near ' || substr(md5(sample_id), 1, 9)"
    " AS candidate_caption FROM labelled_image",
    "rank_captions": "SELECT sample_id, n, 0.3 AS first_score_cos, 1 AS first_rank FROM caption_candidate",
    "choose_captions": "SELECT sample_id, candidate_caption AS top_caption, top_caption AS invariant_caption,"
    " top_caption AS generated_caption, 'Apache-2.0' AS caption_model_licence FROM caption_candidate",
    "match_captions": "SELECT sample_id, hash('m' || sample_id) / 18446744073709551616.0 AS caption_cos"
    " FROM own_caption",
    "tag_places": "SELECT caption_id, 0 AS n, CASE WHEN hash(caption_id) % 3 = 0 THEN 'Lisbon' END AS place"
    " FROM place_text",
    "write_shards": "SELECT sample_id, shard, body_sha256, published_sha256, published_n_bytes, 'jpg'"
    " AS published_format FROM shard_plan",
}


def list_partitions(inputs: Inputs, context: Context) -> Outcome:
    """Return one source file per partition, for the build size stored under SOURCES."""
    n = size_of(context.sources)
    web = [f"{_WEB[i % len(_WEB)]}-{i:05d}" for i in range(-(-n // WEB_ROWS))]
    labelled = [f"{_LABELLED[i % len(_LABELLED)]}-{i:05d}" for i in range(max(4, round(n / 3 / LABELLED_ROWS)))]
    rows = [
        {
            "corpus": name.split("-")[0], "path": f"{name.split('-')[0]}/{name}", "part": int(name.split("-")[1]),
            "size_bytes": 1, "mtime_ns": 1, "reader_digest": "0", "partition": name, "pilot_share": 1.0,
        }
        for name in [*web, *labelled]
    ]  # fmt: skip
    stage = next(s for s in STAGES if s.name == "list_sources")
    return Outcome(_shaped(stage, pa.Table.from_pylist(rows)), no_rejects(stage.writes))


def size_of(sources: Path) -> int:
    """Return the number of candidates of a build."""
    return int((sources / N_ROWS).read_text())


def inventing(stage: Stage, query: str) -> Stage:
    """Return a stage that takes its rows from a query, as those of `ROWS`."""
    return replace(stage, run=_inventing(stage, query), tools=(), depends=(), given=Given(), bytes_per_row=200)


def _inventing(stage: Stage, query: str) -> Callable[[Inputs, Context], Outcome]:
    def invent(inputs: Inputs, context: Context) -> Outcome:
        corpus, _, number = context.partition.partition("-")
        values = {"partition": context.partition, "corpus": corpus, "n": size_of(context.sources)}
        values["number"] = int(number) if number.isdigit() else 0
        rows = _query(query, inputs, values)
        refused = rows.slice(0, 0)
        if "refused" in rows.column_names:
            rows, refused = rows.filter(rows["refused"].is_null()), rows.filter(rows["refused"].is_valid())
        rejects = no_rejects(stage.writes)
        if refused.num_rows:
            keys = {name: refused[name] for name in stage.writes.key}
            rejects = rejects_table(stage.writes, keys, refused["refused"], [""] * refused.num_rows)
        return Outcome(_shaped(stage, rows), rejects, _counts(stage, rows.num_rows))

    return invent


def _counts(stage: Stage, n_kept: int) -> Mapping[str, int] | None:
    if stage.grain != "count":
        return None
    return {**dict.fromkeys(stage.reasons, 0), "kept": n_kept, "no_keyword": 700 * n_kept, "given": 701 * n_kept}


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def _query(query: str, inputs: Inputs, values: Mapping[str, Any]) -> pa.Table:
    db = _database()
    for name, table in inputs.items():
        readable = [f.name for f in table.schema if f.type != pa.list_(pa.float16())]  # DuckDB has no half floats
        db.register(name, table.select(readable))
    return pa.table(db.sql(query, params={k: v for k, v in values.items() if f"${k}" in query}).to_arrow_table())


def _shaped(stage: Stage, rows: pa.Table) -> pa.Table:
    schema = stage.writes.schema
    known = {f.name: rows[f.name] if f.name in rows.column_names else pa.nulls(rows.num_rows, f.type) for f in schema}
    return pa.table(known).cast(schema)


def _synthetic() -> Iterator[Stage]:
    for stage in STAGES:
        if stage.name == "list_sources":
            yield replace(stage, run=list_partitions, tools=(), depends=())
        elif stage.name in ROWS:
            yield inventing(stage, ROWS[stage.name])
        else:
            yield stage


SYNTHETIC: tuple[Stage, ...] = tuple(_synthetic())
REAL = tuple(stage for stage in SYNTHETIC if stage.run in {s.run for s in STAGES})


def bring_up_to_date(
    root: Path, n_candidates: int, executor: Executor, settings: tuple[str, ...] = SETTINGS
) -> Ledger:  # fmt: skip
    """Run all due stages of a build of n_candidates and return its ledger; the real stages always run again."""
    sources, build = root / "sources", root / "build"
    sources.mkdir(parents=True, exist_ok=True)
    (sources / N_ROWS).write_text(str(n_candidates))
    for stage in REAL:
        shutil.rmtree(build / stage.writes.name, ignore_errors=True)
    ledger = Ledger(Store(build), SYNTHETIC, load_settings("paper", settings, SYNTHETIC))
    runner = Runner(ledger, executor, Silent(), CATALOGUE, sources)
    runner.run(MODULES)
    return ledger
