"""What an export holds, how it goes on after a stop, and what it refuses."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.cli import main
from flows.export.export import Format, Picture, Shard, export
from flows.export.folders import Folders
from flows.export.parquet import Parquet
from stages.contract import InputError
from tests.small_build import Build

FORMATS: list[type[Format]] = [Folders, Parquet]


class Stopped(Exception):
    pass


class StopsAfterTwo(Folders):
    """Writes two tars and the beginning of a third one."""

    n_left = 3

    def write(self, shard: Shard, pictures: Iterator[Picture], target: Path) -> None:
        self.n_left -= 1
        if not self.n_left:
            target.mkdir()
            (target / "half.jpg").write_bytes(next(pictures).data)
            raise Stopped
        super().write(shard, pictures, target)


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def published(build: Build) -> dict[str, dict[str, object]]:
    return {row["sample_id"]: row for row in build.rows("metafile")}


def test_folders_have_every_published_image_and_its_metadata(finished: Build, tmp_path: Path) -> None:
    out, lines = tmp_path / "out", list[str]()
    rows = published(finished)
    assert export(finished.ledger(), out, Folders(), lines.append) == len(rows)
    seen = set()
    for path in out.rglob("index.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                expected = rows[row["sample_id"]]
                data = (path.parent / row["file_name"]).read_bytes()
                assert hashlib.sha256(data).hexdigest() == expected["published_sha256"]
                assert row["text"] == expected["published_text"] and json.loads(row["keywords"]) == expected["keywords"]
                assert path.parent.relative_to(out).as_posix() == str(expected["shard"]).replace("-", "/", 1)
                seen.add(row["sample_id"])
    assert seen == rows.keys()
    images = [path for path in out.rglob("*") if path.is_file() and path.suffix not in (".csv", ".parquet", ".md")]
    assert len(images) == len(rows)


def test_hugging_face_reads_the_folders_of_both_halves(finished: Build, tmp_path: Path) -> None:
    out, rows = tmp_path / "out", published(finished)
    export(finished.ledger(), out, Folders(), lambda line: None)
    code = f"""
import datasets
found = datasets.load_dataset("imagefolder", data_dir={str(out)!r}, cache_dir={str(tmp_path / "cache")!r})
for split in found.values():
    for row in split:
        print(row["sample_id"], row["width_px"], row["keywords"] == list(row["keywords"]), *row["image"].size)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    read = {line.split()[0]: line.split()[1:3] for line in done.stdout.splitlines()}
    assert read == {name: [str(row["width_px"]), "True"] for name, row in rows.items()}


def test_the_shell_lines_make_parts_and_unpack_them(finished: Build, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(finished.ledger(), out, Folders(), lambda line: None)
    lines = [line.strip() for line in (out / "README.md").read_text().splitlines() if line.startswith("    ")]
    pack = next(line for line in lines if line.startswith("tar -cz pub11")).replace("10G", "20k")
    unpack = next(line for line in lines if line.startswith("cat pub11"))
    before = files(out / "pub11")
    subprocess.run(["bash", "-euc", f"{pack}\nrm -r pub11\n{unpack}"], cwd=out, check=True)
    assert files(out / "pub11") == before and len(before) > 20
    assert len(list(out.glob("pub11_images.tar.gz_a?"))) > 1


def test_parquet_embeds_images_as_hugging_face_does(finished: Build, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = published(finished)
    export(finished.ledger(), out, Parquet(), lambda line: None)
    seen = {}
    for path in (out / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["image"] == {"_type": "Image"} and list(features) == table.column_names
        for row in table.to_pylist():
            expected = rows[row["sample_id"]]
            data = row["image"]["bytes"]
            assert hashlib.sha256(data).hexdigest() == expected["published_sha256"]
            assert Image.open(io.BytesIO(data)).size and row["image"]["path"].startswith(row["sample_id"])
            assert row["text"] == expected["published_text"] and row["split"] == path.parent.name == expected["split"]
            seen[row["sample_id"]] = path.name
    assert seen.keys() == rows.keys()
    assert "path: data/val/*.parquet" in (out / "README.md").read_text()


def test_a_stopped_export_goes_on_and_equals_an_uninterrupted_one(finished: Build, tmp_path: Path) -> None:
    ledger, out, lines = finished.ledger(), tmp_path / "out", list[str]()
    with pytest.raises(Stopped):
        export(ledger, out, StopsAfterTwo(), lines.append)
    assert not out.exists() and len(list((tmp_path / "out.partial/.done").iterdir())) == 2
    begun = {path: path.stat().st_mtime_ns for path in (tmp_path / "out.partial").rglob("*.*") if path.is_file()}
    (tmp_path / "out.partial" / "pub11" / "old-0099").mkdir()
    export(ledger, out, Folders(), lines.append)
    assert "2 of " in lines[0] and "exported already" in lines[0]
    export(ledger, tmp_path / "whole", Folders(), lines.append)
    assert files(out) == files(tmp_path / "whole") and not (out / "pub11" / "old-0099").exists()
    again = {path: out / path.relative_to(tmp_path / "out.partial") for path in begun}
    unchanged = [path for path in begun if again[path].exists() and again[path].stat().st_mtime_ns == begun[path]]
    assert len(unchanged) > 2


def test_what_cannot_be_exported_is_refused(damaged: Build, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there exists: name another folder with OUT"):
        export(damaged.ledger(), tmp_path / "there", Folders(), lambda line: None)
    receipt = next(r for r in damaged.ledger().state(damaged.stage("write_shards")).receipts if r.n_kept)
    (tar,) = receipt.body["files"]
    path = damaged.root / receipt.folder / tar["file"]
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InputError, match="has changed since it was written: run `make verify`"):
        export(damaged.ledger(), tmp_path / "out", Parquet(), lambda line: None)
    assert not (tmp_path / "out").exists()
    (damaged.root / receipt.folder / "receipt.json").unlink()
    with pytest.raises(InputError, match="only a finished build can be exported, but this one lacks write_shards"):
        export(damaged.ledger(), tmp_path / "out", Folders(), lambda line: None)


def test_the_command_names_the_folder_and_the_number_of_images(
    finished: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = finished.copy_to(tmp_path / "build")
    said = [*build.arguments(tmp_path), "--format", "parquet", "--out", str(tmp_path / "out")]
    assert main(["export", *said]) == 0
    assert f"{len(published(finished))} images as parquet" in capsys.readouterr().out
    assert main(["export", *said]) == 2
