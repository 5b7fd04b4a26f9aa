"""mlcroissant, the reference implementation, reads croissant.json, in its own process and cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.ask.dataset import publish_dataset
from flows.ask.dataset_folder import File
from flows.card.croissant import CONTEXT, croissant
from flows.ledger.digests import digest_file
from tests.small_build import Build

ROOT = Path(__file__).parents[4]
MADE = ("@context", "@type", "conformsTo", "distribution", "recordSet")
# CROISSANT_CACHE keeps unpacked tars by the hash of their path; those of another build must not be found.
READ = """
import hashlib, json, logging, sys
warned = []
seen = logging.Handler()
seen.emit = lambda line: warned.append(str(line.msg))
logging.getLogger().addHandler(seen)
import mlcroissant
every = []
for path in sys.argv[1:]:
    dataset = mlcroissant.Dataset(path)
    issues = dataset.metadata.ctx.issues
    found = {"errors": sorted(issues.errors), "warnings": sorted(issues.warnings), "samples": {}, "metadata": {}}
    found["conforms_to"] = dataset.metadata.ctx.conforms_to.value
    for half in ("pub11", "rs3"):
        for record in dataset.records(half):
            values = {name.partition("/")[2]: value for name, value in record.items()}
            image = values["image"]
            image.fp.seek(0)
            digest = hashlib.sha256(image.fp.read()).hexdigest()
            names = ("sample_id", "published_text", "published_sha256")
            texts = [values[name].decode() for name in names if name in values]
            found["samples"][texts[0]] = [digest, list(image.size), *texts[1:]]
        for record in dataset.records(half + "_metadata") if len(every) == 0 else ():
            values = {name.partition("/")[2]: value for name, value in record.items()}
            found["metadata"][values["sample_id"].decode()] = [word.decode() for word in values["keywords"]]
    found["logged"] = warned[:]
    warned.clear()
    every.append(found)
print(json.dumps(every))
"""


def write_of_pairs_alone(path: Path, build: Build) -> Path:
    """Write the croissant.json that the folder would have with the tars of `pairs` alone; return its path."""
    content = json.loads(path.read_text(encoding="utf-8"))
    about = {name: value for name, value in content.items() if name not in MADE}
    names = [*path.parent.glob("pairs/*/*.tar"), *path.parent.glob("metafiles/*.parquet")]
    files = [
        File(found.relative_to(path.parent).as_posix(), digest_file(found), found.stat().st_size)
        for found in sorted(names)
    ]
    schema = build.ledger().writer["metafile"].writes.schema
    written = path.with_name("pairs.json")
    written.write_text(croissant(about, files, schema), encoding="utf-8")
    return written


@pytest.fixture(scope="module")
def both(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What mlcroissant reads of a folder with both layouts, and of one with pairs alone."""
    folder = tmp_path_factory.mktemp("croissant")
    build = finished.copy_to(folder / "build")
    path = publish_dataset(build.ledger()) / "croissant.json"
    environment = {**os.environ, "CROISSANT_CACHE": str(folder / "cache")}
    paths = [str(path), str(write_of_pairs_alone(path, build))]
    done = subprocess.run(
        [sys.executable, "-c", READ, *paths], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return [{**found, "path": str(path), "build": build} for found in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def read_back(both: list[dict[str, object]]) -> dict[str, object]:
    return both[0]


def test_mlcroissant_finds_no_error_and_no_warning(both: list[dict[str, object]]) -> None:
    assert len(both) == 2
    for found in both:
        assert found["errors"] == [] and found["warnings"] == [] and found["logged"] == []
        assert found["conforms_to"] == "http://mlcommons.org/croissant/1.1"


def test_every_sample_of_pairs_is_read_back_without_the_other_layout(both: list[dict[str, object]]) -> None:
    build, samples = both[1]["build"], both[1]["samples"]
    assert isinstance(build, Build) and isinstance(samples, dict)
    texts = {
        row["sample_id"]: row["published_text"] for row in build.rows("shard_plan", ["sample_id", "published_text"])
    }
    digests = {row["sample_id"]: row["pair_sha256"] for row in build.rows("pair", ["sample_id", "pair_sha256"])}
    found = {name: (digest, *text) for name, (digest, _, *text) in samples.items()}
    assert found == {name: (digest, texts[name]) for name, digest in digests.items()} and len(found) > 30


def test_every_sample_is_read_back_with_its_published_bytes(read_back: dict[str, object]) -> None:
    build, samples = read_back["build"], read_back["samples"]
    assert isinstance(build, Build) and isinstance(samples, dict)
    rows = {row["sample_id"]: row for row in build.rows("metafile")}
    assert samples.keys() == rows.keys() and len(rows) > 30
    for sample_id, (digest, size, text, stated) in samples.items():
        row = rows[sample_id]
        assert digest == stated == row["published_sha256"], sample_id
        assert text == row["published_text"]
        assert size == [row["width_px"], row["height_px"]]
    keywords = read_back["metadata"]
    assert keywords == {sample_id: row["keywords"] for sample_id, row in rows.items()}


def test_responsible_use_is_stated_in_the_rai_vocabulary(read_back: dict[str, object]) -> None:
    content = json.loads(Path(str(read_back["path"])).read_text(encoding="utf-8"))
    assert content["conformsTo"][1] == "http://mlcommons.org/croissant/RAI/1.0"
    stated = {name: value for name, value in content.items() if name.startswith("rai:")}
    assert len(stated) > 12 and all(stated.values())
    assert CONTEXT["rai"] == "http://mlcommons.org/croissant/RAI/"
