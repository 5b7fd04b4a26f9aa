"""Handmade inputs of every stage, equal on every machine, for the golden digests.

Images are in formats whose bytes do not depend on a codec's version.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.corpora import load_corpora
from schemas.fields import FIELD
from stages.contract import COUNTS_SCHEMA, Context, Inputs, Outcome, Reads, Stage
from stages.inventory.stage import reader_digest
from stages.screen.strip_metadata import strip_metadata
from tests.contract import handmade as made
from tests.contract import (
    inputs_caption,
    inputs_contamination,
    inputs_dedup,
    inputs_geometa,
    inputs_gpe,
    inputs_labelled,
    inputs_outliers,
)
from tests.contract.handmade import BODIES, Handmade, HandmadeFiles, fetch_id, samples_of, tables
from tests.further_texts import write_texts
from tests.small_build import Web

MTIME_NS = 1_700_000_000_000_000_000


TOOLS: Mapping[str, Any] = {**made.TOOLS, **inputs_caption.TOOLS, **inputs_geometa.TOOLS}


def call_stage(
    stage: Stage, folder: Path, hand_over: Callable[[Inputs], Inputs] = lambda inputs: inputs
) -> tuple[Inputs, Outcome]:
    """Return a stage's handmade inputs and its outcome on them, with fake tools and nearly default settings."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        handmade = stack.enter_context(HANDMADE[stage.name](folder))
        inputs = {reads.name: _as_table(stage, reads, handmade.rows.get(reads.name, [])) for reads in stage.reads}
        inputs = hand_over(inputs)
        params, resources = stage.params(**handmade.params), stage.resources(**handmade.resources)
        opened = {
            tool.name: TOOLS[tool.name] if tool.name in TOOLS else stack.enter_context(tool.open(params, resources))
            for tool in stage.tools
        }
        files = HandmadeFiles(folder)
        context = Context(handmade.partition, params, resources, opened, files, handmade.sources)
        return inputs, stage.run(inputs, context)


def _as_table(stage: Stage, reads: Reads, rows: list[dict[str, Any]]) -> pa.Table:
    if reads.section == "counts":
        return pa.Table.from_pylist(rows, COUNTS_SCHEMA)
    schema = pa.schema([(name, FIELD[name].type) for name in reads.columns])
    return pa.Table.from_pylist([{name: row[name] for name in reads.columns} for row in rows], schema)


