"""bench-json_readers: speed of reading and counting the JSON corpora against json.load, and peak memory."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from schemas.corpora import load_corpora
from stages.readers.batch import SourceBatch, SourceFiles
from stages.readers.readers import count_source, read_source
from tests.benchmarks.harness import BENCH, Goal, Row, cpu_seconds, report, run_pairs, sized

MIN_SHARE = 0.6  # share of json.load's speed
MAX_PEAK_MIB = 1024
N_RECORDS = {"redcaps": sized(30_000, 300), "sbu": sized(150_000, 1_500), "vg": sized(2_000, 20)}
N_LARGE = {"redcaps": sized(200_000, 600), "sbu": sized(1_000_000, 3_000), "vg": sized(20_000, 40)}
N_PAIRS = sized(3, 1)


def main() -> None:
    """Measure, print and write build/bench/json_readers.json."""
    rows, goals = [], []
    for code in N_RECORDS:
        more_rows, more_goals = measure(code)
        rows += more_rows
        goals += more_goals
    report("json_readers", rows, goals)


def measure(code: str) -> tuple[list[Row], list[Goal]]:
    """Return the rows and goals of one corpus."""
    source = write(code, N_RECORDS[code])
    corpus = load_corpora()[code]
    paths = [path for path, _ in source.files] + list(source.companions)
    n_mib = sum(path.stat().st_size for path in paths) / 2**20

    def load(_: int) -> float:
        return cpu_seconds(lambda: [json.loads(path.read_bytes()) for path in paths])

    reading = run_pairs(lambda _: cpu_seconds(lambda: read_all(code, source)), load, N_PAIRS)
    counting = run_pairs(lambda _: cpu_seconds(lambda: count_source(source, corpus)), load, N_PAIRS)
    peak_mib = peak_of(code)
    rows = [
        reading.row(f"{code}: read {n_mib:.0f} MiB", "s"),
        counting.row(f"{code}: count {n_mib:.0f} MiB", "s"),
        Row(f"{code}: most memory, {N_LARGE[code]:,} records", peak_mib, "MiB"),
    ]
    goals = [
        Goal(f"{code}: json.load is faster by", reading.ratio, round(1 / MIN_SHARE, 3)),
        Goal(f"{code}: most memory, MiB", peak_mib, MAX_PEAK_MIB),
    ]
    return rows, goals


def read_all(code: str, source: SourceFiles) -> int:
    """Read all captions and return their number."""
    found = read_source(source, load_corpora()[code])
    return sum(len(batch.captions) for batch in found if isinstance(batch, SourceBatch))


def peak_of(code: str) -> float:
    """Return the peak memory, in MiB, of a process that reads many records."""
    write(code, N_LARGE[code])
    command = [sys.executable, "-m", "tests.benchmarks.bench_json_readers", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read_large(code: str) -> None:
    """Read the written records, and print this process's peak memory in MiB."""
    assert read_all(code, source_of(code, N_LARGE[code])) == N_LARGE[code]
    # VmHWM is of this program only: getrusage includes the parent's peak.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    print(int(line.split()[1]) / 1024)


def source_of(code: str, n_records: int) -> SourceFiles:
    """Return the source files of a corpus."""
    folder = BENCH / "json" / f"{code}-{n_records}"
    names = {"redcaps": "annotations/bench_2017.json", "sbu": "sbu-captions-all.json", "vg": "image_data.json"}
    companions = (folder / "region_descriptions.json",) if code == "vg" else ()
    return SourceFiles(((folder / names[code], 0),), companions)


def write(code: str, n_records: int) -> SourceFiles:
    """Write generated records unless they exist, and return their files."""
    source = source_of(code, n_records)
    makers: dict[str, Callable[[int], Iterator[Any]]] = {"redcaps": redcaps, "sbu": sbu, "vg": vg}
    paths = [source.files[0][0], *source.companions]
    if not all(path.exists() for path in paths):
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path, found in zip(paths, makers[code](n_records), strict=True):
            part = path.with_suffix(".part")
            part.write_text(json.dumps(found), encoding="utf-8")
            part.rename(path)
    return source


def phrases(n_words: int) -> Iterator[str]:
    """Yield texts of n_words words forever."""
    rng = random.Random(n_words)
    words = [f"{rng.choice('bcdfglmnprst')}{rng.choice('aeiou')}{rng.randrange(1000)}" for _ in range(5000)]
    while True:
        yield " ".join(rng.choices(words, k=n_words))


def redcaps(n_records: int) -> Iterator[Any]:
    """Yield the content of one file."""
    found = [
        {
            "image_id": f"{n + 10_000_000:x}", "subreddit": "earthporn", "url": f"https://i.redd.it/{n:013x}.jpg",
            "caption": text, "raw_caption": f"{text.title()} \u00d7", "score": n % 99, "author": f"author{n}",
            "created_utc": 1514764821 + n, "permalink": f"/r/EarthPorn/comments/{n:x}/{text.replace(' ', '_')}/",
        }
        for n, text in zip(range(n_records), phrases(10), strict=False)
    ]  # fmt: skip
    yield {"info": {"year": "2017"}, "annotations": found}


def sbu(n_records: int) -> Iterator[Any]:
    """Yield the content of the file."""
    yield {
        "image_urls": [f"http://static.flickr.com/2723/{n + 4 * 10**9}_b0f291553e.jpg" for n in range(n_records)],
        "user_ids": [f"{n}@N08" for n in range(n_records)],
        "captions": [text for _, text in zip(range(n_records), phrases(11), strict=False)],
    }


def vg(n_records: int) -> Iterator[Any]:
    """Yield the list of images, and their regions."""
    url = "https://cs.stanford.edu/people/rak248/VG_100K"
    yield [
        {"width": 800, "url": f"{url}/{n}.jpg", "height": 600, "image_id": n, "coco_id": None, "flickr_id": None}
        for n in range(n_records)
    ]
    texts = phrases(5)
    yield [
        {
            "regions": [
                {
                    "region_id": 50 * n + i,
                    "width": 82,
                    "height": 139,
                    "image_id": n,
                    "phrase": next(texts),
                    "y": i,
                    "x": 4,
                }
                for i in range(50)
            ],
            "id": n,
        }
        for n in range(n_records)
    ]


if __name__ == "__main__":
    read_large(sys.argv[1]) if len(sys.argv) > 1 else main()
