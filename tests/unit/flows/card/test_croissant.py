"""mlcroissant, the reference implementation, reads croissant.json, in its own process and cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.ask.dataset import publish_dataset
from flows.card.croissant import CONTEXT
from tests.small_build import Build

ROOT = Path(__file__).parents[4]
# CROISSANT_CACHE keeps unpacked tars by the hash of their path; those of another build must not be found.
READ = """
import hashlib, json, logging, sys
warned = []
seen = logging.Handler()
seen.emit = lambda line: warned.append(str(line.msg))
logging.getLogger().addHandler(seen)
import mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1])
issues = dataset.metadata.ctx.issues
found = {"errors": sorted(issues.errors), "warnings": sorted(issues.warnings), "samples": {}, "metadata": {}}
found["conforms_to"] = dataset.metadata.ctx.conforms_to.value
for half in ("pub11", "rs3"):
    for record in dataset.records(half):
        values = {name.partition("/")[2]: value for name, value in record.items()}
        image = values["image"]
        image.fp.seek(0)
        digest = hashlib.sha256(image.fp.read()).hexdigest()
        texts = [values[name].decode() for name in ("sample_id", "published_sha256", "published_text")]
        found["samples"][texts[0]] = [digest, *texts[1:], list(image.size)]
    for record in dataset.records(half + "_metadata"):
        values = {name.partition("/")[2]: value for name, value in record.items()}
        found["metadata"][values["sample_id"].decode()] = [word.decode() for word in values["keywords"]]
found["logged"] = warned
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def read_back(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("croissant")
    build = finished.copy_to(folder / "build")
    path = publish_dataset(build.ledger()) / "croissant.json"
    environment = {**os.environ, "CROISSANT_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "path": str(path), "build": build}


def test_mlcroissant_finds_no_error_and_no_warning(read_back: dict[str, object]) -> None:
    assert read_back["errors"] == [] and read_back["warnings"] == [] and read_back["logged"] == []
    assert read_back["conforms_to"] == "http://mlcommons.org/croissant/1.1"


def test_every_sample_is_read_back_with_its_published_bytes(read_back: dict[str, object]) -> None:
    build, samples = read_back["build"], read_back["samples"]
    assert isinstance(build, Build) and isinstance(samples, dict)
    rows = {row["sample_id"]: row for row in build.rows("metafile")}
    assert samples.keys() == rows.keys() and len(rows) > 30
    for sample_id, (digest, stated, text, size) in samples.items():
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