_CANDIDATES = [
    {
        "sample_id": f"{corpus}_0_{n}",
        "corpus": corpus,
        "part": 0,
        "source_row": n,
        "url": f"HTTP://Host.org:80/{n}#f",
        "source_caption": f"an  Aerial view {n}",
        "caption": f"an Aerial view {n}",
        "keywords": ["aerial view"],
        "strict_keywords": ["aerial view"] if n else [],
        "native_hash": None,
        "native_id": None,
        "image_licence": None,
        "nsfw": "UNLIKELY" if corpus == "laion2b" else None,
        "punsafe": 0.25 if corpus == "coyo700m" else None,  # above its threshold; cc3m_0_2 has the same pixels
        "annotation_licence": "CC-BY-4.0",
        "owner_id": "somebody" if corpus == "cc3m" else None,
        "pwatermark": None,
        "published_width_px": 640,
        "published_height_px": None,
    }
    for n, corpus in enumerate(("laion2b", "coyo700m", "cc3m", "cc3m", "laion2b"))
]
_PLANNED = [
    {
        "sample_id": row["sample_id"],
        "fetch_id": fetch_id(min(n, 3)),
        "normalised_url": f"http://host.org/{n}",
        "host": f"host{n % 2}.org",
    }
    for n, row in enumerate(_CANDIDATES)
]
_BODY_OF = {0: 0, 1: 1, 2: 0, 3: 7}  # image number to body number; their metadata can be removed without a codec
_FORMATS = ("PNG", "BMP", "PNG", "BMP")
_IMAGES = [
    {
        "image_id": fetch_id(n),
        "pixel_sha256": "same" if n in (1, 2) else f"pixels {n}",
        "phash": [1 << 63, 255, 9 << 40, 247][n],
        # Pictures with further (turned) hashes are far from each other and from all others.
        "phash_orientations": [
            [1 << 63, 255, 9 << 40, 247][n],
            *((4 * n + k + 1) * 0x1357_9BDF_0246 for k in range(7)),
        ],
        "phash_detail": 1.0,
        "image_format": _FORMATS[n],
        "body_md5": hashlib.md5(BODIES[body]).hexdigest(),
        "exif_orientation": None,
        "published_n_bytes": 3000,
        # The last row has the digest of a file that screen did not see.
        "published_sha256": hashlib.sha256(strip_metadata(BODIES[body], _FORMATS[n]).data).hexdigest()
        if n < 3
        else "another file",
        "width_px": 32,
        "height_px": 24,
    }
    for n, body in _BODY_OF.items()
]
_FETCHED = [
    {
        "fetch_id": fetch_id(n),
        "n_bytes": len(BODIES[body]),
        "body_sha256": hashlib.sha256(BODIES[body]).hexdigest(),
        "body_file": "tar",
        "body_offset": body,
    }
    for n, body in _BODY_OF.items()
]
_RELEVANT = [{**row, "image_id": row["fetch_id"]} for row in _PLANNED[:4]]
_LABELLED = [
    {
        **_FETCHED[0],
        "sample_id": "ben_7",
        "corpus": "ben",
        "path": "ben/patch",
        "scene_id": "ben_7",
        "annotation_licence": "CDLA",
        "stated_datetime": None,
    }
]
_IMAGES += [{**_IMAGES[0], "image_id": "ben_7", "pixel_sha256": "pixels 3"}]
_SAMPLES = samples_of({row["sample_id"]: row["fetch_id"] for row in _PLANNED} | {"ben_7": "ben_7", "ben_8": None})
_GEOMETA = [
    {
        "sample_id": row["sample_id"],
        "meta_caption": "Seen in July." if row["sample_id"] in ("ben_7", "cc3m_0_2") else None,
        "latitude_deg": 47.5,
        "longitude_deg": None,
        "utm_epsg": 32632,
        "country_code": None,
        "taken_at": None,
        "month": 7,
        "country_name": None,
        "city": "Graz" if row["sample_id"] == "ben_7" else None,
    }
    for row in (*_PLANNED, *_LABELLED)
]
_SHARD_PLAN = [
    {
        **_CANDIDATES[n],
        **_IMAGES[n],
        **_FETCHED[n],
        "half": "pub11",
        "published_text": f"text {n}",
        "caption_sources": ["meta", "web"],
        "split": "train",
        "random_split": "val" if n == 1 else "train",
        "shard": "pub11-train-0000",
        "img_name": _CANDIDATES[n]["sample_id"],
    }
    for n in range(4)
]
_CONTAMINATED: list[dict[str, Any]] = [
    {
        "sample_id": _CANDIDATES[1]["sample_id"],
        "evaluation_set": name,
        "evaluation_split": split,
        "evaluation_path": "a/1.png",
        "measure": "phash",
        "match_distance": 2.0,
        "match_correlation": 0.9,
        "n_inliers": None,
    }
    for name, split in (("alpha", "train"), ("beta", "test"))
]
_CONTAMINATED.append(
    {
        **_CONTAMINATED[0],
        "sample_id": _CANDIDATES[2]["sample_id"],
        "evaluation_path": f"{'a' * 200}/2.png",
        "measure": "keypoints",
        "match_distance": None,
        "match_correlation": None,
        "n_inliers": 48,
    }
)
_GROUPS = [
    {
        "sample_id": row["sample_id"],
        "group_key": row["sample_id"] if n > 1 else "laion2b_0_0",
        "is_caption_shared": n == 2,
        "is_train_group": n == 2,
    }
    for n, row in enumerate((*_RELEVANT, *_LABELLED))
]
_RANKED: list[dict[str, Any]] = [
    {"sample_id": sample_id, "caption_cos": cosine, "caption_top_share": share}
    for sample_id, cosine, share in (("laion2b_0_0", 0.25, 1.0), ("cc3m_0_2", None, None), ("ben_7", 0.5, 0.5))
]
_ATTEMPTS = [  # (fetch_id, pass, reason, status)
    (0, 0, None, 200),
    (1, 0, "timeout", None),
    (1, 1, None, 200),
    (2, 0, "http_not_found", 404),
    (3, 0, "http_server_error", 503),
    (3, 1, "timeout", None),
    (9, 0, None, 200),
]
_FETCH_ATTEMPTS = [
    {
        "fetch_id": fetch_id(n),
        "pass": number,
        "is_fetched": reason is None,
        "fetch_reason": reason,
        "fetch_detail": reason and f"what {reason} looks like",
        "final_url": f"http://host/{n}",
        "http_status": status,
        "n_bytes": 5 if reason is None else None,
        "body_sha256": "sha" if reason is None else None,
        "body_md5": f"md5 {n}" if reason is None else None,
        "body_file": "tar" if reason is None else None,
        "body_offset": 0 if reason is None else None,
    }
    for n, number, reason, status in _ATTEMPTS
]


