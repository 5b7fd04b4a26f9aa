"""Damage to files of RedCaps, SBU or Visual Genome ends no run, and every lost row is marked."""

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.filter.filtering import Filtered
from tests.damage import MUTATIONS, Mutation
from tests.json_corpora import filter_files

N_RECORDS = 60
SEEDS = range(2)
# Bytes removed from inside one text to inside another leave valid JSON, which only the published digest shows.
SILENT = {"removed"}


def caption(n: int) -> str:
    return f'landsat {n:03d} "é" of a [farm], {{x}}'


def redcaps(first: int) -> bytes:
    records = [
        {"image_id": f"{n:x}", "author": None, "url": f"https://i.redd.it/{n:03d}_b.jpg", "caption": caption(n),
         "raw_caption": "\\", "score": n, "crosspost_parents": None}
        for n in range(first, first + N_RECORDS)
    ]  # fmt: skip
    return json.dumps({"info": {"year": "2017"}, "annotations": records}, ensure_ascii=False).encode()


def sbu() -> bytes:
    rows = range(N_RECORDS)
    lists = {
        "image_urls": [f"http://static.flickr.com/1/{n:03d}_b.jpg" for n in rows],
        "user_ids": [f"{n}@N" for n in rows],
        "captions": [caption(n) for n in rows],
    }
    return json.dumps(lists, ensure_ascii=False).encode()


def vg_images() -> bytes:
    url = "https://a/VG_100K"
    images = [{"width": 8, "url": f"{url}/{n:03d}_b.jpg", "height": 6, "image_id": n + 1} for n in range(N_RECORDS)]
    return json.dumps(images).encode()


def vg_regions() -> bytes:
    records = [
        {
            "regions": [{"region_id": n, "image_id": n + 1, "phrase": text} for text in (caption(n), "a cat")],
            "id": n + 1,
        }
        for n in range(N_RECORDS)
    ]
    return json.dumps(records, ensure_ascii=False).encode()


def as_zip(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"a/{name}.json", data)
    return packed.getvalue()


def as_tar(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


Files = dict[str, bytes]
SBU = "sbu-captions-all"
PAIR = [f"SBU_captioned_photo_dataset_{what}.txt" for what in ("urls", "captions")]


def pair() -> Files:
    lines = [f"http://static.flickr.com/1/{n:03d}_b.jpg" for n in range(N_RECORDS)]
    return dict(
        zip(PAIR, ("\n".join(texts).encode() + b"\n" for texts in (lines, map(caption, range(N_RECORDS)))), strict=True)
    )


def tarred(change: Mutation, draw: random.Random) -> Files:
    """Change the compressed bytes, the tar's bytes or its member's bytes."""
    data, level = sbu(), draw.randrange(3)
    data = as_tar(f"{SBU}.json", change(data, draw) if level == 0 else data)
    data = gzip.compress(change(data, draw) if level == 1 else data, 6, mtime=0)
    return {f"{SBU}.tar.gz": change(data, draw) if level == 2 else data}


def zipped(**members: bytes) -> Callable[[Mutation, random.Random], Files]:
    def make(change: Mutation, draw: random.Random) -> Files:
        name, inside = draw.choice(sorted(members)), draw.random() < 0.5
        data = as_zip(**{n: change(d, draw) if inside and n == name else d for n, d in members.items()})
        return {"a.zip": data if inside else change(data, draw)}

    return make


# Corpus, rows of the intact files, number of its own files, and the function that makes them with one changed.
CASES: dict[str, tuple[str, int, int, Callable[[Mutation, random.Random], Files]]] = {
    "redcaps": ("redcaps", 2 * N_RECORDS, 2, lambda change, draw: {
        "a_2017.json": change(redcaps(0), draw), "b_2018.json": redcaps(N_RECORDS),
    }),
    "redcaps zip": ("redcaps", 2 * N_RECORDS, 1, zipped(a_2017=redcaps(0), b_2018=redcaps(N_RECORDS))),
    "sbu": ("sbu", N_RECORDS, 1, lambda change, draw: {f"{SBU}.json": change(sbu(), draw)}),
    "sbu tar": ("sbu", N_RECORDS, 1, tarred),
    "sbu pair, urls": ("sbu", N_RECORDS, 1, lambda change, draw: pair() | {PAIR[0]: change(pair()[PAIR[0]], draw)}),
    "sbu pair, captions": ("sbu", N_RECORDS, 1, lambda change, draw: pair() | {PAIR[1]: change(pair()[PAIR[1]], draw)}),
    "vg images": ("vg", N_RECORDS, 1, lambda change, draw: {
        "image_data.json": change(vg_images(), draw), "region_descriptions.json": vg_regions(),
    }),
    "vg regions": ("vg", N_RECORDS, 1, lambda change, draw: {
        "image_data.json": vg_images(), "region_descriptions.json": change(vg_regions(), draw),
    }),
    "vg regions zip": ("vg", N_RECORDS, 1, lambda change, draw: {
        "image_data.json": vg_images(),
        "region_descriptions.json.zip": zipped(region_descriptions=vg_regions())(change, draw)["a.zip"],
    }),
}  # fmt: skip


def filtered(folder: Path, case: str, change: Mutation, seed: object) -> Filtered:
    code, _, n_own, make = CASES[case]
    paths = []
    for name, data in make(change, random.Random(f"{case} {seed}")).items():
        paths.append(folder / name)
        paths[-1].write_bytes(data)
    return filter_files(code, paths[:n_own], paths[n_own:])


def n_mispaired(found: Filtered) -> int:
    """Return the number of kept rows whose caption belongs to another image."""
    rows = found.candidates.select(["url", "source_caption"]).to_pylist()
    return sum(f"landsat {row['url'][-9:][:3]}" not in row["source_caption"].replace("_", "") for row in rows)


@pytest.mark.parametrize("change", ["one bit", "cut", "cut after a comma", "removed", "garbage", "other value"])
def test_no_caption_is_paired_with_the_image_of_another_row(
    tmp_path: Path, change: str, record_property: Callable[[str, int], None]
) -> None:
    record_property("damaged sbu", 6)
    for seed in range(6):
        found = filtered(tmp_path, "sbu", MUTATIONS[change], f"{change} {seed}")
        assert n_mispaired(found) <= 1  # a row whose own number was damaged


@pytest.mark.parametrize("case", CASES)
def test_all_rows_of_intact_files_are_kept(tmp_path: Path, case: str) -> None:
    found = filtered(tmp_path, case, lambda data, draw: data, 0)
    assert found.counts["kept"] == found.counts["given"] == CASES[case][1]


@pytest.mark.parametrize("change", MUTATIONS)
@pytest.mark.parametrize("case", CASES)
def test_damage_ends_no_run_and_every_loss_is_marked(
    tmp_path: Path, case: str, change: str, record_property: Callable[[str, int], None]
) -> None:
    for seed in SEEDS[:1] if "block" in change else SEEDS:
        record_property(f"damaged {case}", 1)
        found = filtered(tmp_path, case, MUTATIONS[change], f"{change} {seed}")
        is_marked = found.counts["damaged_source"] > 0
        assert found.counts["given"] >= CASES[case][1] or is_marked or change in SILENT