def _cc3m_source(folder: Path) -> Path:
    path = folder / "sources/cc3m/GCC-training.tsv"
    path.parent.mkdir(parents=True)
    lines = [
        b"an  Aerial view &amp; more\thttp://host/1",
        b"a cat\thttp://host/2",
        b"\thttp://host/3",
        b"LANDSAT 8\t",
        b"one field",
    ]
    path.write_bytes(
        b"\n".join([*lines, b"aerial view of a \xff\thttp://host/4", b"landsat satellite image\thttp://host/5", b""])
    )
    os.utime(path, ns=(MTIME_NS, MTIME_NS))
    return folder / "sources"


def _listing(folder: Path) -> dict[str, Any]:
    path = folder / "cc3m/GCC-training.tsv"
    return {
        "corpus": "cc3m",
        "path": "cc3m/GCC-training.tsv",
        "part": 0,
        "size_bytes": path.stat().st_size,
        "mtime_ns": MTIME_NS,
        "reader_digest": reader_digest(load_corpora()["cc3m"]),
        "partition": "cc3m-00000",
        "sample_id": None,
        "pilot_share": 1.0,
        "file_sha256": "of the file",
    }


@contextmanager
def _list_sources(folder: Path) -> Iterator[Handmade]:
    sources = _cc3m_source(folder)
    (sources / "cc3m/GCC-1.1.0-Validation.tsv").write_bytes(b"x\ty\n")
    (sources / "laion2b").mkdir()
    yield Handmade({}, "000", {"corpora": ("cc3m",)}, sources=sources)


@contextmanager
def _inventory(folder: Path) -> Iterator[Handmade]:
    sources = _cc3m_source(folder)
    yield Handmade({"source_listing": [_listing(sources)]}, "cc3m-00000", sources=sources)


@contextmanager
def _filter(folder: Path) -> Iterator[Handmade]:
    sources = _cc3m_source(folder)
    row = _listing(sources)
    yield Handmade({"source_listing": [row], "source_file": [row]}, "cc3m-00000", sources=sources)


@contextmanager
def _download(folder: Path) -> Iterator[Handmade]:
    with Web() as web:
        paths = ["/flat/1", "/gone", "/broken", "/text"]
        rows = [
            {"fetch_id": fetch_id(n), "pass": 2, "normalised_url": web.url(p), "is_withdrawn": n == 2}
            for n, p in enumerate(paths)
        ]
        # The image's bytes depend on the codec, so the only complete download is a text.
        yield Handmade(
            {"fetch_pass": rows[1:]},
            "002-00000",
            resources={"allow_loopback": True, "timeout_s": 120.0, "max_fetch_s": 120.0, "n_threads": 2},
        )


@contextmanager
def _open_pass(folder: Path) -> Iterator[Handmade]:
    planned = [
        *({**row, "host": f"host{n}.org"} for n, row in enumerate(_PLANNED)),
        *(
            {"sample_id": f"cc12m_0_{n}", "fetch_id": fetch_id(n), "normalised_url": f"http://big/{n}", "host": "big"}
            for n in range(20, 27)
        ),
    ]
    withdrawn = [{"entry_kind": "url", "entry": "http://big/25"}]
    yield Handmade(
        {
            "planned": planned,
            "fetch_attempt": _FETCH_ATTEMPTS,
            "withdrawal": withdrawn,
            "listed_hash": [{"hash_kind": "sha256", "hash": "another"}],
        },
        "002",
        resources={"passes": 3, "urls_per_partition": 4},
    )


@contextmanager
def _list_withdrawn(folder: Path) -> Iterator[Handmade]:
    path = folder / "withdrawn.txt"
    path.write_text("host: example.org\ncc3m_0_7\n", encoding="utf-8")
    known = [{"entry_kind": "sample_id", "entry": "cc3m_0_7"}]
    yield Handmade({"withdrawal": known}, "001", resources={"add": str(path)})


@contextmanager
def _record_hashes(folder: Path) -> Iterator[Handmade]:
    path = folder / "hashes.txt"
    path.write_text("# list\r\n" + "AB" * 16 + "\r\n" + "cd" * 32 + "\r\n" + "12" * 16 + "\n", encoding="utf-8-sig")
    known = [{"hash_kind": "md5", "hash": "12" * 16}]
    yield Handmade({"listed_hash": known}, "001", resources={"hash_lists": (str(path),)})


@contextmanager
def _screen(folder: Path) -> Iterator[Handmade]:
    rows = [
        {
            "fetch_id": fetch_id(n),
            "n_bytes": len(body),
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "body_file": "",
            "body_offset": n,
        }
        for n, body in enumerate(BODIES)
    ]
    labelled = [{**rows[1], "sample_id": "millionaid_P0000001"}, {**rows[4], "sample_id": "millionaid_P0000002"}]
    yield Handmade({"fetched": rows, "labelled_image": labelled}, "000-00000")


_PASSES = [
    {"fetch_id": fetch_id(n), "pass": number, "partition": f"{number:03d}-00000"} for n, number, _, _ in _ATTEMPTS
]
_PUBLISHED_ROWS = [
    {
        "sample_id": row["sample_id"],
        "shard": row["shard"],
        "body_sha256": row["body_sha256"],
        "published_sha256": "published",
        "published_n_bytes": 9,
        "published_format": "png",
    }
    for row in _SHARD_PLAN[:3]
]
_ORIGINS = [
    {
        **_GEOMETA[n], **_IMAGES[n], **_CANDIDATES[n], "half": "pub11", "shard": "pub11-train-0000", "path": "",
        "vlm_score_cos": 0.25, "detector_prob": None, "cluster_id": "laion2b_0_0", "cluster_n_samples": 2,
        "places": ["Überlingen", "Bonn"], "group_key": fetch_id(0), "caption_cos": 0.25, "caption_top_share": 0.5,
        "caption_model_licence": None,
    }
    for n in range(4)
]  # fmt: skip
_JUDGED = [
    {"pair_id": "a pair", "first_sha256": "pixels 0", "second_sha256": "pixels 3", "pair_kind": "copy"},
    {"pair_id": "another", "first_sha256": "pixels 0", "second_sha256": "same", "pair_kind": "unlike"},
]
_DUPLICATES = [
    {
        "sample_id": "coyo700m_0_1",
        "image_id": fetch_id(1),
        "cluster_id": "laion2b_0_0",
        "survivor_id": "laion2b_0_0",
        "duplicate_reason": "near_duplicate",
    },
    {
        "sample_id": "laion2b_0_0",
        "image_id": fetch_id(0),
        "cluster_id": "laion2b_0_0",
        "survivor_id": "laion2b_0_0",
        "duplicate_reason": None,
    },
]
_PUBLISHED = [{"sample_id": row["sample_id"], "published_sha256": row["published_sha256"]} for row in _SHARD_PLAN]
_CAPTIONS = ("a lake", "a pond", "a lake", "a sea")
_RANKS = [
    {"first_score_cos": cos, "first_rank": first, "second_rank": second}
    for cos, first, second in ((0.3, 1, 2), (0.2, 2, 1), (0.3, 1, 2), (0.1, 3, None))
]
_DESCRIPTION = {
    "caption": "an Aerial view",
    "generated_caption": None,
    "invariant_caption": None,
    "generated_captions": [],
    "generated_scores_cos": [],
    "country_name": None,
    "city": "Überlingen",
    "further_texts": ["a text"],
    "further_sources": ["alt-texts"],
    "further_licences": ["a licence"],
}
_FURTHER = [
    {
        "text_id": f"{source}:f.csv:{n}",
        "sample_id": "ben_7",
        "text_source": source,
        "further_text": f"text {n}",
        "text_licence": "a licence",
    }
    for n, source in enumerate(("two", "one"))
]
_COUNTS = [
    {"partition": part, "reason": reason, "n": n}
    for part, figures in (("cc3m-00000", (9, 2)), ("laion2b-00000", (7, 3)))
    for reason, n in zip(("given", "kept"), figures, strict=True)
]


@contextmanager
def _join_texts(folder: Path) -> Iterator[Handmade]:
    manifest = write_texts(folder / "texts")
    rows = {
        "sample": _SAMPLES, "candidate": _CANDIDATES, "labelled_image": _LABELLED,
        "patch": [{"sample_id": "ben_7", "v1_patch": "a_patch", "v2_patch": None}],
    }  # fmt: skip
    yield Handmade(
        rows, params={"further_texts": ["alt-texts", "patch-texts"]}, resources={"further_manifest": str(manifest)}
    )


HANDMADE: Mapping[str, Callable[[Path], Any]] = {
    "list_sources": _list_sources,
    "inventory": _inventory,
    "filter": _filter,
    "plan": tables(
        candidate=[
            *_CANDIDATES,
            {"sample_id": "cc3m_0_8", "url": "no url"},
            {"sample_id": "cc3m_0_9", "url": "ftp://a/b"},
        ]
    ),
    "list_withdrawn": _list_withdrawn,
    "record_hashes": _record_hashes,
    "open_pass": _open_pass,
    "download": _download,
    "reduce_attempts": tables(
        candidate=_CANDIDATES,
        planned=_PLANNED,
        fetch_pass=_PASSES,
        fetch_attempt=_FETCH_ATTEMPTS,
        listed_hash=[{"hash_kind": "md5", "hash": "md5 1"}],
    ),
    "screen": _screen,
    "cluster": tables(
        sample=_SAMPLES,
        image=[{**row, "exif_latitude_deg": 9.0, "exif_datetime": None} for row in _IMAGES],
        judged_pair=_JUDGED,
        candidate=[
            {**row, "stated_latitude_deg": None, "stated_datetime": f"201{n}-06-01" if n else None}
            for n, row in enumerate(_CANDIDATES)
        ],
        labelled_image=[{**row, "stated_latitude_deg": None} for row in _LABELLED],
    ),
    "drop_duplicates": tables(cluster_member=_DUPLICATES, sample=_SAMPLES),
    "list_samples": tables(
        candidate=_CANDIDATES,
        planned=_PLANNED[1:],
        labelled_image=_LABELLED,
        labelled_image_rejects=[{"sample_id": "ben_8", "corpus": "ben"}],
    ),
    "plan_shards": tables(
        relevant=_RELEVANT,
        candidate=_CANDIDATES,
        fetched=_FETCHED,
        caption=[{"sample_id": "ben_7", "generated_caption": "a lake"}],
        labelled_image=_LABELLED,
        image=_IMAGES,
        geometa=_GEOMETA,
        planned=_PLANNED,
        withdrawal=[{"entry_kind": "url", "entry": _PLANNED[1]["normalised_url"]}],
        contaminated=_CONTAMINATED,
        split_group=_GROUPS,
        caption_rank=_RANKED,
        sample=_SAMPLES,
        further_text=_FURTHER,
    ),
    "group_samples": tables(
        relevant=_RELEVANT,
        caption=[{"sample_id": "ben_7", "generated_caption": "an Aerial view 1"}],
        candidate=_CANDIDATES,
        labelled_image=_LABELLED,
        geometa=[
            {**row, "longitude_deg": None if row["sample_id"] == "laion2b_0_0" else n * 0.04}
            for n, row in enumerate(_GEOMETA)
        ],
        cluster_member=[
            {**row, "same_place_id": None}
            for row in (*_DUPLICATES, {"sample_id": "ben_7", "image_id": "ben_7", "cluster_id": "ben_7"})
        ],
        image=_IMAGES,
        judged_pair=[{**_JUDGED[0], "pair_kind": "same_place"}],
    ),
    "count_splits": tables(shard=_PUBLISHED_ROWS, shard_plan=_SHARD_PLAN, split_group=_GROUPS, sample=_SAMPLES),
    "list_left_out": tables(
        shard_plan_rejects=[
            {"sample_id": "cc3m_0_2", "reason": "licence", "detail": "cc3m grants no right in it"},
            {"sample_id": "ben_7", "reason": "licence", "detail": "as an example"},
            {"sample_id": "laion2b_0_0", "reason": "nsfw", "detail": "tag"},
        ],
        candidate=_CANDIDATES,
        labelled_image=_LABELLED,
        sample=_SAMPLES,
        image=[{**row, "body_sha256": "sha"} for row in _IMAGES],
    ),
    "count_emails": tables(
        shard=_PUBLISHED_ROWS,
        candidate=[
            {**row, "caption": f"by a@b.org, c@d.org {n}" if n else "by @b"} for n, row in enumerate(_CANDIDATES)
        ],
    ),
    "count_further_texts": tables(
        further_text=[{**_FURTHER[n % 2], "sample_id": _SHARD_PLAN[n]["sample_id"]} for n in range(4)],
        description=[
            {"sample_id": row["sample_id"], "further_sources": ["two"], "further_licences": ["a licence"]}
            for row in _SHARD_PLAN
        ],
        shard_plan=[{**row, "caption_sources": ["meta", "one"]} for row in _SHARD_PLAN],
        shard=_PUBLISHED[:3],
    ),
    "write_shards": tables(shard_plan=_SHARD_PLAN),
    "list_origins": tables(
        shard_plan=[*_SHARD_PLAN, {"sample_id": "ben_7", "shard": "rs3-val-0001"}],
        sample=_SAMPLES,
        candidate=_CANDIDATES,
        labelled_image=_LABELLED,
        image=_IMAGES,
        caption=[{"sample_id": "ben_7", "caption_model_licence": "a licence"}],
        geometa=_GEOMETA,
        relevant=[{**row, "vlm_score_cos": 0.25, "detector_prob": 0.5} for row in _RELEVANT],
        cluster_member=[{**row, "cluster_n_samples": 2} for row in _DUPLICATES],
        caption_rank=_RANKED,
        place=[{"sample_id": "laion2b_0_0", "n": n, "place": place} for n, place in enumerate(("Ulm", None, "Bonn"))],
        split_group=[{"sample_id": s, "group_key": "a"} for s in (*(r["sample_id"] for r in _SHARD_PLAN), "ben_7")],
    ),
    "describe_samples": tables(
        shard_plan=[*_SHARD_PLAN, {"sample_id": "ben_7", "shard": "rs3-val-0001"}],
        sample=_SAMPLES,
        candidate=_CANDIDATES,
        caption=[{"sample_id": "ben_7", "invariant_caption": "a pond", "generated_caption": "a lake"}],
        caption_score=[{"sample_id": "ben_7", "n": n, **ranks} for n, ranks in enumerate(_RANKS)],
        caption_candidate=[
            {"sample_id": "ben_7", "n": n, "candidate_caption": text} for n, text in enumerate(_CAPTIONS)
        ],
        geometa=_GEOMETA,
        further_text=_FURTHER,
    ),
    "join_texts": _join_texts,
    # Only PNG files: a PNG converted from a BMP depends on the codec's version.
    "write_pairs": tables(
        shard=[_PUBLISHED[n] for n in (0, 2)],
        shard_plan=[_SHARD_PLAN[n] for n in (0, 2)],
        description=[{**_SHARD_PLAN[n], **_DESCRIPTION} for n in (0, 2)],
        origin=_ORIGINS,
    ),
    "write_metafile": tables(shard=_PUBLISHED_ROWS, shard_plan=_SHARD_PLAN, origin=_ORIGINS),
    "count_funnel": tables(
        source_listing=[{"corpus": c, "partition": f"{c}-00000"} for c in ("cc3m", "laion2b")],
        candidate_counts=_COUNTS,
        candidate=[{"corpus": c} for c in ("cc3m", "cc3m", "laion2b", "laion2b", "laion2b")],
        sample=samples_of({f"{c}_0_{n}": fetch_id(n) for n, c in enumerate(("cc3m", "cc3m", "laion2b", "laion2b"))}),
        fetched=[{"fetch_id": fetch_id(n)} for n in (0, 2, 3)],
        image_rejects=[{"image_id": fetch_id(3)}],
        relevant=[{"sample_id": "cc3m_0_0"}],
        survivor_rejects=[{"sample_id": "laion2b_0_2"}],
        shard_plan_rejects=[{"sample_id": "laion2b_0_3", "reason": "nsfw"}],
        shard_rejects=[{"sample_id": "cc3m_0_0"}],
    ),
    "list_barred": tables(
        sample=_SAMPLES,
        planned=_PLANNED,
        fetched=_FETCHED,
        fetched_rejects=[],
        image=[{**row, "body_sha256": "sha"} for row in _IMAGES],
        withdrawal=[
            {"entry_kind": "sample_id", "entry": _SAMPLES[0]["sample_id"]},
            {"entry_kind": "url", "entry": "http://elsewhere/"},
        ],
        listed_hash=[],
    ),
    "write_crosswalk": tables(
        barred_sample=[
            {"sample_id": _SAMPLES[1]["sample_id"], "barred_by": "withdrawn"},
            {"sample_id": "sbu_0_0", "barred_by": "hash_listed"},
        ],
        candidate=_CANDIDATES,
        sample=_SAMPLES,
        labelled_image=_LABELLED,
        patch=[{"sample_id": "ben_7", "v1_patch": "S2A_MSIL2A_20170613T101031_26_57", "v2_patch": None}],
    ),
    "count_sources": tables(
        source_listing=[
            {"corpus": c, "path": f"{c}/file", "partition": f"{c}-00000"} for c in ("cc3m", "laion2b", "fmow")
        ],
        candidate_counts=[
            *_COUNTS,
            {"partition": "cc3m-00000", "reason": "no_keyword", "n": 4},
            {"partition": "cc3m-00000", "reason": "no_url", "n": 1},
            {"partition": "cc3m-00000", "reason": "damaged_source", "n": 2},
            {"partition": "laion2b-00000", "reason": "outside_pilot", "n": 4},
        ],
    ),
    "count_keywords": tables(candidate=_CANDIDATES),
    **inputs_contamination.HANDMADE,
    **inputs_dedup.HANDMADE,
    **inputs_outliers.HANDMADE,
    **inputs_gpe.HANDMADE,
    **inputs_labelled.HANDMADE,
    **inputs_caption.HANDMADE,
    **inputs_geometa.HANDMADE,
}
